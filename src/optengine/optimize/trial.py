"""One evaluation, from the task sent to a worker to the record kept in the history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

State = Literal["complete", "failed", "cancelled"]

COLUMNS_BEFORE = ("trial",)
COLUMNS_AFTER = ("value", "state", "budget", "attempts", "worker", "seconds", "error")
RESERVED = frozenset((*COLUMNS_BEFORE, *COLUMNS_AFTER))
"""Column names of a history, which parameters cannot have."""


class Task(NamedTuple):
    """What a worker receives; ``seed`` is the root of the objective's random generators."""

    trial_id: int
    params: dict[str, Any]
    budget: float | None
    seed: int


class Report(NamedTuple):
    """An intermediate value the objective reported."""

    step: float | None
    value: float


class Completed(NamedTuple):
    """What comes back from a backend, once per task.

    ``value`` is None exactly when ``error`` says what happened. ``details`` is a traceback or stack dump,
    ``worker`` the number of the worker (0, 1, ...), ``seconds`` the time measured there (0 when unknown). A
    result with ``crashed`` lost its worker through no known fault of its own, so the driver may send the task
    again.
    """

    trial_id: int
    value: float | None
    error: str | None = None
    details: str | None = None
    attempts: int = 1
    worker: int | None = None
    seconds: float = 0.0
    reports: tuple[Report, ...] = ()
    crashed: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """One row of the history.

    ``value`` is what the objective returned, None unless ``state`` is "complete". A cancelled trial was asked
    but not needed any more when a stop rule ended the run.
    """

    trial_id: int
    params: dict[str, Any]
    budget: float | None
    state: State
    value: float | None = None
    error: str | None = None
    details: str | None = None
    attempts: int = 0
    worker: int | None = None
    seconds: float = 0.0
    reports: tuple[Report, ...] = ()
