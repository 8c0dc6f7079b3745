"""The contract of a search algorithm: who calls what, when, in which process.

One driver owns an algorithm and is the only one to call it, in one process and one thread; workers never see
it.

* ``ask()`` is called in the driver and returns the next point with its trial number (0, 1, 2, ... without
  gaps), or None when the next point depends on results not told yet (a generation or a rung must be full
  first). An ask that returns None changes nothing. Several points may be pending at once.
* ``tell(trial_id, score)`` is called once for every asked trial. ``ParallelOptimizer`` tells strictly in the
  order of the trial numbers, whatever the order in which evaluations finish, and asks trial k exactly when
  trials up to k - window have been told. An algorithm whose answers depend only on its configuration, its
  seed and the sequence of these calls therefore gives the same history with any number of workers.
* Scores are maximised. A trial that failed is told as ``score=None``: never as a number. What the algorithm
  makes of it is documented on each class.
* ``suggest()`` and ``update(params, score)`` are the same two calls for people who think in points, not
  numbers.

To write an algorithm, subclass ``SearchAlgorithm``, give it ``name`` and ``window``, and write ``propose``,
``observe`` and ``config``; then let ``optengine.testing.search_cases.SearchCases`` test it.
"""

from __future__ import annotations

import math
import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from optengine.search.errors import NotReadyError, SearchError
from optengine.search.space import Params

STATE_VERSION = 1

Floats = NDArray[np.float64]


class Suggestion(NamedTuple):
    """A point to evaluate: its trial number, parameters and, in a multi-fidelity search, its budget."""

    trial_id: int
    params: Params
    budget: float | None = None


@dataclass(frozen=True)
class Best:
    """The best trial told so far. Ties go to the lower trial number."""

    trial_id: int
    params: Params
    score: float
    budget: float | None = None


def generator(seed: int, *key: int) -> np.random.Generator:
    """The random generator that belongs to ``key`` under ``seed``: independent of every other key, never shared."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def require_whole(name: str, value: Any, least: int) -> None:
    """Raise SearchError unless the value is a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SearchError(f"{name} must be a whole number of at least {least}; received {value!r}")


class SearchAlgorithm(ABC):
    """Base of all algorithms: numbering, pending trials, best value and saved state.

    Args:
        n_iter: number of evaluations; None when the algorithm ends by itself.
        seed: whole number >= 0; None draws one, kept in ``seed``.
    """

    name: ClassVar[str]
    window: int = 8
    """How many trials may be in flight unless the driver is told otherwise. Part of what fixes the history."""
    order_free: ClassVar[bool] = False
    """Whether ``propose`` depends on nothing but the trial number."""

    def __init__(self, n_iter: int | None, seed: int | None) -> None:
        if n_iter is not None:
            require_whole("n_iter", n_iter, least=1)
        if seed is not None:
            require_whole("seed", seed, least=0)
        self.n_iter = n_iter
        self.seed: int = secrets.randbits(32) if seed is None else seed
        self._asked = 0
        self._pending: dict[int, Suggestion] = {}
        self._events: list[tuple[int, float | None] | None] = []
        self._best: Best | None = None

    # -- what a new algorithm writes ------------------------------------------------------------------------

    @abstractmethod
    def propose(self, trial_id: int) -> Suggestion | None:
        """The point of this trial, or None (changing nothing) when it depends on results not observed yet."""

    def observe(  # noqa: B027 - an algorithm that learns nothing leaves it out
        self, suggestion: Suggestion, score: float | None
    ) -> None:
        """Learn the score of a trial; None means that it failed."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Everything but the seed that fixes the behaviour, as JSON-ready values."""

    def better(self, left: Best, right: Best) -> bool:
        """Whether ``left`` is a better result than ``right``; ties go to the lower trial number."""
        return (left.score, -left.trial_id) > (right.score, -right.trial_id)

    # -- what a driver calls --------------------------------------------------------------------------------

    @property
    def total(self) -> int | None:
        """How many trials there will be; None when that is not known beforehand."""
        return self.n_iter

    @property
    def asked(self) -> int:
        """Number of trials asked so far."""
        return self._asked

    @property
    def best(self) -> Best | None:
        """The best trial told so far; None before the first success."""
        return self._best

    def is_complete(self) -> bool:
        """Whether every trial has been asked; those pending may still be told."""
        return self.total is not None and self._asked >= self.total

    def ask(self) -> Suggestion | None:
        """The next point; None when complete or when results of pending trials are needed first."""
        if self.is_complete():
            return None
        suggestion = self.propose(self._asked)
        if suggestion is None:
            return None
        self._asked += 1
        self._pending[suggestion.trial_id] = suggestion
        if not self.order_free:
            self._events.append(None)
        return suggestion

    def tell(self, trial_id: int, score: float | None) -> None:
        """Report the score of an asked trial; None, or a number that is not finite, means that it failed.

        Raises:
            SearchError: the trial is not pending.
        """
        suggestion = self._pending.pop(trial_id, None)
        if suggestion is None:
            raise SearchError(
                f"tell() needs a trial that was asked and not told yet; received {trial_id!r}; pending are "
                f"{sorted(self._pending)[:10]!r}"
            )
        value = None if score is None else float(score)
        if value is not None and not math.isfinite(value):
            value = None
        if not self.order_free:
            self._events.append((trial_id, value))
        if value is not None:
            candidate = Best(trial_id, suggestion.params, value, suggestion.budget)
            if self._best is None or self.better(candidate, self._best):
                self._best = candidate
        self.observe(suggestion, value)

    def suggest(self) -> Params:
        """The parameters of the next point.

        Raises:
            NotReadyError: results of pending points must be given to ``update`` first.
            SearchError: the search is complete.
        """
        suggestion = self.ask()
        if suggestion is not None:
            return dict(suggestion.params)
        if self.is_complete():
            raise SearchError(
                f"suggest() needs a search that goes on; all {self._asked} points were suggested"
            )
        raise NotReadyError(
            f"suggest() needs the results of pending points first; {len(self._pending)} are pending; call "
            "update() with them, or run the search with ParallelOptimizer"
        )

    def update(self, params: Mapping[str, Any], result: float | None) -> None:
        """Report the result of a suggested point; of equal pending points the earliest gets it.

        Raises:
            SearchError: no pending point has these parameters.
        """
        for trial_id, suggestion in self._pending.items():
            if suggestion.params == dict(params):
                self.tell(trial_id, result)
                return
        raise SearchError(
            f"update() needs the parameters of a pending point; received {dict(params)!r}; "
            f"{len(self._pending)} points are pending"
        )

    # -- saved state ----------------------------------------------------------------------------------------

    def identity(self) -> dict[str, Any]:
        """What must be equal for a saved search to be continued: all but the number of evaluations."""
        config = {key: value for key, value in self.config().items() if key != "n_iter"}
        return {"algorithm": self.name, "seed": self.seed, **config}

    def get_state(self) -> dict[str, Any]:
        """The state as JSON-ready values: the calls so far, from which ``set_state`` rebuilds everything."""
        state: dict[str, Any] = {"version": STATE_VERSION, **self.identity(), "asked": self._asked}
        if self.order_free:
            best = None if self._best is None else asdict(self._best)
            return state | {"pending": sorted(self._pending), "best": best}
        return state | {"events": [None if event is None else list(event) for event in self._events]}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state of the same algorithm, configuration and seed, on a fresh object.

        Raises:
            SearchError: this object was used already, or the state belongs to another search.
        """
        if self._asked:
            raise SearchError(f"set_state() needs a fresh algorithm; this one was asked {self._asked} times")
        expected = {"version": STATE_VERSION, **_plain(self.identity())}
        for key, value in expected.items():
            if _plain(state.get(key)) != value:
                raise SearchError(
                    f"a state must come from the same search: {key} must be {value!r}; received "
                    f"{state.get(key)!r}; build the algorithm as it was when the state was taken"
                )
        if self.order_free:
            self._asked = int(state["asked"])
            for trial_id in state["pending"]:
                suggestion = self.propose(int(trial_id))
                assert suggestion is not None
                self._pending[int(trial_id)] = suggestion
            self._best = None if state["best"] is None else Best(**state["best"])
            return
        for event in state["events"]:
            if event is None:
                self.ask()
            else:
                self.tell(int(event[0]), event[1])


def _plain(value: Any) -> Any:
    """Tuples as lists, so that a value equals its copy that went through JSON."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value
