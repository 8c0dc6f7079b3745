"""The trials of a run as an Optuna study."""

from __future__ import annotations

import optuna
import pytest
from optimize_tasks import SPACE, noisy

from optengine.optimize import OptimizeError, ParallelOptimizer, Trial
from optengine.optimize.optuna_export import OptunaExport
from optengine.search import BOHBSearchAlgorithm, Space

FULL = {
    **SPACE,
    "rate": {"type": "log-uniform", "low": 1e-3, "high": 1},
    "shape": {"type": "categorical", "choices": [(1, 2), "none"]},
    "fixed": {"type": "constant", "value": 3},
}


def test_the_study_holds_every_trial(recwarn: pytest.WarningsRecorder) -> None:
    """Values, parameters, states, budgets and errors are those of the run; the best trial is the same value."""
    storage = optuna.storages.InMemoryStorage()
    export = OptunaExport(Space(FULL), storage, "run", "maximize")
    run = ParallelOptimizer(
        BOHBSearchAlgorithm(FULL, 1, 9, n_iter=40, seed=1),
        backend="serial",
        progress=False,
        max_failures=None,
        on_trial=export,
    )
    run.run(noisy)
    trials = export.study.get_trials()
    assert [trial.value for trial in trials] == [trial.value for trial in run.trials]
    assert [trial.state.name == "FAIL" for trial in trials] == [t.state == "failed" for t in run.trials]
    assert [trial.params["x"] for trial in trials] == [t.params["x"] for t in run.trials]
    assert [trial.user_attrs["budget"] for trial in trials] == [t.budget for t in run.trials]
    assert {str(trial.params["shape"]) for trial in trials} == {"(1, 2)", "none"}
    assert "ValueError: seven" in next(t for t in trials if t.value is None).user_attrs["error"]
    again = OptunaExport(Space(FULL), storage, "run", "maximize")
    for trial in run.trials:
        again(trial)
    assert len(again.study.get_trials()) == 40


def test_a_trial_outside_the_space_is_refused() -> None:
    """A parameter the exported space does not have is named."""
    export = OptunaExport(Space({"x": SPACE["x"]}), optuna.storages.InMemoryStorage(), "run")
    with pytest.raises(OptimizeError, match=r"must lie in the exported space; received also \['y'\]"):
        export(Trial(0, {"x": 1.0, "y": 2}, None, "complete", 1.0))


def test_trials_of_another_run_are_not_mixed_in() -> None:
    """A study that holds other trials is named, instead of keeping only the first run's."""
    storage, space = optuna.storages.InMemoryStorage(), Space({"x": SPACE["x"]})
    OptunaExport(space, storage, "run")(Trial(0, {"x": 1.0}, None, "complete", 1.0))
    again = OptunaExport(space, storage, "run")
    again(Trial(0, {"x": 1.0}, None, "complete", 1.0))
    with pytest.raises(
        OptimizeError, match=r"'run' holds \{'x': 1.0\} where this run has \{'x': 2.0\}; name another"
    ):
        again(Trial(0, {"x": 2.0}, None, "complete", 1.0))
