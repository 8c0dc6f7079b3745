"""Dispatch: what it costs to hand a task to a worker and to get its result back, against seven other pools.

Claim: with two workers and trivial tasks, chunk 1 is at least as fast as
``multiprocessing.Pool(chunksize=1)``; automatic chunks reach at least half of ``Pool.map`` and beat loky,
joblib, mpire and pebble; arguments of 1 MB, each a different array, go faster than with any of them.

Trap avoided: absolute rates of different runs and machines say nothing. All pools are measured in one run, in
turn, round after round in a seeded random order, each warmed up before its clock starts, and the ratio is the
median of the rounds' ratios.

Run: ``python benchmarks/engine/dispatch.py [--rounds 7] [--json dispatch.json] [--pools
optengine,multiprocessing]``. Pools whose package is missing are left out and named.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from optengine import PersistentWorkerPool

WORKERS = 2
Mapper = Callable[[Callable[[Any], Any], Sequence[Any], bool], list[Any]]


def increment(number: int) -> int:
    """The trivial task."""
    return number + 1


def corner(array: np.ndarray) -> float:
    """A task on a large argument: touches it, returns little."""
    return float(array[0] + array[-1])


def optengine_pool(stack: ExitStack) -> Mapper:
    pool = stack.enter_context(PersistentWorkerPool(WORKERS))
    return lambda task, items, one: pool.run_batch(task, items, chunksize=1 if one else "auto")


def multiprocessing_pool(stack: ExitStack) -> Mapper:
    pool = stack.enter_context(multiprocessing.get_context("fork").Pool(WORKERS))
    return lambda task, items, one: pool.map(task, items, chunksize=1 if one else None)


def process_pool_executor(stack: ExitStack) -> Mapper:
    context = multiprocessing.get_context("fork")
    pool = stack.enter_context(ProcessPoolExecutor(WORKERS, mp_context=context))
    # It has no automatic chunks; a fixed one by the rule of multiprocessing.Pool is the best it can do.
    return lambda task, items, one: list(
        pool.map(task, items, chunksize=1 if one else max(1, len(items) // (4 * WORKERS)))
    )


def loky_executor(stack: ExitStack) -> Mapper:
    from loky import get_reusable_executor

    pool = get_reusable_executor(WORKERS, timeout=600)
    stack.callback(pool.shutdown, wait=True, kill_workers=True)
    return lambda task, items, one: list(
        pool.map(task, items, chunksize=1 if one else max(1, len(items) // (4 * WORKERS)))
    )


def joblib_parallel(stack: ExitStack) -> Mapper:
    from joblib import Parallel, delayed

    one_by_one = stack.enter_context(Parallel(n_jobs=WORKERS, batch_size=1))
    automatic = stack.enter_context(Parallel(n_jobs=WORKERS, batch_size="auto"))
    return lambda task, items, one: (one_by_one if one else automatic)(delayed(task)(item) for item in items)


def mpire_pool(stack: ExitStack) -> Mapper:
    from mpire import WorkerPool

    pool = stack.enter_context(WorkerPool(n_jobs=WORKERS, start_method="fork", keep_alive=True))
    return lambda task, items, one: pool.map(
        task, [(item,) for item in items], chunk_size=1 if one else None, concatenate_numpy_output=False
    )


def pebble_pool(stack: ExitStack) -> Mapper:
    from pebble import ProcessPool

    pool = stack.enter_context(ProcessPool(WORKERS, context=multiprocessing.get_context("fork")))
    return lambda task, items, one: list(
        pool.map(task, items, chunksize=1 if one else max(1, len(items) // (4 * WORKERS))).result()
    )


def ray_pool(stack: ExitStack) -> Mapper:
    import os

    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray
    from ray.util.multiprocessing import Pool

    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    stack.callback(ray.shutdown)
    pool = stack.enter_context(Pool(WORKERS))
    return lambda task, items, one: pool.map(task, items, chunksize=1 if one else None)


POOLS: dict[str, Callable[[ExitStack], Mapper]] = {
    "optengine": optengine_pool,
    "multiprocessing.Pool": multiprocessing_pool,
    "ProcessPoolExecutor": process_pool_executor,
    "loky": loky_executor,
    "joblib": joblib_parallel,
    "mpire": mpire_pool,
    "pebble": pebble_pool,
    "Ray": ray_pool,
}
# Slow by orders of magnitude at chunk 1: fewer tasks give the same rate sooner.
SLOW = {"ProcessPoolExecutor": 10, "loky": 10, "joblib": 10, "mpire": 4, "pebble": 10, "Ray": 20}


def measure(
    rounds: int, names: Sequence[str], tasks: int, arrays: int, seed: int
) -> tuple[dict[str, Any], list[str]]:
    """Tasks per second of every pool in every round, by workload; and the pools left out, with the reason."""
    workloads: dict[str, tuple[Callable[[Any], Any], Sequence[Any], bool]] = {
        "trivial, chunk 1": (increment, list(range(tasks // 5)), True),
        "trivial, automatic": (increment, list(range(tasks)), False),
        "1 MB arrays, automatic": (corner, [np.full(131_072, float(n)) for n in range(arrays)], False),
    }
    expected = {name: [task(item) for item in items] for name, (task, items, _) in workloads.items()}
    rates: dict[str, dict[str, list[float]]] = {name: {} for name in workloads}
    missing: list[str] = []
    order = random.Random(seed)
    with ExitStack() as stack:
        mappers: dict[str, Mapper] = {}
        for name in names:
            try:
                mappers[name] = POOLS[name](stack)
            except ImportError as error:
                missing.append(f"{name}: {error}")
        for number in range(rounds + 1):  # the first round warms up
            for workload, (task, items, one) in workloads.items():
                for name in order.sample(list(mappers), len(mappers)):
                    some = items[: len(items) // SLOW.get(name, 1)] if one else items
                    began = time.perf_counter()
                    results = mappers[name](task, some, one)
                    seconds = time.perf_counter() - began
                    if results != expected[workload][: len(some)]:
                        raise SystemExit(f"{name} returned wrong results for {workload}")
                    if number:
                        rates[workload].setdefault(name, []).append(len(some) / seconds)
    return rates, missing


def summarise(rates: dict[str, Any]) -> list[dict[str, Any]]:
    """One row per workload and pool: median rate, and the median over rounds of optengine's rate over it."""
    rows = []
    for workload, by_pool in rates.items():
        ours = by_pool.get("optengine", [])
        for name, theirs in sorted(by_pool.items(), key=lambda entry: -statistics.median(entry[1])):
            ratios = [own / other for own, other in zip(ours, theirs, strict=True)] if ours else []
            rows.append(
                {
                    "workload": workload,
                    "pool": name,
                    "tasks_per_s": statistics.median(theirs),
                    "optengine_ratio": statistics.median(ratios) if ratios else None,
                    "ratio_low": min(ratios, default=None),
                    "ratio_high": max(ratios, default=None),
                }
            )
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a markdown table."""
    lines = [
        "| workload | pool | tasks/s | optengine is x times as fast | range over rounds |",
        "|---|---|---:|---:|---:|",
    ]
    for row in rows:
        ratio = "" if row["optengine_ratio"] is None else f"{row['optengine_ratio']:.2f}"
        spread = "" if row["ratio_low"] is None else f"{row['ratio_low']:.2f} to {row['ratio_high']:.2f}"
        lines.append(
            f"| {row['workload']} | {row['pool']} | {row['tasks_per_s']:,.0f} | {ratio} | {spread} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--tasks", type=int, default=100_000, help="trivial tasks per measurement (chunk 1: a fifth)"
    )
    parser.add_argument("--arrays", type=int, default=100, help="1 MB arrays per measurement")
    parser.add_argument("--pools", default=",".join(POOLS), help=f"any of {', '.join(POOLS)}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the rows and every single rate here")
    options = parser.parse_args(arguments)
    rates, missing = measure(
        options.rounds, options.pools.split(","), options.tasks, options.arrays, options.seed
    )
    rows = summarise(rates)
    print(table(rows))
    for line in missing:
        print(f"left out: {line}")
    if options.json:
        options.json.write_text(json.dumps({"rows": rows, "rates": rates, "missing": missing}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
