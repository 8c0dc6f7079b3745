"""Scaling: how much faster a search gets with workers, for evaluations of 1, 10 and 100 ms.

Claim: on two cores, two workers reach an efficiency of at least 95 % at 10 ms and 98 % at 100 ms per evaluation.

Trap avoided: evaluations burn processor time (a sleep would scale on any machine); the work of an evaluation is a fixed
number of steps, calibrated once, so a slowed clock or a busy neighbour cannot make it shorter; serial and parallel runs
take turns, and the speed-up is the median of the rounds' own ratios. Starting the pool is inside the clock in one
column and outside in the other.

Run: ``python benchmarks/engine/optimizer_scaling.py [--workers 1,2,4] [--rounds 5] [--json scaling.json] [--plot
scaling.svg]``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from optengine import GridSearchAlgorithm, ParallelOptimizer, PersistentWorkerPool
from optengine.optimize.backends.local import LocalBackend
from optengine.optimize.backends.serial import SerialBackend

COSTS_S = {0.001: 1500, 0.01: 400, 0.1: 60}
"""Seconds per evaluation and number of evaluations."""


def burn(params: dict[str, Any]) -> float:
    """A fixed number of steps of pure Python arithmetic."""
    value = 0.5
    for _ in range(params["steps"]):
        value = value * 3.7 * (1.0 - value)
    return value


def calibrated_steps(seconds: float) -> int:
    """Steps that take about ``seconds`` on this machine now: the fastest of five readings."""
    probe = 20_000
    readings = []
    for _ in range(5):
        began = time.perf_counter()
        burn({"steps": probe})
        readings.append(time.perf_counter() - began)
    return max(1, round(probe * seconds / min(readings)))


def run(backend: Any, steps: int, trials: int) -> float:
    """Seconds of one search."""
    algorithm = GridSearchAlgorithm({"item": range(trials), "steps": [steps]})
    began = time.perf_counter()
    ParallelOptimizer(algorithm, backend=backend, progress=False).run(burn)
    return time.perf_counter() - began


def amdahl(workers: Sequence[int], speedups: Sequence[float]) -> float:
    """Parallel share p of Amdahl's law 1 / ((1 - p) + p / n): least squares on 1 / speed-up, within [0, 1]."""
    x = 1.0 - 1.0 / np.array(workers, dtype=float)
    y = 1.0 - 1.0 / np.array(speedups, dtype=float)
    return float(np.clip((x * y).sum() / (x * x).sum(), 0.0, 1.0)) if (x > 0).any() else 1.0


def measure(workers: Sequence[int], rounds: int) -> list[dict[str, Any]]:
    rows = []
    for seconds, trials in COSTS_S.items():
        steps = calibrated_steps(seconds)
        ratios: dict[int, list[tuple[float, float]]] = {count: [] for count in workers}
        for _ in range(rounds):
            serial = run(SerialBackend(), steps, trials)
            for count in workers:
                cold = run(LocalBackend(count), steps, trials)
                with PersistentWorkerPool(count) as pool:
                    pool.run_batch(burn, [{"steps": 1}] * 20 * count)
                    warm = run(LocalBackend(pool=pool), steps, trials)
                ratios[count].append((serial / warm, serial / cold))
        for count in workers:
            warm_ratio, cold_ratio = (
                statistics.median(column) for column in zip(*ratios[count], strict=True)
            )
            rows.append(
                {
                    "seconds_per_evaluation": seconds,
                    "trials": trials,
                    "workers": count,
                    "speedup": warm_ratio,
                    "efficiency": warm_ratio / count,
                    "speedup_with_start": cold_ratio,
                }
            )
    return rows


def plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Speed-up over workers, one line per cost, with the ideal line and each Amdahl fit."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    counts = sorted({row["workers"] for row in rows})
    axes.plot(counts, counts, color="grey", linestyle=":", label="ideal")
    for cost in COSTS_S:
        mine = [row for row in rows if row["seconds_per_evaluation"] == cost]
        share = amdahl([row["workers"] for row in mine], [row["speedup"] for row in mine])
        label = f"{1000 * cost:g} ms, parallel share {share:.1%}"
        axes.plot([row["workers"] for row in mine], [row["speedup"] for row in mine], marker="o", label=label)
    axes.set_xlabel("workers")
    axes.set_ylabel("speed-up over the serial backend")
    axes.set_xticks(counts)
    axes.legend()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    rows = measure([int(part) for part in arguments.workers.split(",")], arguments.rounds)
    print(
        "| per evaluation | workers | speed-up | efficiency | speed-up, pool start included |\n|---|---|---|---|---|"
    )
    for row in rows:
        print(
            f"| {1000 * row['seconds_per_evaluation']:g} ms | {row['workers']} | {row['speedup']:.2f} | "
            f"{row['efficiency']:.1%} | {row['speedup_with_start']:.2f} |"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    if arguments.plot:
        plot(rows, arguments.plot)


if __name__ == "__main__":
    main()
