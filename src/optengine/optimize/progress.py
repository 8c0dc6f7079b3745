"""What a person sees of a running optimization: one bar with best value, failures, workers and remaining time."""

from __future__ import annotations

import time
from typing import IO, Any

from optengine.optimize.trial import Trial
from optengine.progress import bar_class

_REFRESH_S = 0.2


class ProgressBar:
    """A tqdm bar on standard error; silent where that is not a terminal, unless forced.

    Args:
        total: number of trials, None when unknown.
        minimize: direction, for the best value.
        workers: how many evaluations can run at once.
        stream: where to write; None is standard error.
        force: draw even where the stream is not a terminal.
    """

    def __init__(
        self,
        total: int | None,
        minimize: bool,
        workers: int,
        *,
        stream: IO[str] | None = None,
        force: bool = False,
    ) -> None:
        self._bar: Any = bar_class()(
            total=total, unit="trial", disable=False if force else None, file=stream, mininterval=_REFRESH_S
        )
        self._minimize = minimize
        self._workers = workers
        self._best: float | None = None
        self._best_budget = 0.0
        self._failed = 0
        self._unshown = 0
        self._shown_at = 0.0

    def completed(self, trial: Trial) -> None:
        """Count one finished evaluation; the screen is touched a few times a second at most."""
        if self._bar.disable:
            return
        self._unshown += 1
        if trial.value is None:
            self._failed += 1
        else:
            budget = trial.budget or 0.0
            value = trial.value
            if self._best is None or budget > self._best_budget:
                self._best, self._best_budget = value, budget
            elif budget == self._best_budget:
                self._best = min(self._best, value) if self._minimize else max(self._best, value)
        now = time.monotonic()
        if now - self._shown_at >= _REFRESH_S:
            self._show(now)

    def close(self) -> None:
        """Draw the final state and leave the bar on the screen."""
        if not self._bar.disable:
            self._show(time.monotonic())
        self._bar.close()

    def _show(self, now: float) -> None:
        best = "none" if self._best is None else f"{self._best:.6g}"
        self._bar.set_postfix_str(
            f"best={best}, failed={self._failed}, workers={self._workers}", refresh=False
        )
        self._bar.update(self._unshown)
        self._unshown = 0
        self._shown_at = now
