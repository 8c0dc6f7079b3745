"""The driver: asks, tells and nothing else, in an order that results cannot change.

Trials are numbered as they are asked. With window q, trial k is asked as soon as trials 0 to k - q have been
told, and sees exactly those; a trial is told only when the window (or a generation that must be full) demands
it, and always in the order of the numbers, however early its result was there. So the sequence of asks and
tells is

    ask 0 ... ask q-1, tell 0, ask q, tell 1, ask q+1, ...

for any number of workers, any timing, any crash that a retry cures and any backend.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from optengine.optimize.backends.base import Backend
from optengine.optimize.errors import OptimizeError
from optengine.optimize.journal import Journal
from optengine.optimize.stopping import StopRule
from optengine.optimize.trial import RESERVED, Completed, Task, Trial
from optengine.search.base import SearchAlgorithm, Suggestion

CLOCK = "max_seconds"


class Event(NamedTuple):
    """``completed``: a result came in, in any order (from a journal: when its turn to be told comes).
    ``told``: its trial entered the history, in the order of the numbers.
    """

    kind: Literal["completed", "told"]
    trial: Trial


class Driver:
    """One run of an algorithm on a started backend.

    Args:
        algorithm: fresh; only this object calls it from now on.
        backend: started, with nothing submitted.
        window: trials in flight at most, at least 1.
        minimize: whether values are negated before the algorithm, which maximises, sees them.
        rules: stop rules, in the order they are asked.
        max_seconds: wall-clock budget, earlier sessions of the journal included; None for none.
        max_attempts: how often a trial is sent whose worker dies; then it has failed.
        journal: where results are written and replayed from; None for none.
    """

    def __init__(
        self,
        algorithm: SearchAlgorithm,
        backend: Backend,
        window: int,
        *,
        minimize: bool = False,
        rules: Sequence[StopRule] = (),
        max_seconds: float | None = None,
        max_attempts: int = 2,
        journal: Journal | None = None,
    ) -> None:
        self.history: list[Trial] = []
        self.stop_reason: str | None = None
        self.replayed = 0
        self.own_s = 0.0
        """Seconds spent outside waiting for results: asking, telling, the journal, and whoever consumes the events."""
        self._waited_s = 0.0
        self._loop_began = 0.0
        self._algorithm = algorithm
        self._backend = backend
        self._window = window
        self._sign = -1.0 if minimize else 1.0
        self._rules = rules
        self._max_seconds = max_seconds
        self._max_attempts = max_attempts
        self._lost: dict[int, int] = {}
        self._journal = journal
        self._asked: dict[int, Suggestion] = {}
        self._next = 0
        self._unsent: list[Task] = []
        self._done: dict[int, Trial] = {}
        self._replays: set[int] = set()
        self._began = time.monotonic() - (journal.elapsed_before if journal else 0.0)

    @property
    def asked(self) -> int:
        """Number of trials asked so far."""
        return self._next

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began, earlier sessions included."""
        return time.monotonic() - self._began

    def events(self) -> Iterator[Event]:
        """Run to the end; yields what happens as it happens.

        Raises:
            TooManyFailuresError: from a stop rule.
            JournalError: the journal does not fit, or cannot be written.
            OptimizeError: the algorithm waits for results although none is pending.
        """
        self._loop_began = time.monotonic()
        try:
            yield from self._loop()
        finally:
            self.own_s = time.monotonic() - self._loop_began - self._waited_s

    def _loop(self) -> Iterator[Event]:
        told = 0
        while True:
            if self._next - told < self._window and self._ask():
                continue
            if told == self._next:
                if not self._algorithm.is_complete():
                    raise OptimizeError(
                        f"an algorithm must go on when every trial is told; {self._algorithm.name!r} asks "
                        f"for nothing after {told} trials and is not complete"
                    )
                return
            while told not in self._done:
                for completed in self._receive():
                    yield Event("completed", completed)
            if told in self._replays:
                yield Event("completed", self._done[told])
            trial = self._tell(told)
            told += 1
            yield Event("told", trial)
            self.stop_reason = self._reason_to_stop(trial)
            if self.stop_reason is not None:
                self._cancel_rest(told)
                return

    def _ask(self) -> bool:
        suggestion = self._algorithm.ask()
        if suggestion is None:
            return False
        trial_id, params, budget = suggestion
        if trial_id != self._next:
            raise OptimizeError(
                f"trial numbers must count up from 0; expected {self._next}, received {trial_id!r}"
            )
        if not RESERVED.isdisjoint(params):
            raise OptimizeError(
                "a parameter must not be named like a column of the history; received "
                f"{sorted(RESERVED & set(params))!r}; rename it"
            )
        self._next += 1
        self._asked[trial_id] = suggestion
        if self._journal is not None:
            recorded = self._journal.recorded(trial_id, params, budget)
            if recorded is not None:
                self._done[trial_id] = _trial(suggestion, recorded)
                self._replays.add(trial_id)
                self.replayed += 1
                return True
        self._unsent.append(self._task(suggestion))
        return True

    def _task(self, suggestion: Suggestion) -> Task:
        return Task(suggestion.trial_id, suggestion.params, suggestion.budget, self._algorithm.seed)

    def _receive(self) -> list[Trial]:
        """Send what is waiting, then block until at least one result is there."""
        if self._unsent:
            self._backend.submit(self._unsent)
            self._unsent = []
        before = time.monotonic()
        batch = self._backend.collect()
        now = time.monotonic()
        self._waited_s += now - before
        trials = []
        for received in batch:
            lost = self._lost.pop(received.trial_id, 0)
            suggestion = self._asked[received.trial_id]
            if received.crashed and lost + 1 < self._max_attempts:
                self._lost[received.trial_id] = lost + 1
                self._unsent.append(self._task(suggestion))
                continue
            completed = received._replace(attempts=lost + 1) if lost else received
            if self._journal is not None:
                self._journal.append_result(
                    completed, suggestion.params, suggestion.budget, now - self._began
                )
            trial = self._done[completed.trial_id] = _trial(suggestion, completed)
            trials.append(trial)
        return trials

    def _score(self, value: float | None) -> float | None:
        # Adding zero turns the -0.0 of a negated zero into 0.0, so that no tie depends on the direction.
        return None if value is None else self._sign * value + 0.0

    def _tell(self, trial_id: int) -> Trial:
        trial = self._done.pop(trial_id)
        del self._asked[trial_id]
        self._algorithm.tell(trial_id, self._score(trial.value))
        self.history.append(trial)
        return trial

    def _reason_to_stop(self, trial: Trial) -> str | None:
        score = self._score(trial.value)
        reasons = [reason for rule in self._rules if (reason := rule.check(trial, score)) is not None]
        return reasons[0] if reasons else self._clock(trial)

    def _clock(self, trial: Trial) -> str | None:
        limit = self._max_seconds
        if limit is None:
            return None
        if self._journal is not None:
            stop = self._journal.stops.get(trial.trial_id)
            if stop is not None and stop["stop"] == CLOCK and limit <= stop["limit"]:
                return f"time budget of {limit:g} s used up"
        if trial.trial_id in self._replays or self.elapsed_s < limit:
            return None
        if self._journal is not None:
            self._journal.append_stop(trial.trial_id, CLOCK, limit)
        return f"time budget of {limit:g} s used up"

    def _cancel_rest(self, told: int) -> None:
        self._backend.cancel()
        for trial_id in range(told, self._next):
            suggestion = self._asked[trial_id]
            self.history.append(Trial(trial_id, suggestion.params, suggestion.budget, "cancelled"))


def _trial(suggestion: Suggestion, completed: Completed) -> Trial:
    return Trial(
        suggestion.trial_id,
        suggestion.params,
        suggestion.budget,
        "failed" if completed.value is None else "complete",
        completed.value,
        completed.error,
        completed.details,
        completed.attempts,
        completed.worker,
        completed.seconds,
        completed.reports,
    )
