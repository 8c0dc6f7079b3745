"""The trials of a run as an Optuna study, added as they are told, so that optuna-dashboard shows them live.

The study is a copy for looking at: the run never reads it.
"""

from __future__ import annotations

import re
from typing import Any

from optengine._optional import require
from optengine.optimize.errors import OptimizeError
from optengine.optimize.trial import Trial
from optengine.search.parameters import Categorical, Constant, Integer, LogUniform, Parameter, Uniform
from optengine.search.space import Space


class OptunaExport:
    """Adds each trial it is called with to a study; give it to ``ParallelOptimizer(on_trial=...)``.

    Args:
        space: the search space, for Optuna's distributions.
        storage: an Optuna storage object or URL (``"sqlite:///study.db"``).
        study_name: name of the study; trials it holds already are taken for those of an earlier session.
        direction: ``"maximize"`` or ``"minimize"``.

    Raises:
        MissingExtraError: Optuna is not installed.
        OptimizeError: the storage cannot be opened.
    """

    def __init__(self, space: Space, storage: Any, study_name: str, direction: str = "maximize") -> None:
        self._optuna = require("optuna", extra="search", feature="the export to Optuna")
        verbosity = self._optuna.logging.get_verbosity()
        self._optuna.logging.set_verbosity(self._optuna.logging.WARNING)
        try:
            self.study = self._optuna.create_study(
                storage=storage, study_name=study_name, direction=direction, load_if_exists=True
            )
        except Exception as error:
            raise OptimizeError(
                f"the Optuna storage must be one that Optuna can open, such as sqlite:///study.db; received "
                f"{_without_password(storage)!r}: {type(error).__name__}"
            ) from error
        finally:
            self._optuna.logging.set_verbosity(verbosity)
        # A resumed run tells its trials again from the first, so those already in the study are passed over.
        self._present = [trial.params for trial in self.study.get_trials(deepcopy=False)]
        self._distributions = {
            dimension.name: _distribution(self._optuna.distributions, dimension.parameter)
            for dimension in space.dimensions
        }

    def __call__(self, trial: Trial) -> None:
        """Add one trial, unless an earlier session of the run added it.

        Raises `OptimizeError` when the study holds another trial in its place, as it does after a run with another
        seed or space.
        """
        params = {name: _cell(value) for name, value in trial.params.items()}
        if trial.trial_id < len(self._present):
            if self._present[trial.trial_id] != params:
                raise OptimizeError(
                    f"the Optuna study must be empty or hold trials of this run, but {self.study.study_name!r} holds "
                    f"{self._present[trial.trial_id]!r} where this run has {params!r}; name another study"
                )
            return
        states = self._optuna.trial.TrialState
        attributes: dict[str, Any] = {
            "worker": trial.worker,
            "seconds": trial.seconds,
            "attempts": trial.attempts,
        }
        if trial.budget is not None:
            attributes["budget"] = trial.budget
        if trial.error is not None:
            attributes["error"] = trial.error
        unknown = sorted(set(params) - set(self._distributions))
        if unknown:
            raise OptimizeError(f"a trial must lie in the exported space; received also {unknown!r}")
        self.study.add_trial(
            self._optuna.trial.create_trial(
                state=states.COMPLETE if trial.value is not None else states.FAIL,
                value=trial.value,
                params=params,
                distributions={name: self._distributions[name] for name in params},
                user_attrs=attributes,
                intermediate_values={int(r.step): r.value for r in trial.reports if r.step is not None},
            )
        )


def _without_password(storage: Any) -> str:
    return re.sub(r"://[^@/]*@", "://...@", str(storage))


def _cell(value: Any) -> Any:
    """Optuna's storages hold scalars; sequences are shown as text."""
    return str(value) if isinstance(value, tuple) else value


def _distribution(kinds: Any, parameter: Parameter) -> Any:
    if isinstance(parameter, (Uniform, LogUniform)):
        return kinds.FloatDistribution(parameter.low, parameter.high, log=isinstance(parameter, LogUniform))
    if isinstance(parameter, Integer):
        return kinds.IntDistribution(parameter.low, parameter.high, step=parameter.step, log=parameter.log)
    if isinstance(parameter, Categorical):
        return kinds.CategoricalDistribution([_cell(choice) for choice in parameter.choices])
    assert isinstance(parameter, Constant)
    return kinds.CategoricalDistribution([_cell(parameter.value)])
