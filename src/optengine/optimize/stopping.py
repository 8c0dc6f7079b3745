"""Rules that end a run early. They look at trials only when these are told, in the order of their numbers.

So all of them but the clock are functions of the history; where the clock stopped a run is written to its
journal, and a replay stops there again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from optengine.optimize.errors import TooManyFailuresError
from optengine.optimize.trial import Trial

FEWEST_FOR_SHARE = 10


class StopRule(ABC):
    """Sees each told trial once; answers with a reason to stop, or None."""

    @abstractmethod
    def check(self, trial: Trial, score: float | None) -> str | None:
        """The reason to stop after this trial; ``score`` is its value to be maximised, None when it failed."""


class Patience(StopRule):
    """Stops when ``trials`` told in a row did not improve the best score."""

    def __init__(self, trials: int) -> None:
        self.trials = trials
        self._best: float | None = None
        self._since = 0

    def check(self, trial: Trial, score: float | None) -> str | None:  # noqa: ARG002 - only the score counts
        """See the base class."""
        if score is not None and (self._best is None or score > self._best):
            self._best, self._since = score, 0
            return None
        self._since += 1
        return f"no improvement in {self.trials} trials" if self._since >= self.trials else None


class Target(StopRule):
    """Stops when a trial reaches the score."""

    def __init__(self, score: float) -> None:
        self.score = score

    def check(self, trial: Trial, score: float | None) -> str | None:  # noqa: ARG002 - only the score counts
        """See the base class."""
        return "target reached" if score is not None and score >= self.score else None


class FailureLimit(StopRule):
    """Raises when too many trials failed.

    Args:
        limit: a whole number of failures, or a share in (0, 1] judged from the tenth trial on.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._failed = 0
        self._told = 0

    def check(self, trial: Trial, score: float | None) -> str | None:
        """See the base class; raises TooManyFailuresError instead of stopping quietly."""
        self._told += 1
        if score is not None:
            return None
        self._failed += 1
        if isinstance(self.limit, int):
            over = self._failed >= self.limit
            words = f"fewer than {self.limit} failed evaluations"
        else:
            over = self._told >= FEWEST_FOR_SHARE and self._failed > self.limit * self._told
            words = f"at most {self.limit:.0%} failed evaluations"
        if over:
            raise TooManyFailuresError(
                f"a run must have {words}; received {self._failed} of {self._told}, the last one (trial "
                f"{trial.trial_id}) with: {trial.error}; mend the objective, or raise max_failures"
            )
        return None
