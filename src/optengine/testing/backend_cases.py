"""What every backend of the optimizer must satisfy: subclass, say how to make yours, inherit the tests.

    class TestMine(BackendCases):
        def make(self, n_jobs, **limits):
            return MyBackend(n_jobs, **limits)

The objectives live here, at module level, because every worker can import them. Run with pytest, which this
module does not import. Directories for marks come from ``tempfile``; nothing is left behind.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optengine.optimize.backends.base import Backend
from optengine.optimize.backends.serial import SerialBackend
from optengine.optimize.objective import Context
from optengine.optimize.optimizer import ParallelOptimizer
from optengine.search.bohb import BOHBSearchAlgorithm
from optengine.search.genetic import GeneticSearchAlgorithm
from optengine.search.grid import GridSearchAlgorithm
from optengine.search.random_search import RandomSearchAlgorithm

SPACE = {
    "x": {"type": "uniform", "low": -5, "high": 5},
    "n": {"type": "integer", "low": 1, "high": 9},
    "kind": {"type": "categorical", "choices": ["a", "b"]},
}


def smooth(params: dict[str, Any]) -> float:
    """A value without noise, best at x = 1, n = 4, kind = a."""
    return float(-((params["x"] - 1) ** 2) - 0.1 * (params["n"] - 4) ** 2 - (params["kind"] != "a"))


def delayed(params: dict[str, Any], context: Context) -> float:
    """Noise from the trial's generator after a pause that differs from run to run."""
    time.sleep(os.urandom(1)[0] / 255 * 0.01)
    return smooth(params) + 0.1 * float(context.rng.normal()) + 0.01 * (context.budget or 0.0)


def dying_once(params: dict[str, Any], context: Context) -> float:
    """Like ``delayed``, but about one trial in six kills its own worker at its first attempt."""
    if context.trial_id % 6 == 4:
        mark = Path(context.shared("marks")) / str(context.trial_id)
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return delayed(params, context)


def misbehaving(params: dict[str, Any]) -> float:
    """Each number does something else: a value, an exception, None, NaN, an infinity, text, an exit."""
    number = params["number"]
    if number == 1:
        raise ValueError("one is refused")
    answers = {2: None, 3: float("nan"), 4: float("inf"), 5: "five"}
    if number == 6:
        raise SystemExit(3)
    answer: Any = answers.get(number, float(number))
    return answer  # type: ignore[no-any-return]


def deadly(params: dict[str, Any]) -> float:
    """Number 3 kills its worker each time."""
    if params["number"] == 3:
        os._exit(7)
    return float(params["number"])


def hanging(params: dict[str, Any]) -> float:
    """Number 3 never ends."""
    while params["number"] == 3:
        time.sleep(0.05)
    return float(params["number"])


def greedy(params: dict[str, Any]) -> float:
    """Number 3 takes memory until somebody stops it (at 2 GB it gives up)."""
    held: list[bytearray] = []
    while params["number"] == 3 and len(held) < 200:
        held.append(bytearray(os.urandom(1024) * (10 << 10)))
        time.sleep(0.02)
    return float(params["number"])


def reporting(params: dict[str, Any], context: Context) -> float:
    """Reports three steps and returns what was shared."""
    for step in range(3):
        context.report(params["number"] / (step + 1), step)
    return float(context.shared("table")[params["number"]])


class BackendCases:
    """Tests of the contract in ``optengine.optimize.backends.base`` through ``ParallelOptimizer``."""

    worker_counts: tuple[int, ...] = (1, 2, 3, 7)
    """Numbers of workers whose histories are compared."""

    def make(self, n_jobs: int, **options: Any) -> Backend:
        """A backend that has not started; ``options`` may hold shared, max_eval_time and memory_limit."""
        raise NotImplementedError

    def run(self, algorithm: Any, objective: Any, n_jobs: int = 2, **options: Any) -> ParallelOptimizer:
        """One finished run on the backend under test."""
        own = {name: options.pop(name) for name in ("max_eval_time", "memory_limit") if name in options}
        backend = self.make(n_jobs, shared=options.pop("shared", None), **own)
        return finished(algorithm, objective, backend, **options)

    def test_the_history_is_that_of_the_serial_run(self) -> None:
        """For any number of workers and random delays the history equals the serial one byte for byte."""
        for make in (
            lambda: RandomSearchAlgorithm(SPACE, 40, seed=3),
            lambda: GeneticSearchAlgorithm(SPACE, 40, seed=3, population=10),
            lambda: BOHBSearchAlgorithm(SPACE, 1, 9, n_iter=40, seed=3),
        ):
            expected = finished(make(), delayed, SerialBackend()).history_bytes()
            for n_jobs in self.worker_counts:
                assert self.run(make(), delayed, n_jobs).history_bytes() == expected, n_jobs

    def test_every_kind_of_bad_answer_is_a_failed_trial(self) -> None:
        """Exceptions, exits and answers that are no finite number fail their trial, with the reason, and no other."""
        run = self.run(GridSearchAlgorithm({"number": list(range(8))}), misbehaving, max_failures=None)
        errors = {trial.params["number"]: trial.error for trial in run.trials if trial.state == "failed"}
        assert sorted(errors) == [1, 2, 3, 4, 5, 6]
        texts = (
            "ValueError: one is refused",
            "returned None",
            "returned nan",
            "returned inf",
            "'five'",
            "SystemExit: 3",
        )
        assert all(text in str(errors[number]) for number, text in enumerate(texts, start=1))
        assert "one is refused" in str(run.trials[1].details)
        assert run.get_best_params() == {"number": 7}

    def test_reports_and_shared_objects_reach_the_trial(self) -> None:
        """Reported values come back with their trial; shared objects are found by name in the worker."""
        table = {number: number * 10.0 for number in range(4)}
        run = self.run(GridSearchAlgorithm({"number": list(range(4))}), reporting, shared={"table": table})
        assert [trial.value for trial in run.trials] == [0.0, 10.0, 20.0, 30.0]
        assert [report.value for report in run.trials[3].reports] == [3.0, 1.5, 1.0]

    def test_a_closure_can_be_the_objective(self) -> None:
        """A lambda that closes over a variable runs in the workers too."""
        factor = 3.0
        run = self.run(GridSearchAlgorithm({"n": [1, 2]}), lambda params: params["n"] * factor)
        assert [trial.value for trial in run.trials] == [3.0, 6.0]

    def test_a_stop_rule_cuts_every_run_at_the_same_trial(self) -> None:
        """With a target the history, cancelled trials included, is the serial one for any number of workers."""
        rule = {"target": -0.5, "window": 6}
        expected = finished(RandomSearchAlgorithm(SPACE, 200, seed=1), smooth, SerialBackend(), **rule)
        assert [trial.state for trial in expected.trials[-5:]] == ["cancelled"] * 5
        for n_jobs in self.worker_counts[:3]:
            run = self.run(RandomSearchAlgorithm(SPACE, 200, seed=1), smooth, n_jobs, **rule)
            assert run.stop_reason == "target reached"
            assert run.history_bytes() == expected.history_bytes()

    def test_a_stream_left_early_ends_the_run(self) -> None:
        """Leaving the loop over a stream closes the backend; the trials seen so far were in order."""
        backend = self.make(2)
        optimizer = ParallelOptimizer(
            RandomSearchAlgorithm(SPACE, 500, seed=1), backend=backend, progress=False
        )
        stream = optimizer.stream(smooth, ordered=True)
        seen = [next(stream).trial_id for _ in range(5)]
        stream.close()  # type: ignore[attr-defined]
        assert seen == [0, 1, 2, 3, 4]


class IsolationCases(BackendCases):
    """Further tests for backends whose evaluations run in processes that may die or be killed."""

    def test_workers_killed_at_random_change_nothing(self) -> None:
        """Trials whose worker is killed once are tried again and the history stays the serial one."""
        expected = finished(
            RandomSearchAlgorithm(SPACE, 24, seed=5), delayed, SerialBackend()
        ).history_bytes()
        for n_jobs in self.worker_counts[-2:]:
            with directory() as marks:
                run = self.run(
                    RandomSearchAlgorithm(SPACE, 24, seed=5), dying_once, n_jobs, shared={"marks": marks}
                )
            assert run.history_bytes() == expected
            assert [trial.trial_id for trial in run.trials if trial.attempts == 2] == [4, 10, 16, 22]

    def test_a_deadly_trial_fails_after_its_attempts(self) -> None:
        """A trial that kills every worker has failed after max_attempts; all others have their values."""
        run = self.run(GridSearchAlgorithm({"number": list(range(6))}), deadly, max_attempts=3)
        assert [trial.value for trial in run.trials] == [0.0, 1.0, 2.0, None, 4.0, 5.0]
        assert str(run.trials[3].error).startswith("crash:")
        assert run.trials[3].attempts == 3

    def test_a_hanging_trial_is_ended_by_the_time_limit(self) -> None:
        """A trial over max_eval_time fails as a time-out after one attempt; all others have their values."""
        run = self.run(GridSearchAlgorithm({"number": list(range(6))}), hanging, max_eval_time=4.0)
        assert [trial.value for trial in run.trials] == [0.0, 1.0, 2.0, None, 4.0, 5.0]
        assert str(run.trials[3].error).startswith("timeout:")

    def test_a_greedy_trial_is_ended_by_the_memory_limit(self) -> None:
        """A trial over memory_limit fails for its memory; all others have their values."""
        run = self.run(GridSearchAlgorithm({"number": list(range(6))}), greedy, memory_limit="600MB")
        assert [trial.value for trial in run.trials] == [0.0, 1.0, 2.0, None, 4.0, 5.0]
        assert str(run.trials[3].error).startswith("memory:")


def finished(algorithm: Any, objective: Any, backend: Backend, **options: Any) -> ParallelOptimizer:
    """A run on this backend, to its end, without a progress bar."""
    optimizer = ParallelOptimizer(algorithm, backend=backend, progress=False, **options)
    optimizer.run(objective)
    return optimizer


@contextmanager
def directory() -> Iterator[str]:
    """A temporary directory that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="optengine-cases-") as path:
        yield path
