"""The contract of a backend: where evaluations run.

The driver calls, from one thread: ``start`` once, then ``submit`` and ``collect`` in turn, ``cancel`` at most
once, ``close`` last, also after an error. Every submitted task comes back from ``collect`` exactly once, as a
value or as an error, in any order: a crash, a time-out or a memory limit is an error of that task and of no
other. A backend neither reorders trials for the algorithm nor decides anything; that is the driver's work.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from optengine.optimize.objective import Objective
from optengine.optimize.trial import Completed, Task


class Backend(ABC):
    """Where evaluations run; see the module's text."""

    name: ClassVar[str]
    shared: Mapping[str, Any]
    """Share handles by name, reached in an evaluation through ``context.shared(name)``."""

    @property
    @abstractmethod
    def workers(self) -> int:
        """How many evaluations can run at once."""

    @abstractmethod
    def start(self, objective: Objective) -> None:
        """Get ready to evaluate this objective."""

    @abstractmethod
    def submit(self, tasks: Sequence[Task]) -> None:
        """Accept tasks without waiting for them."""

    @abstractmethod
    def collect(self) -> list[Completed]:
        """Wait until at least one submitted task is done; return all that are."""

    @abstractmethod
    def cancel(self) -> None:
        """Drop tasks that have not started; results of the others are not wanted any more."""

    @abstractmethod
    def close(self) -> None:
        """Release workers and whatever else was acquired; running tasks are ended."""

    def stats(self) -> dict[str, Any]:
        """Figures of the backend itself, for people."""
        return {}
