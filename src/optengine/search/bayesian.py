"""Model-based search by Optuna's samplers, through ask and tell on a study in memory.

Optuna itself gives up reproducibility when it runs in parallel. Here one driver asks and tells in a fixed
order, so the sampler sees the same pending and finished trials whatever the number of workers.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from optengine._optional import require
from optengine.search.base import SearchAlgorithm, Suggestion, require_whole
from optengine.search.errors import SearchError
from optengine.search.parameters import Categorical, Integer, LogUniform, Parameter, Uniform
from optengine.search.space import Params, Space

SAMPLERS = ("tpe", "gp")


class BayesianSearchAlgorithm(SearchAlgorithm):
    """Tree-structured Parzen estimator (``sampler="tpe"``) or Gaussian process (``"gp"``, needs torch too).

    TPE counts pending trials as bad ones while they run (the constant liar of Optuna) and the Gaussian process takes
    them into account too, so that a window of several does not ask for the same point again. A failed trial is told to
    TPE as pruned, which ranks it below every finished one; the Gaussian process ignores it and draws parameters that
    depend on others at random. The cost of one ask grows with the number of trials; that of the Gaussian process is
    high from the start.

    Args:
        param_distributions: description of the space, or a ``Space``.
        n_iter: number of evaluations.
        seed: whole number; None draws one.
        sampler: ``"tpe"`` or ``"gp"``.
        startup: how many random points come before the model is used.

    Raises:
        MissingExtraError: Optuna (or torch, for ``"gp"``) is not installed.
    """

    name = "bayesian"
    window = 8

    def __init__(
        self,
        param_distributions: Mapping[str, Any] | Space,
        n_iter: int,
        seed: int | None = None,
        sampler: str = "tpe",
        startup: int = 10,
    ) -> None:
        super().__init__(n_iter, seed)
        if sampler not in SAMPLERS:
            raise SearchError(f"sampler must be one of {SAMPLERS}; received {sampler!r}")
        require_whole("startup", startup, least=1)
        self.space = Space.of(param_distributions)
        self.sampler, self.startup = sampler, startup
        self._optuna = require("optuna", extra="search", feature="Bayesian search")
        self._torch: Any = None
        if sampler == "gp":
            self._torch = require("torch", extra="gp", feature="Bayesian search with a Gaussian process")
        self._study = self._new_study()
        self._trials: dict[int, Any] = {}

    def _new_study(self) -> Any:
        optuna, seed = self._optuna, self.seed % 2**32
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                if self.sampler == "gp":
                    # A conditional parameter is drawn at random by design; a warning per trial says nothing new.
                    sampler = optuna.samplers.GPSampler(
                        seed=seed, n_startup_trials=self.startup, warn_independent_sampling=False
                    )
                else:
                    sampler = optuna.samplers.TPESampler(
                        seed=seed, n_startup_trials=self.startup, constant_liar=True
                    )
            return optuna.create_study(direction="maximize", sampler=sampler)
        finally:
            optuna.logging.set_verbosity(verbosity)

    def propose(self, trial_id: int) -> Suggestion:
        """See the base class."""
        trial = self._study.ask()
        params: Params = {}
        for dimension in self.space.dimensions:
            if dimension.active(params):
                params[dimension.name] = _suggested(trial, dimension.name, dimension.parameter)
        self._trials[trial_id] = trial
        return Suggestion(trial_id, params)

    def observe(self, suggestion: Suggestion, score: float | None) -> None:
        """See the base class."""
        trial = self._trials.pop(suggestion.trial_id)
        if score is None:
            self._study.tell(trial, state=self._optuna.trial.TrialState.PRUNED)
        else:
            self._study.tell(trial, score)

    def config(self) -> dict[str, Any]:
        """See the base class."""
        config = {
            "space": self.space.to_dict(),
            "n_iter": self.n_iter,
            "sampler": self.sampler,
            "startup": self.startup,
            "optuna": self._optuna.__version__,
        }
        if self._torch is not None:
            config["torch"] = str(self._torch.__version__)
        return config


def _suggested(trial: Any, name: str, parameter: Parameter) -> Any:
    if isinstance(parameter, (Uniform, LogUniform)):
        return trial.suggest_float(name, parameter.low, parameter.high, log=isinstance(parameter, LogUniform))
    if isinstance(parameter, Integer):
        return trial.suggest_int(name, parameter.low, parameter.high, step=parameter.step, log=parameter.log)
    if isinstance(parameter, Categorical) and parameter.varies:
        # By position, because Optuna warns about choices that are not scalars and compares 1 and True as
        # equal.
        return parameter.choices[trial.suggest_categorical(name, tuple(range(len(parameter.choices))))]
    return parameter.decode(0.5)
