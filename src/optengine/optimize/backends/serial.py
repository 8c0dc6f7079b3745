"""Evaluations in the driver's own process, one after the other: the reference for all other backends."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from optengine.optimize.backends.base import Backend
from optengine.optimize.errors import OptimizeError
from optengine.optimize.objective import Objective
from optengine.optimize.shared import share_handles
from optengine.optimize.trial import Completed, Task


class SerialBackend(Backend):
    """No processes, hence no time limit, no memory limit and no protection from a crash.

    Args:
        shared: share handles or plain objects by name, for ``context.shared(name)``.
    """

    name = "serial"

    def __init__(self, shared: Mapping[str, Any] | None = None) -> None:
        self.shared = share_handles(shared)
        self._values: dict[str, Any] = {}
        self._queue: deque[Task] = deque()
        self._objective: Objective | None = None

    @property
    def workers(self) -> int:
        """Always 1."""
        return 1

    def start(self, objective: Objective) -> None:
        """See the base class."""
        self._objective = objective

    def submit(self, tasks: Sequence[Task]) -> None:
        """See the base class."""
        self._queue.extend(tasks)

    def collect(self) -> list[Completed]:
        """Evaluate the next task."""
        assert self._objective is not None
        return [self._objective.evaluate(self._queue.popleft(), self._value)._replace(worker=0)]

    def cancel(self) -> None:
        """See the base class."""
        self._queue.clear()

    def close(self) -> None:
        """See the base class."""
        self._queue.clear()
        self._values.clear()

    def _value(self, name: str) -> Any:
        if name not in self.shared:
            raise OptimizeError(f"shared name must be one of {sorted(self.shared)!r}; received {name!r}")
        if name not in self._values:
            self._values[name] = self.shared[name].get()
        return self._values[name]
