"""Sharing a frame: what it costs to bring a large frame to every task, in time and memory, in four ways.

Claim: a frame of a million rows (4 floats, timestamps, strings), stored once as a SharedFrame, is attached by
a task in less than 1 ms, and the whole tree of processes holds less than 1.15 frames more than without it.

Traps avoided: the price of sharing (create, put) is inside the clock of the "whole run" column; all ways are
measured in one run, in turn, in a seeded random order, each with its workers warm; every task returns values
read from the frame, which are compared; memory is the proportional set size of the whole tree of processes
while every worker keeps the frame and has read all of it, not the resident size, which counts shared pages
once per process.

Run: ``python benchmarks/engine/sharing.py [--rounds 5] [--rows 10000,1000000] [--workers 2]
[--memory-workers 2,4,8] [--json sharing.json]``. Ways whose package is missing are left out and named.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

from optengine import PersistentWorkerPool, SharedFrame

TASKS_PER_WORKER = 8
COLUMNS = ("open", "high", "low", "close")
Rows = list[dict[str, Any]]


def make_frame(rows: int) -> pd.DataFrame:
    """The frame of the claim: four prices, timestamps and strings."""
    generator = np.random.default_rng(7)
    frame = pd.DataFrame(generator.normal(60, 5, (rows, 4)), columns=list(COLUMNS))
    frame["time"] = pd.date_range("2020", periods=rows, freq="s")
    frame["symbol"] = generator.choice(["WTI", "BRENT", "HENRY_HUB"], rows)
    return frame


def look(frame: pd.DataFrame, number: int) -> tuple[Any, ...]:
    """A task that reads one row: next to no work, so that what is left is the cost of having the frame."""
    row = (number * 7919) % len(frame)
    return (len(frame), *(frame[name].iat[row] for name in frame.columns))


_kept: list[Any] = []


def keep(frame: pd.DataFrame) -> float:
    """A task that reads everything and keeps the frame, as a worker does that caches its data."""
    _kept[:] = [frame]
    total = sum(float(frame[name].sum()) for name in COLUMNS) + float(frame["time"].astype("int64").sum())
    return total + len(frame["symbol"].unique())


def task(argument: tuple[Callable[..., Any], Any, tuple[Any, ...]]) -> Any:
    """Run ``look`` or ``keep`` on the frame that came with the task, as itself or as a handle."""
    function, carried, arguments = argument
    began = time.perf_counter()
    frame = carried if isinstance(carried, pd.DataFrame) else SharedFrame.attach(carried).frame
    attached = time.perf_counter() - began
    time.sleep(0.05 if function is keep else 0)  # so that every worker gets its share of the keeping
    return function(frame, *arguments), attached, os.getpid()


def ray_task(function: Callable[..., Any], frame: pd.DataFrame, arguments: tuple[Any, ...]) -> Any:
    """The same for Ray, which fetches the frame before the task begins."""
    time.sleep(0.05 if function is keep else 0)
    return function(frame, *arguments), None, os.getpid()


Runner = Callable[[Callable[..., Any], pd.DataFrame, Iterable[tuple[Any, ...]]], tuple[list[Any], float]]


def shared_frame(stack: ExitStack, workers: int) -> Runner:
    pool = stack.enter_context(PersistentWorkerPool(workers))
    kept = stack.enter_context(ExitStack())

    def run(function: Any, frame: pd.DataFrame, each: Any) -> tuple[list[Any], float]:
        kept.close()
        shared = kept.enter_context(SharedFrame.create(frame))
        began = time.perf_counter()
        found = pool.run_batch(task, [(function, shared.handle, given) for given in each], chunksize=1)
        return found, time.perf_counter() - began

    return run


def pickled(stack: ExitStack, workers: int) -> Runner:
    pool = stack.enter_context(multiprocessing.get_context("forkserver").Pool(workers))

    def run(function: Any, frame: pd.DataFrame, each: Any) -> tuple[list[Any], float]:
        began = time.perf_counter()
        found = pool.map(task, [(function, frame, given) for given in each], chunksize=1)
        return found, time.perf_counter() - began

    return run


def joblib_memmap(stack: ExitStack, workers: int) -> Runner:
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    parallel = stack.enter_context(Parallel(n_jobs=workers, batch_size=1, mmap_mode="r"))
    stack.callback(lambda: get_reusable_executor().shutdown(wait=True, kill_workers=True))

    def run(function: Any, frame: pd.DataFrame, each: Any) -> tuple[list[Any], float]:
        began = time.perf_counter()
        found = parallel(delayed(task)((function, frame, given)) for given in each)
        return list(found), time.perf_counter() - began

    return run


def ray_objects(stack: ExitStack, workers: int) -> Runner:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    stack.callback(ray.shutdown)
    remote = ray.remote(ray_task)
    kept: list[Any] = []

    def run(function: Any, frame: pd.DataFrame, each: Any) -> tuple[list[Any], float]:
        kept[:] = [ray.put(frame)]
        began = time.perf_counter()
        found = ray.get([remote.remote(function, kept[0], given) for given in each])
        return found, time.perf_counter() - began

    return run


WAYS: dict[str, Callable[[ExitStack, int], Runner]] = {
    "SharedFrame": shared_frame,
    "pickled (multiprocessing.Pool)": pickled,
    "joblib memmap": joblib_memmap,
    "Ray": ray_objects,
}


def measure_time(names: Sequence[str], rows: Sequence[int], workers: int, rounds: int, seed: int) -> Rows:
    """Milliseconds per task of every way, size and round; the first round warms up and does not count."""
    order = random.Random(seed)
    tasks = TASKS_PER_WORKER * workers
    found: Rows = []
    with ExitStack() as stack:
        runners = {name: WAYS[name](stack, workers) for name in names}
        for size in rows:
            frame = make_frame(size)
            each = [(number,) for number in range(tasks)]
            expected = [look(frame, number) for number in range(tasks)]
            for turn in range(rounds + 1):
                for name in order.sample(names, len(names)):
                    began = time.perf_counter()
                    results, after_sharing = runners[name](look, frame, each)
                    whole = time.perf_counter() - began
                    if [result for result, _, _ in results] != expected:
                        raise SystemExit(f"{name} returned other values than the frame holds")
                    attached = [seconds for _, seconds, _ in results if seconds is not None]
                    if turn:
                        found.append(
                            {
                                "rows": size,
                                "way": name,
                                "ms_per_task": after_sharing / tasks * 1e3,
                                "ms_whole_run": whole * 1e3,
                                "ms_attach": statistics.median(attached) * 1e3
                                if name == "SharedFrame"
                                else None,
                            }
                        )
    return found


def tree_pss() -> int:
    """Bytes of this process and all below it, shared pages divided among their holders."""
    total = 0
    root = psutil.Process()
    for process in [root, *root.children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


def measure_memory(name: str, rows: int, workers: int) -> dict[str, Any]:
    """Memory that the tree of processes holds more, in frames, when every worker has read and keeps the frame.

    The first frame is small and makes the workers import everything, so that interpreters do not count.
    """
    frame = make_frame(rows)
    size = int(frame.memory_usage(deep=True).sum())
    with ExitStack() as stack:
        run = WAYS[name](stack, workers)
        for _ in range(2):
            run(keep, make_frame(1000), [()] * (TASKS_PER_WORKER * workers))
        before = tree_pss()
        results, _ = run(keep, frame, [()] * (TASKS_PER_WORKER * workers))
        after = tree_pss()
    processes = len({process for _, _, process in results})
    return {
        "way": name,
        "workers": workers,
        "workers_that_kept_it": processes,
        "frame_mb": size / 1e6,
        "added_mb": (after - before) / 1e6,
        "added_frames": (after - before) / size,
    }


def time_table(found: Rows) -> str:
    """Medians over rounds as a markdown table; ratios are medians of the rounds' ratios to SharedFrame."""
    lines = [
        "| rows | way | ms per task | range | times SharedFrame | whole run, ms | attach in the worker, ms |",
        "|---:|---|---:|---:|---:|---:|---:|",
    ]

    def of(size: int, way: str, what: str) -> list[float]:
        return [row[what] for row in found if (row["rows"], row["way"]) == (size, way)]

    for size, way in dict.fromkeys((row["rows"], row["way"]) for row in sorted(found, key=_place)):
        each = of(size, way, "ms_per_task")
        ours = of(size, "SharedFrame", "ms_per_task")
        ratio = statistics.median(a / b for a, b in zip(each, ours, strict=True)) if ours else float("nan")
        attach = f"{statistics.median(of(size, way, 'ms_attach')):.2f}" if way == "SharedFrame" else ""
        whole = statistics.median(of(size, way, "ms_whole_run"))
        lines.append(
            f"| {size:,} | {way} | {statistics.median(each):.2f} | {min(each):.2f} to {max(each):.2f} | "
            f"{ratio:.1f} | {whole:.1f} | {attach} |"
        )
    return "\n".join(lines)


def _place(row: dict[str, Any]) -> tuple[int, int]:
    return row["rows"], list(WAYS).index(row["way"])


def memory_table(found: Rows) -> str:
    """Added memory as a markdown table."""
    lines = [
        "| workers | way | frame, MB | added to the tree, MB | in frames |",
        "|---:|---|---:|---:|---:|",
    ]
    for row in found:
        lines.append(
            f"| {row['workers']} | {row['way']} | {row['frame_mb']:.1f} | {row['added_mb']:.1f} | "
            f"{row['added_frames']:.2f} |"
        )
    return "\n".join(lines)


def usable(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The ways whose packages are installed, and those left out with the reason."""
    modules = {"joblib memmap": "joblib", "Ray": "ray"}
    there, missing = [], []
    for name in names:
        try:
            if name in modules:
                __import__(modules[name])
            there.append(name)
        except ImportError as error:
            missing.append(f"{name}: {error}")
    return there, missing


def numbers(text: str) -> list[int]:
    """The integers of a comma-separated list."""
    return [int(part) for part in text.split(",") if part]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=numbers, default=[10_000, 50_000, 100_000, 1_000_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory-workers", type=numbers, default=[2, 4, 8], help="may be empty: no memory")
    parser.add_argument("--ways", default=",".join(WAYS), help=f"any of {', '.join(WAYS)}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write every single figure here")
    options = parser.parse_args(arguments)
    names, missing = usable(options.ways.split(","))
    times = measure_time(names, options.rows, options.workers, options.rounds, options.seed)
    print(f"{options.workers} workers x {TASKS_PER_WORKER} tasks, {options.rounds} rounds\n")
    print(time_table(times))
    memory = [
        measure_memory(name, max(options.rows), workers)
        for workers in options.memory_workers
        for name in names
    ]
    if memory:
        print(f"\nMemory, {max(options.rows):,} rows, every worker keeps the frame\n")
        print(memory_table(memory))
    for line in missing:
        print(f"left out: {line}")
    if options.json:
        content = {"times": times, "memory": memory, "missing": missing}
        options.json.write_text(json.dumps(content, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
