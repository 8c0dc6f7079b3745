"""Remaining time: how far the estimate of a batch's end is off, measured on real batches, and what the bar costs.

Question: how far off is the estimated end, and what does a progress bar cost in memory? Measured: the error at every
moment the bar would be redrawn, from 20 % of the tasks on, as a share of the run's length; the start of the workers
is part of the run, as it is for a user.

A bias of the estimator shows in the mean of the signed errors; where that is near zero, what is left is chance: how
the pace of the machine, or the length of the tasks to come, differs from what was seen.

Trap avoided: an estimate judged at one moment, or on a fake clock, looks exact. Here the worst moment of each run
counts, tasks do real work (sleeping costs no CPU), and unequal and slowing tasks are shown beside the equal ones.

Run: ``python benchmarks/engine/eta.py [--runs 3] [--seconds 4] [--workers 2] [--json eta.json]``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from optengine import PersistentWorkerPool
from optengine.progress import Progress, ProgressState


def spin(loops: int) -> int:
    """Work for ``loops`` rounds; the task."""
    total = 0
    for number in range(loops):
        total = (total * 31 + number) & 0xFFFF
    return total


def loops_per_second() -> float:
    """Rounds of :func:`spin` per second, the best of five tries of about 10 ms."""
    rates = []
    for _ in range(5):
        began = time.perf_counter()
        spin(200_000)
        rates.append(200_000 / (time.perf_counter() - began))
    return max(rates)


def workloads(seconds: float, workers: int, seed: int) -> dict[str, list[float]]:
    """Seconds of each task, by workload; each sums to about ``seconds`` of wall time."""
    generator = random.Random(seed)
    budget = seconds * workers

    def even(task: float) -> list[float]:
        return [task] * max(10, round(budget / task))

    uneven = [generator.lognormvariate(-4.6, 1.0) for _ in range(round(budget / 0.0166))]
    slowing = [0.01 * (1 + 2 * i / (budget / 0.02)) for i in range(round(budget / 0.02))]
    return {
        "equal, 0.2 ms": even(0.0002),
        "equal, 10 ms": even(0.01),
        "equal, 100 ms": even(0.1),
        "uneven (lognormal, sigma 1)": uneven,
        "slowing to 3x": slowing,
    }


def errors_of(states: Sequence[ProgressState], length: float) -> dict[str, float | None]:
    """Error of the estimated end as a share of the run: the worst from 20 % of the tasks on, and at some moments.

    ``signed`` is the one at 20 %, above zero when the end was expected too late.
    """
    signed = [
        (s.done / s.total, (s.elapsed_s + s.eta_s - length) / length) for s in states if s.eta_s is not None
    ]
    known = [(share, abs(error)) for share, error in signed]
    late = [error for share, error in known if share >= 0.2]
    at = {
        f"at {mark:.0%}": next((e for share, e in known if share >= mark), None) for mark in (0.2, 0.5, 0.8)
    }
    early = next((error for share, error in signed if share >= 0.2), None)
    return {"worst": max(late, default=None), "signed": early, **at}


def measure(runs: int, seconds: float, workers: int, seed: int) -> list[dict[str, Any]]:
    """One row per workload and run."""
    rate = loops_per_second()
    rows = []
    for run in range(runs):
        for name, tasks in workloads(seconds, workers, seed + run).items():
            states: list[ProgressState] = []
            with PersistentWorkerPool(workers) as pool:
                began = time.perf_counter()
                pool.run_batch(spin, [max(1, round(t * rate)) for t in tasks], progress=states.append)
                length = time.perf_counter() - began
            rows.append(
                {"workload": name, "tasks": len(tasks), "seconds": length, **errors_of(states, length)}
            )
    return rows


def bar_memory() -> int:
    """Bytes of unshared memory a bar adds to this process, the import of tqdm included; redrawn 1,000 times."""
    process = psutil.Process()
    before = process.memory_full_info().uss
    from tqdm import tqdm

    states = Progress(1000, lambda _: None)
    with open(os.devnull, "w") as nowhere, tqdm(total=1000, file=nowhere, mininterval=0) as bar, states:  # noqa: PTH123
        for done in range(1000):
            states.update(done, 0)
            bar.set_postfix_str("0 failed, 10 s left", refresh=False)
            bar.update(1)
        return process.memory_full_info().uss - before


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a markdown table: per workload the worst run, and the median of the runs at each moment."""
    lines = [
        "| workload | tasks | wall time, s | at 20 % | at 50 % | at 80 % | worst moment of all runs "
        "| signed, at 20 % (mean) |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in dict.fromkeys(row["workload"] for row in rows):
        of_it = [row for row in rows if row["workload"] == name]
        cells = [f"{statistics.median(r['seconds'] for r in of_it):.1f}"]
        for moment in ("at 20%", "at 50%", "at 80%"):
            known = [row[moment] for row in of_it if row[moment] is not None]
            cells.append(f"{statistics.median(known):.1%}" if known else "")
        worst = max((row["worst"] for row in of_it if row["worst"] is not None), default=None)
        cells.append("" if worst is None else f"{worst:.1%}")
        early = [row["signed"] for row in of_it if row["signed"] is not None]
        cells.append(f"{statistics.mean(early):+.1%}" if early else "")
        lines.append(f"| {name} | {of_it[0]['tasks']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4, help="wall time of a run, about")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write every run here")
    options = parser.parse_args(arguments)
    memory = bar_memory()
    rows = measure(options.runs, options.seconds, options.workers, options.seed)
    print(table(rows))
    print(f"\nUnshared memory of a bar, import of tqdm included: {memory / 1e6:.2f} MB")
    if options.json:
        options.json.write_text(json.dumps({"rows": rows, "bar_bytes": memory}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
