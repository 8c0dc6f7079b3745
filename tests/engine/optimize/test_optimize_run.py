"""``ParallelOptimizer`` itself: results, stop rules, failures, statistics, configuration."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from optimize_tasks import SPACE, noisy, smooth

import optengine
from optengine.optimize import OptimizeError, ParallelOptimizer, TooManyFailuresError, Trial
from optengine.optimize.backends.serial import SerialBackend
from optengine.optimize.progress import ProgressBar
from optengine.search import BOHBSearchAlgorithm, GridSearchAlgorithm, RandomSearchAlgorithm, SearchAlgorithm


def serial(algorithm: Any, objective: Any, **options: Any) -> ParallelOptimizer:
    run = ParallelOptimizer(algorithm, backend="serial", progress=False, **options)
    run.run(objective)
    return run


def numbers(count: int) -> GridSearchAlgorithm:
    return GridSearchAlgorithm({"n": list(range(count))})


def failing_from(first: int) -> Any:
    def objective(params: dict[str, Any]) -> float:
        if params["n"] >= first:
            raise ValueError(f"no {params['n']}")
        return float(params["n"])

    return objective


def test_the_names_are_found_at_the_top_of_the_package() -> None:
    """Everything a user needs comes from ``optengine`` itself."""
    for name in (
        "ParallelOptimizer",
        "Space",
        "GridSearchAlgorithm",
        "RandomSearchAlgorithm",
        "BayesianSearchAlgorithm",
        "GeneticSearchAlgorithm",
        "CMAESSearchAlgorithm",
        "BOHBSearchAlgorithm",
    ):
        assert getattr(optengine, name).__name__ == name
        assert name in optengine.__all__


def test_the_best_trial_is_returned() -> None:
    """``run`` returns the best trial, which ``get_best_result`` and ``get_best_params`` repeat."""
    optimizer = ParallelOptimizer(numbers(5), backend="serial", progress=False)
    best = optimizer.run(lambda params: -((params["n"] - 3) ** 2))
    assert best is not None
    assert (best.trial_id, best.value, best.params) == (3, 0.0, {"n": 3})
    assert optimizer.get_best_result() == best
    assert optimizer.get_best_params() == {"n": 3}


def test_the_history_is_a_table() -> None:
    """One row per trial with the documented columns; parameters that do not exist are missing."""
    frame = serial(RandomSearchAlgorithm(SPACE, 30, seed=1), noisy, max_failures=None).history()
    assert list(frame.columns[:1]) == ["trial"]
    assert set(frame.columns[1:5]) == {"x", "n", "k", "z"}
    assert list(frame.columns[5:]) == ["value", "state", "budget", "attempts", "worker", "seconds", "error"]
    assert list(frame["trial"]) == list(range(30))
    assert frame["z"].isna().equals(frame["k"] == "a")
    failed = frame[frame["state"] == "failed"]
    assert len(failed) > 0
    assert failed["value"].isna().all()
    assert (failed["n"] == 7).all()
    assert failed["error"].str.contains("ValueError: seven").all()


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_the_history_is_saved(suffix: str, tmp_path: Path) -> None:
    """The saved file holds the table; nothing else stays in the folder."""
    run = serial(RandomSearchAlgorithm(SPACE, 10, seed=1), smooth)
    file = tmp_path / f"trials{suffix}"
    run.save(file)
    again = pd.read_parquet(file) if suffix == ".parquet" else pd.read_csv(file)
    assert list(again["value"]) == list(run.history()["value"])
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(OptimizeError, match=r"must end in \.parquet or \.csv; received 'x\.txt'"):
        run.save("x.txt")


def test_patience_counts_trials_without_improvement() -> None:
    """The run ends at the n-th told trial in a row that is not better; equal is not better."""
    values = [1, 2, 2, 2, 3, 1, 1, 1, 9, 9]
    run = serial(numbers(10), lambda params: values[params["n"]], patience=3, window=2)
    assert run.stop_reason == "no improvement in 3 trials"
    assert [trial.state for trial in run.trials] == ["complete"] * 8 + ["cancelled"]
    assert run.get_best_params() == {"n": 4}


@pytest.mark.parametrize(("direction", "target", "last"), [("maximize", 6, 6), ("minimize", -3, 3)])
def test_target_ends_the_run_in_either_direction(direction: str, target: float, last: int) -> None:
    """The first told trial at least as good as the target is the last one."""
    sign = 1 if direction == "maximize" else -1
    run = serial(numbers(10), lambda params: sign * params["n"], direction=direction, target=target, window=1)
    assert run.stop_reason == "target reached"
    assert run.trials[-1].trial_id == last


def test_failures_end_the_run_at_a_count() -> None:
    """A whole number of failures is the limit; the error names the last one and the history is kept."""
    optimizer = ParallelOptimizer(numbers(20), backend="serial", progress=False, max_failures=3)
    with pytest.raises(
        TooManyFailuresError, match=r"received 3 of 8, the last one \(trial 7\) with: ValueError: no 7"
    ):
        optimizer.run(failing_from(5))
    assert len(optimizer.trials) == 8
    assert optimizer.get_best_params() == {"n": 4}


def test_failures_end_the_run_at_a_share() -> None:
    """A share is judged from the tenth trial on; the default is one half; None never ends a run."""
    optimizer = ParallelOptimizer(numbers(40), backend="serial", progress=False)
    with pytest.raises(TooManyFailuresError, match=r"at most 50% failed evaluations; received 7 of 13"):
        optimizer.run(failing_from(6))
    assert len(serial(numbers(9), failing_from(0)).trials) == 9
    run = serial(numbers(20), failing_from(0), max_failures=None)
    assert run.get_best_result() is None
    with pytest.raises(
        OptimizeError, match=r"there must be a complete trial .* received 20 trials, none complete"
    ):
        run.get_best_params()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_jobs": 0}, "n_jobs: Input should be greater than or equal to 1; received 0"),
        ({"n_jobs": 2.0}, "n_jobs: Input should be a valid integer; received 2.0"),
        ({"max_eval_time": -1}, "max_eval_time: Input should be greater than 0; received -1"),
        ({"memory_limit": 0}, "memory_limit: memory must be at least one byte"),
        (
            {"memory_limit": "much"},
            "memory_limit: memory must be a number of bytes or a text such as '512MB'",
        ),
        ({"max_attempts": 0}, "max_attempts: Input should be"),
        ({"direction": "up"}, "direction: Input should be 'maximize' or 'minimize'; received 'up'"),
        ({"window": 0}, "window: Input should be"),
        ({"patience": 0}, "patience: Input should be"),
        ({"target": float("nan")}, "target: Input should be a finite number"),
        (
            {"max_failures": 0},
            "max_failures: must be a whole number of at least 1, a share above 0 up to 1, or None",
        ),
        ({"max_failures": 1.5}, "max_failures: must be"),
        (
            {"backend": "threads"},
            "backend must be one of serial, local, ray or a Backend object; received 'threads'",
        ),
        (
            {"backend": "serial", "max_eval_time": 1},
            "max_eval_time need a process to end; received backend='serial'",
        ),
    ],
)
def test_a_wrong_argument_is_named(options: dict[str, Any], message: str) -> None:
    """Each argument out of its range is refused with its name and the value received."""
    with pytest.raises(OptimizeError) as caught:
        ParallelOptimizer(numbers(3), **options)
    assert message in str(caught.value)


def test_a_backend_object_keeps_its_own_settings() -> None:
    """What a backend object was built with cannot be given again."""
    from optengine.optimize.backends.serial import SerialBackend

    with pytest.raises(
        OptimizeError, match=r"a Backend object keeps its own settings; received also \['n_jobs'\]"
    ):
        ParallelOptimizer(numbers(3), n_jobs=2, backend=SerialBackend())


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (3, "the objective must be callable; received 3"),
        (lambda: 1.0, "the objective must take (params) or (params, context)"),
        (lambda a, b, c: 1.0, "with 3 required positional parameters"),
    ],
)
def test_an_objective_that_cannot_be_called_is_refused(objective: Any, message: str) -> None:
    """The signature is checked before anything runs."""
    with pytest.raises(OptimizeError) as caught:
        ParallelOptimizer(numbers(3), backend="serial", progress=False).run(objective)
    assert message in str(caught.value)


def test_an_optimizer_and_its_algorithm_run_once() -> None:
    """A second run, or a used algorithm, is refused with the way out."""
    run = serial(numbers(3), lambda params: 1.0)
    with pytest.raises(OptimizeError, match="an optimizer runs once"):
        run.run(lambda params: 1.0)
    with pytest.raises(OptimizeError, match="a run needs a fresh algorithm; this 'grid' was asked 3 times"):
        ParallelOptimizer(run.algorithm)


def test_a_parameter_named_like_a_column_is_refused() -> None:
    """The history could not tell the two apart."""
    with pytest.raises(OptimizeError, match=r"received \['value'\]; rename it"):
        serial(GridSearchAlgorithm({"value": [1]}), lambda params: 1.0)


def test_an_algorithm_that_stalls_is_an_error() -> None:
    """Asking for nothing with nothing pending ends the run with the algorithm's name, not a hang."""

    class Stalling(SearchAlgorithm):
        name = "stalling"

        def propose(self, trial_id: int) -> None:
            return None

        def config(self) -> dict[str, Any]:
            return {}

    with pytest.raises(OptimizeError, match="'stalling' asks for nothing after 0 trials and is not complete"):
        serial(Stalling(5, 1), lambda params: 1.0)


def test_any_object_with_suggest_update_and_is_complete_runs() -> None:
    """A search written elsewhere is driven one point at a time, failures told as None."""

    class Halving:
        def __init__(self) -> None:
            self.told: list[tuple[float, float | None]] = []

        def suggest(self) -> dict[str, float]:
            return {"x": 1 / 2 ** len(self.told)}

        def update(self, params: dict[str, float], score: float | None) -> None:
            self.told.append((params["x"], score))

        def is_complete(self) -> bool:
            return len(self.told) >= 4

    search = Halving()
    serial(search, lambda params: 1 / 0 if params["x"] == 0.5 else params["x"])
    assert search.told == [(1.0, 1.0), (0.5, None), (0.25, 0.25), (0.125, 0.125)]


def test_trials_are_handed_on_in_order() -> None:
    """``on_trial`` sees each trial once, in the order of the numbers."""
    seen: list[Trial] = []
    run = serial(RandomSearchAlgorithm(SPACE, 12, seed=1), smooth, on_trial=seen.append)
    assert seen == run.trials


def test_a_fidelity_that_saves_no_time_is_reported() -> None:
    """When small budgets take as long as large ones the statistics say so; otherwise they do not."""

    def busy(params: dict[str, Any], context: Any) -> float:
        time.sleep(0.001 * context.budget)
        return params["x"]

    def idle(params: dict[str, Any], context: Any) -> float:
        time.sleep(0.03 if context.budget == 1 else 0.0)
        return params["x"]

    space = {"x": SPACE["x"]}
    paying = serial(BOHBSearchAlgorithm(space, 1, 27, seed=1), busy).stats()
    wasted = serial(BOHBSearchAlgorithm(space, 1, 27, seed=1), idle).stats()
    assert paying["findings"] == []
    assert "a smaller budget hardly saves time" in wasted["findings"][0]


def test_the_bar_shows_best_failures_and_workers() -> None:
    """Drawn on any stream when forced; the last line holds the final state."""
    stream = io.StringIO()
    bar = ProgressBar(3, False, 2, stream=stream, force=True)
    bar.completed(Trial(0, {}, None, "complete", 1.5))
    bar.completed(Trial(1, {}, None, "failed", None, "crash"))
    bar.completed(Trial(2, {}, None, "complete", 2.5))
    bar.close()
    last = stream.getvalue().split("\r")[-1]
    assert "3/3" in last
    assert "best=2.5, failed=1, workers=2" in last


def test_the_bar_shows_the_best_at_the_largest_budget() -> None:
    """A value at a smaller budget does not hide one at a larger, and minimizing shows the smallest."""
    stream = io.StringIO()
    bar = ProgressBar(None, True, 1, stream=stream, force=True)
    for number, (budget, value) in enumerate([(1.0, 0.1), (9.0, 5.0), (9.0, 4.0), (1.0, 0.2)]):
        bar.completed(Trial(number, {}, budget, "complete", value))
    bar.close()
    assert "best=4, failed=0" in stream.getvalue().split("\r")[-1]


def test_the_bar_is_silent_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """With progress on and output captured nothing is written."""
    ParallelOptimizer(numbers(5), backend="serial").run(lambda params: 1.0)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_statistics_before_the_run_are_empty() -> None:
    """An optimizer that has not run has no trials, no best and no reason to stop."""
    optimizer = ParallelOptimizer(numbers(2), backend="serial")
    assert optimizer.stats()["trials"] == 0
    assert optimizer.trials == []
    assert optimizer.stop_reason is None
    assert optimizer.get_best_result() is None


class UnreadableError(Exception):
    """An exception whose message cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no message")


def raises_unreadable(params: dict[str, Any]) -> float:
    if params["n"] == 1:
        raise UnreadableError
    return float(params["n"])


@pytest.mark.parametrize("backend", ["serial", "local"])
def test_an_exception_without_a_readable_message_is_a_failed_trial(backend: str) -> None:
    """An exception whose ``__str__`` raises fails its own trial, and the run goes on."""
    run = ParallelOptimizer(numbers(3), 1, backend=backend, progress=False)
    run.run(raises_unreadable)
    assert [trial.state for trial in run.trials] == ["complete", "failed", "complete"]
    assert run.trials[1].error == "UnreadableError: <its message could not be read: RuntimeError>"


class InterruptedAtTheEnd(SerialBackend):
    """A backend whose end is interrupted, as by a second Ctrl-C."""

    def close(self) -> None:
        super().close()
        raise KeyboardInterrupt


def test_an_interrupt_of_the_end_still_releases_the_journal(tmp_path: Path) -> None:
    """A second Ctrl-C while the workers end leaves the journal complete and free for the next run."""
    journal = tmp_path / "run.jsonl"
    first = ParallelOptimizer(numbers(3), backend=InterruptedAtTheEnd(), progress=False, checkpoint=journal)
    with pytest.raises(KeyboardInterrupt):
        first.run(lambda params: float(params["n"]))
    again = serial(numbers(3), lambda params: float(params["n"]), checkpoint=journal)
    assert again.stats()["replayed"] == 3


@pytest.mark.parametrize(
    "returned", ["1.5", "nan", b"2", bytearray(b"3"), None, [1.0], 1j, float("nan"), 10**400]
)
def test_what_is_no_finite_number_is_a_failed_trial(returned: Any) -> None:
    """Texts that look like numbers, collections, infinities and nothing at all fail their trial by name."""
    run = serial(numbers(2), lambda params: returned if params["n"] else 1.0)
    assert [trial.state for trial in run.trials] == ["complete", "failed"]
    error = run.trials[1].error
    assert error is not None
    assert "must return a" in error or "OverflowError" in error


def test_an_objective_that_cannot_travel_is_told_apart() -> None:
    """A lock in the objective's closure is a usage error that names the objective, what is wrong and the cure."""
    lock = threading.Lock()
    run = ParallelOptimizer(numbers(2), 1, progress=False)
    with pytest.raises(
        OptimizeError,
        match=r"must be picklable to reach the workers; received .*lock.*open what cannot travel inside",
    ):
        run.run(lambda params: float(params["n"]) if lock else 0.0)
