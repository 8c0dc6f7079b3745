"""Driver overhead: what one trial costs when the objective costs nothing, beside other ways to run a random search.

Claim: grid and random search cost below 150 microseconds of driver per trial, as much at 10,000 trials as at 100; a
journal adds below 5 % to a run with 10 ms per evaluation.

Trap avoided: pools are started and warmed outside the clock for all alike, since their start is another figure; every
loop draws its points itself, so drawing is paid by all; the ways take turns, round after round in a seeded random
order, and medians are shown. What the driver spends while workers work is hidden in real runs, so the wall time per
trial with nothing to do is an upper bound.

Run: ``python benchmarks/engine/optimizer_overhead.py [--rounds 5] [--json overhead.json] [--ray]``.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from optengine import GridSearchAlgorithm, ParallelOptimizer, PersistentWorkerPool, RandomSearchAlgorithm
from optengine.optimize.backends.local import LocalBackend
from optengine.optimize.backends.serial import SerialBackend

WORKERS = 2
SPACE = {
    "x": {"type": "uniform", "low": -5, "high": 5},
    "y": {"type": "uniform", "low": -5, "high": 5},
    "n": {"type": "integer", "low": 1, "high": 9},
}
Loop = Callable[[int], Any]


def bowl(params: dict[str, Any]) -> float:
    """The objective: a few operations."""
    return -((params["x"] - 1) ** 2) - params["y"] ** 2 - params["n"]


def ours(
    backend: Callable[[], Any], grid: bool = False, journal: Path | None = None
) -> Callable[[int], ParallelOptimizer]:
    def loop(trials: int) -> ParallelOptimizer:
        if journal is not None:
            journal.unlink(missing_ok=True)
        algorithm = (
            GridSearchAlgorithm({"x": range(trials // 10), "y": range(5), "n": range(2)})
            if grid
            else RandomSearchAlgorithm(SPACE, trials, seed=1)
        )
        optimizer = ParallelOptimizer(algorithm, backend=backend(), progress=False, checkpoint=journal)
        optimizer.run(bowl)
        return optimizer

    return loop


def optuna_loop(sampler: str) -> Loop:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: Any) -> float:
        return bowl(
            {
                "x": trial.suggest_float("x", -5, 5),
                "y": trial.suggest_float("y", -5, 5),
                "n": trial.suggest_int("n", 1, 9),
            }
        )

    def loop(trials: int) -> None:
        samplers = {"random": optuna.samplers.RandomSampler, "tpe": optuna.samplers.TPESampler}
        optuna.create_study(sampler=samplers[sampler](seed=1)).optimize(objective, n_trials=trials)

    return loop


def points(trials: int) -> list[dict[str, Any]]:
    algorithm = RandomSearchAlgorithm(SPACE, trials, seed=1)
    return [algorithm.suggest() for _ in range(trials)]


def joblib_loop(stack: ExitStack) -> Loop:
    from joblib import Parallel, delayed

    parallel = stack.enter_context(Parallel(n_jobs=WORKERS, return_as="generator_unordered"))
    return lambda trials: list(parallel(delayed(bowl)(point) for point in points(trials)))


def ray_loop(stack: ExitStack) -> Loop:
    import ray

    from optengine.optimize.backends.ray import RayBackend

    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False)
    stack.callback(ray.shutdown)
    return ours(lambda: RayBackend(WORKERS))


def measure(rounds: int, with_ray: bool) -> dict[str, Any]:
    """Median seconds per trial of every way at every length, and the ratio of journal to no journal at 10 ms."""
    lengths = (100, 1000, 10_000)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pool = stack.enter_context(PersistentWorkerPool(WORKERS))
        ways: dict[str, tuple[Loop, tuple[int, ...]]] = {
            "serial, random": (ours(SerialBackend), lengths),
            "serial, grid": (ours(SerialBackend, grid=True), lengths),
            "serial, random, journal": (ours(SerialBackend, journal=folder / "serial.jsonl"), lengths),
            "local, random": (ours(lambda: LocalBackend(pool=pool)), lengths),
            "local, grid": (ours(lambda: LocalBackend(pool=pool), grid=True), lengths),
            "local, random, journal": (
                ours(lambda: LocalBackend(pool=pool), journal=folder / "local.jsonl"),
                lengths,
            ),
            "Optuna's loop, random": (optuna_loop("random"), lengths[:2]),
            "Optuna's loop, TPE": (optuna_loop("tpe"), lengths[:1]),
            "joblib (loky), random": (joblib_loop(stack), lengths),
        }
        if with_ray:
            ways["Ray backend, random"] = (ray_loop(stack), lengths[:2])
        for loop, _ in ways.values():
            loop(50)
        seconds: dict[str, dict[int, list[float]]] = {}
        cells = [(name, trials) for name, (_, sizes) in ways.items() for trials in sizes]
        order = random.Random(1)
        for _ in range(rounds):
            order.shuffle(cells)
            for name, trials in cells:
                began = time.perf_counter()
                ways[name][0](trials)
                seconds.setdefault(name, {}).setdefault(trials, []).append(
                    (time.perf_counter() - began) / trials
                )
    return {
        "workers": WORKERS,
        "rounds": rounds,
        "microseconds_per_trial": {
            name: {trials: 1e6 * statistics.median(values) for trials, values in sorted(rows.items())}
            for name, rows in seconds.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--ray", action="store_true", help="also through the Ray backend (takes a minute)")
    arguments = parser.parse_args()
    result = measure(arguments.rounds, arguments.ray)
    table = result["microseconds_per_trial"]
    print("| microseconds per trial | 100 | 1,000 | 10,000 |\n|---|---|---|---|")
    for name, row in table.items():
        print(
            f"| {name} | "
            + " | ".join(f"{row[n]:.0f}" if n in row else "" for n in (100, 1000, 10_000))
            + " |"
        )
    for backend in ("serial", "local"):
        plain, journal = table[f"{backend}, random"][10_000], table[f"{backend}, random, journal"][10_000]
        result[f"{backend}_journal_share_of_10ms"] = share = max(0.0, journal - plain) / 10_000
        print(
            f"{backend}: a journal of 10,000 trials costs {journal - plain:.0f} us per trial, {share:.2%} of a 10 ms "
            "run"
        )
        growth = table[f"{backend}, random"][10_000] / table[f"{backend}, random"][1000]
        print(f"{backend}: cost per trial at 10,000 over that at 1,000: {growth:.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
