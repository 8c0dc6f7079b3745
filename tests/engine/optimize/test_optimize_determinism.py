"""The history is a function of seed, space, algorithm, window, data and objective, and of nothing else."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from optimize_tasks import SPACE, jittery, noisy

from optengine.optimize import ParallelOptimizer
from optengine.search import (
    BayesianSearchAlgorithm,
    BOHBSearchAlgorithm,
    CMAESSearchAlgorithm,
    GeneticSearchAlgorithm,
    GridSearchAlgorithm,
    RandomSearchAlgorithm,
    SearchAlgorithm,
    Space,
)

ALGORITHMS: dict[str, Callable[[int], SearchAlgorithm]] = {
    "grid": lambda seed: GridSearchAlgorithm(
        {"x": [-1.0, 0.5, 2.0], "n": [1, 4, 7], "k": ["a", "b"], "z": [0.1, 0.9]}, seed
    ),
    "random": lambda seed: RandomSearchAlgorithm(SPACE, 40, seed),
    "tpe": lambda seed: BayesianSearchAlgorithm(SPACE, 40, seed, startup=8),
    "genetic": lambda seed: GeneticSearchAlgorithm(SPACE, 40, seed, population=9),
    "cmaes": lambda seed: CMAESSearchAlgorithm(SPACE, 40, seed),
    "bohb": lambda seed: BOHBSearchAlgorithm(SPACE, 1, 9, n_iter=40, seed=seed),
}


def parallel(algorithm: SearchAlgorithm, workers: int, folder: Path, **options: object) -> ParallelOptimizer:
    """A run whose trials are delayed and killed at random."""
    marks = folder / f"{algorithm.name}-{algorithm.seed}-{workers}"
    marks.mkdir()
    optimizer = ParallelOptimizer(
        algorithm,
        workers,
        progress=False,
        shared={"marks": str(marks)},
        max_failures=None,
        backend_options={"start_method": "fork"},
        **options,  # type: ignore[arg-type]
    )
    optimizer.run(jittery)
    retried = {trial.trial_id for trial in optimizer.trials if trial.attempts == 2}
    assert retried == {int(mark.name) for mark in marks.iterdir()}
    return optimizer


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_the_history_is_the_same_for_any_number_of_workers(name: str, tmp_path: Path) -> None:
    """Serial and 1, 2, 3 and 7 workers, under random delays and random kills, agree byte for byte."""
    seed = 3
    reference = ParallelOptimizer(ALGORITHMS[name](seed), backend="serial", progress=False, max_failures=None)
    reference.run(noisy)
    for workers in (1, 2, 3, 7):
        run = parallel(ALGORITHMS[name](seed), workers, tmp_path)
        assert run.history_bytes() == reference.history_bytes(), workers
        assert run.get_best_params() == reference.get_best_params()


@pytest.mark.skipif(
    find_spec("torch") is None, reason="Optuna's Gaussian process needs torch, which is not installed"
)
def test_the_gaussian_process_gives_the_same_history_for_any_number_of_workers(tmp_path: Path) -> None:
    """The Gaussian process, serial and with 1 and 3 workers under random delays and kills, agrees byte for byte."""

    def search() -> SearchAlgorithm:
        return BayesianSearchAlgorithm(SPACE, 12, 3, sampler="gp", startup=5)

    reference = ParallelOptimizer(search(), backend="serial", progress=False, max_failures=None)
    reference.run(noisy)
    for workers in (1, 3):
        assert parallel(search(), workers, tmp_path).history_bytes() == reference.history_bytes(), workers


@pytest.mark.parametrize("name", ["tpe", "genetic", "bohb"])
def test_the_window_fixes_the_history_and_workers_do_not(name: str, tmp_path: Path) -> None:
    """Another window may give another history, yet for each window all worker counts agree."""
    for window in (1, 3, 20):
        reference = ParallelOptimizer(
            ALGORITHMS[name](1), backend="serial", progress=False, max_failures=None, window=window
        )
        reference.run(noisy)
        folder = tmp_path / str(window)
        folder.mkdir()
        assert (
            parallel(ALGORITHMS[name](1), 3, folder, window=window).history_bytes()
            == reference.history_bytes()
        )


def test_asks_and_tells_come_in_the_documented_order() -> None:
    """With window 3 the calls are ask 0, 1, 2, tell 0, ask 3, tell 1, ... for serial and for parallel runs."""

    class Recorded(RandomSearchAlgorithm):
        def __init__(self) -> None:
            super().__init__(Space({"x": SPACE["x"]}), 6, seed=1)
            self.log: list[str] = []

        def ask(self):  # type: ignore[no-untyped-def]
            suggestion = super().ask()
            if suggestion is not None:
                self.log.append(f"ask {suggestion.trial_id}")
            return suggestion

        def tell(self, trial_id: int, score: float | None) -> None:
            self.log.append(f"tell {trial_id}")
            super().tell(trial_id, score)

    expected = [
        "ask 0",
        "ask 1",
        "ask 2",
        "tell 0",
        "ask 3",
        "tell 1",
        "ask 4",
        "tell 2",
        "ask 5",
        "tell 3",
        "tell 4",
        "tell 5",
    ]
    for options in ({"backend": "serial"}, {"n_jobs": 3, "backend_options": {"start_method": "fork"}}):
        algorithm = Recorded()
        ParallelOptimizer(algorithm, window=3, progress=False, **options).run(lambda params: params["x"])
        assert algorithm.log == expected


def test_streams_come_in_order_on_request_and_as_completed_otherwise() -> None:
    """Both kinds of stream hold every trial once; the ordered one counts up."""
    for ordered in (True, False):
        optimizer = ParallelOptimizer(
            RandomSearchAlgorithm(SPACE, 30, seed=1),
            3,
            progress=False,
            max_failures=None,
            backend_options={"start_method": "fork"},
        )
        numbers = [trial.trial_id for trial in optimizer.stream(noisy, ordered=ordered)]
        assert sorted(numbers) == list(range(30))
        assert numbers == sorted(numbers) or not ordered


def test_minimizing_is_maximizing_the_negative() -> None:
    """The points of a minimization are those of the maximization of the negated objective; values keep their sign."""
    up = ParallelOptimizer(ALGORITHMS["genetic"](2), backend="serial", progress=False)
    up.run(lambda params: -params["x"])
    down = ParallelOptimizer(ALGORITHMS["genetic"](2), backend="serial", progress=False, direction="minimize")
    down.run(lambda params: params["x"])
    assert [t.params for t in up.trials] == [t.params for t in down.trials]
    assert [t.value for t in down.trials] == [-(t.value or 0.0) for t in up.trials]
    best = down.get_best_result()
    assert best is not None
    assert best.value == min(t.value for t in down.trials if t.value is not None)
