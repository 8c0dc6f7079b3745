"""Scaling: how much faster a search gets with workers, for evaluations of 1, 10 and 100 ms.

Claim: on two cores, two workers reach an efficiency of at least 95 % at 10 ms and 98 % at 100 ms per evaluation.

Inside the clock: the whole ``run`` of the optimizer on workers that are ready, from the first ask to the last tell, so
also the wait for the last evaluation. Beside it, in columns of their own: what starting the pool takes, the share of
the workers' time spent in evaluations, and what the machine itself gives to as many bare processes that do the same
evaluations without any pool, split evenly beforehand. No optimizer can be expected to pass that last one.

Traps avoided: evaluations burn processor time (a sleep would scale on any machine); the work of an evaluation is a
fixed number of steps, calibrated once, so a slowed clock or a busy neighbour cannot make it shorter. A speed-up is
taken within a round, and every second round goes backwards, so that a machine that gets slower favours nobody; the
figure is the median of the rounds. At the end of a run one worker may wait for the other, at most one evaluation
long: there are so many evaluations, evenly divisible by two, that this weighs less than the targets' margin.

Run: ``python benchmarks/engine/optimizer_scaling.py [--workers 1,2,4] [--rounds 4] [--json scaling.json] [--plot
scaling.svg]``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from optengine import GridSearchAlgorithm, ParallelOptimizer, PersistentWorkerPool
from optengine.optimize.backends.local import LocalBackend
from optengine.optimize.backends.serial import SerialBackend

COSTS_S = {0.001: 1500, 0.01: 400, 0.1: 140}
"""Seconds per evaluation and number of evaluations."""

TARGETS = {0.01: 0.95, 0.1: 0.98}
"""Seconds per evaluation and the least efficiency of two workers."""


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


def run(backend: Any, steps: int, trials: int) -> tuple[float, float]:
    """Seconds of one search, and of all its evaluations together."""
    algorithm = GridSearchAlgorithm({"item": range(trials), "steps": [steps]})
    optimizer = ParallelOptimizer(algorithm, backend=backend, progress=False)
    began = time.perf_counter()
    optimizer.run(burn)
    return time.perf_counter() - began, sum(trial.seconds for trial in optimizer.trials)


def bare(count: int, steps: int, trials: int) -> float:
    """Seconds that ``count`` forked processes need for the same evaluations, split evenly beforehand."""
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(count + 1)
    shares = [trials // count + (number < trials % count) for number in range(count)]
    processes = [context.Process(target=_burn_many, args=(gate, steps, share)) for share in shares]
    for process in processes:
        process.start()
    gate.wait()
    began = time.perf_counter()
    gate.wait()
    seconds = time.perf_counter() - began
    for process in processes:
        process.join()
    return seconds


def _burn_many(gate: Any, steps: int, trials: int) -> None:
    gate.wait()
    for _ in range(trials):
        burn({"steps": steps})
    gate.wait()


def pooled(count: int, steps: int, trials: int) -> tuple[float, float, float]:
    """Seconds of one search on a pool that is ready, of its evaluations, and of the pool's start and end."""
    began = time.perf_counter()
    with PersistentWorkerPool(count) as pool:
        pool.run_batch(burn, [{"steps": 1}] * 20 * count)
        ready = time.perf_counter()
        seconds, busy = run(LocalBackend(pool=pool), steps, trials)
        done = time.perf_counter()
    return seconds, busy, time.perf_counter() - done + ready - began


def amdahl(workers: Sequence[int], speedups: Sequence[float]) -> float:
    """Parallel share p of Amdahl's law 1 / ((1 - p) + p / n): least squares on 1 / speed-up, within [0, 1]."""
    x = 1.0 - 1.0 / np.array(workers, dtype=float)
    y = 1.0 - 1.0 / np.array(speedups, dtype=float)
    return float(np.clip((x * y).sum() / (x * x).sum(), 0.0, 1.0)) if (x > 0).any() else 1.0


def parallel_share(rows: Sequence[dict[str, Any]], cost: float) -> float:
    """The fit of `amdahl` to the rows of one cost."""
    mine = [row for row in rows if row["seconds_per_evaluation"] == cost]
    return amdahl([row["workers"] for row in mine], [row["speedup"] for row in mine])


def one_round(
    workers: Sequence[int], steps: int, trials: int, backwards: bool
) -> dict[int, dict[str, float]]:
    """Figures of one round by number of workers."""
    jobs: list[tuple[str, int, Callable[[], Any]]] = [
        ("serial", 1, lambda: run(SerialBackend(), steps, trials)[0])
    ]
    for count in workers:
        jobs.append(("pool", count, partial(pooled, count, steps, trials)))
        if count > 1:
            jobs.append(("bare", count, partial(bare, count, steps, trials)))
    took = {(kind, count): job() for kind, count, job in (reversed(jobs) if backwards else jobs)}
    serial = took["serial", 1]
    return {
        count: {
            "speedup": serial / seconds,
            "speedup_with_start": serial / (seconds + start),
            "start_seconds": start,
            "busy_share": busy / (count * seconds),
            "speedup_of_bare_processes": serial / took["bare", count] if count > 1 else 1.0,
        }
        for count in workers
        for seconds, busy, start in [took["pool", count]]
    }


def measure(workers: Sequence[int], rounds: int) -> list[dict[str, Any]]:
    rows = []
    for seconds, trials in COSTS_S.items():
        steps = calibrated_steps(seconds)
        done = [one_round(workers, steps, trials, number % 2 == 1) for number in range(rounds)]
        for count in workers:
            mine = [figures[count] for figures in done]
            medians = {name: statistics.median(figures[name] for figures in mine) for name in mine[0]}
            every = [figures["speedup"] / count for figures in mine]
            rows.append(
                {
                    "seconds_per_evaluation": seconds,
                    "trials": trials,
                    "workers": count,
                    **medians,
                    "efficiency": medians["speedup"] / count,
                    "efficiency_of_each_round": every,
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
        label = f"{1000 * cost:g} ms, parallel share {parallel_share(rows, cost):.1%}"
        axes.plot([row["workers"] for row in mine], [row["speedup"] for row in mine], marker="o", label=label)
    axes.set_xlabel("workers")
    axes.set_ylabel("speed-up over the serial backend")
    axes.set_xticks(counts)
    axes.legend()
    figure.savefig(path)


def missed(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What the claim says of these rows and does not hold, one line each."""
    return [
        f"missed: {1000 * cost:g} ms, 2 workers: efficiency {row['efficiency']:.1%}, at least {least:.0%} wanted"
        for row in rows
        for cost, least in TARGETS.items()
        if (row["seconds_per_evaluation"], row["workers"]) == (cost, 2) and row["efficiency"] < least
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument(
        "--again", type=Path, metavar="JSON", help="show and draw what an earlier run measured"
    )
    arguments = parser.parse_args()
    if arguments.again:
        rows = json.loads(arguments.again.read_text())
    else:
        rows = measure([int(part) for part in arguments.workers.split(",")], arguments.rounds)
    print(
        "| per evaluation | workers | speed-up | efficiency (all rounds) | bare processes | busy | start | with start |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        every = row["efficiency_of_each_round"]
        print(
            f"| {1000 * row['seconds_per_evaluation']:g} ms | {row['workers']} | {row['speedup']:.2f} | "
            f"{row['efficiency']:.1%} ({min(every):.1%} to {max(every):.1%}) | "
            f"{row['speedup_of_bare_processes']:.2f} | {row['busy_share']:.1%} | {row['start_seconds']:.2f} s | "
            f"{row['speedup_with_start']:.2f} |"
        )
    print(
        "\nspeed-up, with start and bare processes: over the serial backend; busy: share of the workers' time spent in "
        "evaluations; start: of the pool, its end included."
    )
    for cost in COSTS_S:
        share = parallel_share(rows, cost)
        print(f"Amdahl's law fits {1000 * cost:g} ms with a parallel share of {share:.1%}.")
    failures = missed(rows)
    print("", *(failures or ["Every target that was measured is met."]), sep="\n")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    if arguments.plot:
        plot(rows, arguments.plot)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
