"""``ParallelOptimizer``: one search, many workers, the same answer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optengine.optimize.backends.base import Backend
from optengine.optimize.driver import Driver, Event
from optengine.optimize.errors import OptimizeError
from optengine.optimize.fingerprint import code_fingerprint, data_fingerprint
from optengine.optimize.history import history_bytes, history_frame, write_frame
from optengine.optimize.journal import Journal
from optengine.optimize.objective import Objective
from optengine.optimize.progress import ProgressBar
from optengine.optimize.settings import OptimizerSettings
from optengine.optimize.statistics import run_statistics
from optengine.optimize.stopping import FailureLimit, Patience, StopRule, Target
from optengine.optimize.trial import Trial
from optengine.search.base import SearchAlgorithm
from optengine.search.foreign import ForeignSearchAlgorithm

if TYPE_CHECKING:
    import pandas as pd

BACKENDS = ("serial", "local", "ray")


class ParallelOptimizer:
    """Runs a search algorithm over an objective on many workers; the history does not depend on how many.

    The history (trial numbers, parameters, budgets, values, states) is a function of the algorithm with its
    seed and space, the window, the direction, the stop rules, the data and the objective, given that the
    objective itself depends on nothing but its arguments and ``context.rng``. It does not depend on the
    number of workers, the backend, timing, the order in which evaluations finish, or crashes cured by a
    retry. What cannot be reproduced (a time-out, a memory limit, the clock) is kept in the journal, so that a
    resumed run agrees.

    Args:
        algorithm: a fresh search algorithm, or any object with ``suggest``, ``update`` and ``is_complete``.
        n_jobs: workers; None is one per usable CPU. ``backend="serial"`` always uses one.
        backend: ``"local"`` processes, ``"serial"`` in this process, ``"ray"``, or a ``Backend`` object.
        max_eval_time: seconds an evaluation may take; then it is killed and has failed.
        memory_limit: unshared memory an evaluation may use, in bytes or as "512MB"; then it is killed and has failed.
        max_attempts: how often a trial is tried whose worker dies; then it has failed.
        direction: ``"maximize"`` or ``"minimize"``.
        window: evaluations in flight at most; None is the algorithm's own. Part of what fixes the history, so
            it never follows ``n_jobs``; keep it well above the number of workers to keep these busy.
        checkpoint: journal file; an existing one of the same run is continued.
        progress: whether to show a bar, on a terminal.
        shared: by name, for ``context.shared(name)``: share handles (such as ``SharedBundle``) or plain
            objects.
        resume: whether an existing journal may be continued; if not, it is an error.
        patience: stop after this many trials in a row without a better value.
        target: stop when a value is at least as good as this.
        max_seconds: wall-clock budget of the run, earlier sessions included.
        max_failures: a number of failed trials, or a share judged from the tenth trial on, that ends the run
            with TooManyFailuresError; None never does.
        code_version: replaces the automatic fingerprint of the objective's code in the journal.
        on_trial: called in this process with each ``Trial`` as it enters the history, in order.
        backend_options: further arguments of the backend (``start_method`` for local, ``address`` for Ray).

    Raises:
        OptimizeError: an argument is wrong; the message names it.
    """

    def __init__(
        self,
        algorithm: Any,
        n_jobs: int | None = None,
        backend: str | Backend = "local",
        max_eval_time: float | None = None,
        memory_limit: int | str | None = None,
        max_attempts: int = 2,
        direction: str = "maximize",
        window: int | None = None,
        checkpoint: str | Path | None = None,
        progress: bool = True,
        shared: Mapping[str, Any] | None = None,
        *,
        resume: bool = True,
        patience: int | None = None,
        target: float | None = None,
        max_seconds: float | None = None,
        max_failures: float | None = 0.5,
        code_version: str | None = None,
        on_trial: Callable[[Trial], object] | None = None,
        backend_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.settings = OptimizerSettings.checked(
            n_jobs=n_jobs,
            backend=backend,
            max_eval_time=max_eval_time,
            memory_limit=memory_limit,
            max_attempts=max_attempts,
            direction=direction,
            window=window,
            checkpoint=checkpoint,
            progress=progress,
            resume=resume,
            patience=patience,
            target=target,
            max_seconds=max_seconds,
            max_failures=max_failures,
            code_version=code_version,
        )
        own = {"n_jobs": n_jobs, "max_eval_time": max_eval_time, "memory_limit": memory_limit}
        self._backend = _backend(backend, {**own, "shared": shared, **(backend_options or {})})
        self.algorithm = (
            algorithm if isinstance(algorithm, SearchAlgorithm) else ForeignSearchAlgorithm(algorithm)
        )
        if self.algorithm.asked:
            raise OptimizeError(
                f"a run needs a fresh algorithm; this {self.algorithm.name!r} was asked "
                f"{self.algorithm.asked} times; build a new one (a journal continues an earlier run)"
            )
        self._on_trial = on_trial
        self._driver: Driver | None = None
        self._seconds = 0.0

    @property
    def window(self) -> int:
        """Evaluations in flight at most."""
        return self.settings.window or self.algorithm.window

    @property
    def minimize(self) -> bool:
        """Whether smaller values are better."""
        return self.settings.direction == "minimize"

    # -- running --------------------------------------------------------------------------------------------

    def run(self, objective: Callable[..., Any]) -> Trial | None:
        """Evaluate until the algorithm is complete or a rule stops the run; return the best trial, None
        without one.

        Raises:
            TooManyFailuresError: more evaluations failed than ``max_failures`` allows.
            JournalError: the checkpoint cannot be used.
            OptimizeError: this optimizer ran before, or the objective cannot be called.
        """
        for _ in self._events(objective):
            pass
        return self.get_best_result()

    def stream(self, objective: Callable[..., Any], ordered: bool = False) -> Iterator[Trial]:
        """Like ``run``, yielding each trial: as it finishes, or with ``ordered`` in the order of the numbers.

        Leaving the loop early ends the run; what was evaluated is in the journal.
        """
        wanted = "told" if ordered else "completed"
        for event in self._events(objective):
            if event.kind == wanted:
                yield event.trial

    def _events(self, function: Callable[..., Any]) -> Iterator[Event]:
        if self._driver is not None:
            raise OptimizeError(
                "an optimizer runs once; build a new one with a fresh algorithm for another run"
            )
        objective = Objective(function)
        settings = self.settings
        journal = None
        if settings.checkpoint is not None:
            journal = Journal(settings.checkpoint, self._identity(function), settings.resume)
        began = time.monotonic()
        bar: ProgressBar | None = None
        try:
            backend = self._backend
            driver = self._driver = Driver(
                self.algorithm,
                backend,
                self.window,
                minimize=self.minimize,
                rules=self._rules(),
                max_seconds=settings.max_seconds,
                max_attempts=settings.max_attempts,
                journal=journal,
            )
            backend.start(objective)
            if settings.progress:
                bar = ProgressBar(self.algorithm.total, self.minimize, backend.workers)
            for event in driver.events():
                if event.kind == "completed":
                    if bar is not None:
                        bar.completed(event.trial)
                elif self._on_trial is not None:
                    self._on_trial(event.trial)
                yield event
        finally:
            with contextlib.ExitStack() as ending:  # all of it, also when a second interrupt ends one of them
                ending.callback(self._ended, began)
                if bar is not None:
                    ending.callback(bar.close)
                if journal is not None:
                    ending.callback(journal.close)
                ending.callback(self._backend.close)

    def _ended(self, began: float) -> None:
        self._seconds = time.monotonic() - began

    def _rules(self) -> list[StopRule]:
        settings = self.settings
        rules: list[StopRule] = []
        if settings.max_failures is not None:
            rules.append(FailureLimit(settings.max_failures))
        if settings.target is not None:
            rules.append(Target(-settings.target if self.minimize else settings.target))
        if settings.patience is not None:
            rules.append(Patience(settings.patience))
        return rules

    def _identity(self, function: Callable[..., Any]) -> dict[str, Any]:
        return {
            "search": self.algorithm.identity(),
            "window": self.window,
            "direction": self.settings.direction,
            "code": self.settings.code_version or code_fingerprint(function),
            "data": data_fingerprint(self._backend.shared),
        }

    # -- results --------------------------------------------------------------------------------------------

    @property
    def trials(self) -> list[Trial]:
        """The history so far, in the order of the trial numbers."""
        return [] if self._driver is None else list(self._driver.history)

    @property
    def stop_reason(self) -> str | None:
        """Why a rule ended the run; None when the algorithm came to its end."""
        return None if self._driver is None else self._driver.stop_reason

    def get_best_result(self) -> Trial | None:
        """The best complete trial (for a multi-fidelity search: at the largest budget); None without one."""
        best = self.algorithm.best
        if best is None or self._driver is None:
            return None
        return self._driver.history[best.trial_id]

    def get_best_params(self) -> dict[str, Any]:
        """Parameters of the best trial.

        Raises:
            OptimizeError: no trial is complete.
        """
        best = self.get_best_result()
        if best is None:
            raise OptimizeError(
                f"there must be a complete trial to have a best one; received {len(self.trials)} trials, "
                "none complete"
            )
        return dict(best.params)

    def history(self) -> pd.DataFrame:
        """One row per trial: trial, a column per parameter, value, state, budget, attempts, worker, seconds, error."""
        return history_frame(self.trials)

    def history_bytes(self) -> bytes:
        """The reproducible part of the history, to compare two runs byte for byte."""
        return history_bytes(self.trials)

    def save(self, path: str | Path) -> None:
        """Write the history as ``.parquet`` or ``.csv``, at once or not at all."""
        write_frame(self.history(), path)

    def stats(self) -> dict[str, Any]:
        """Figures of the run: counts, seconds, driver overhead, per worker, findings; see ``statistics.py``."""
        return run_statistics(self._driver, self._backend, self._seconds)


def _backend(backend: str | Backend, options: dict[str, Any]) -> Backend:
    """The backend of this name with these options; a Backend object as it is."""
    given = {name: value for name, value in options.items() if value is not None}
    if isinstance(backend, Backend):
        if given:
            raise OptimizeError(
                f"a Backend object keeps its own settings; received also {sorted(given)!r}; set them on the "
                "object"
            )
        return backend
    if backend == "serial":
        given.pop("n_jobs", None)
        limits = sorted({"max_eval_time", "memory_limit"} & set(given))
        if limits:
            raise OptimizeError(
                f"{' and '.join(limits)} need a process to end; received backend='serial'; use "
                "backend='local' with n_jobs=1"
            )
        from optengine.optimize.backends.serial import SerialBackend

        return SerialBackend(**given)
    if backend == "local":
        from optengine.optimize.backends.local import LocalBackend

        return LocalBackend(**given)
    if backend == "ray":
        from optengine.optimize.backends.ray import RayBackend

        return RayBackend(**given)
    raise OptimizeError(
        f"backend must be one of {', '.join(BACKENDS)} or a Backend object; received {backend!r}"
    )
