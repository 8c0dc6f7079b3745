"""Every error the engine raises, under one base.

Three branches: the caller asked for something that cannot be (``ConfigurationError`` and its kin), one task was
lost or failed (``TaskError`` and its kin, each carrying the ``TaskFailure``), or the pool itself cannot go on
(``PoolClosed``, ``BrokenPool``). Those that cross processes keep plain fields, so they survive pickling.
"""

from __future__ import annotations

from concurrent.futures import BrokenExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optengine.pool.failure import TaskFailure


class EngineError(Exception):
    """Base of all engine errors."""


class ConfigurationError(EngineError, ValueError):
    """A setting, argument or environment variable has a value that cannot be used."""


class StartMethodError(ConfigurationError):
    """The requested start method does not exist on this platform."""


class NestedPoolError(EngineError, RuntimeError):
    """A pool was created or used inside a worker process."""


class PoolClosed(EngineError, RuntimeError):
    """Work was given to a pool after its shutdown."""


class BrokenPool(EngineError, BrokenExecutor):
    """The pool cannot start or keep workers, so nothing more can run."""


class ResourceExhausted(EngineError, OSError):
    """The system refuses descriptors, processes, memory or room that are needed; the text names limit and cure."""

    def __init__(self, number: int | None, message: str) -> None:
        super().__init__(number, message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class SharedNameError(EngineError, LookupError):
    """``shared(name)`` was called with a name the pool was not given, or outside a worker."""


class TaskError(EngineError):
    """One task has no result; ``failure`` says why.

    Raised itself for kind ``exception`` when the original exception cannot be rebuilt in the parent.
    """

    def __init__(self, failure: TaskFailure) -> None:
        super().__init__(failure)
        self.failure = failure

    def __str__(self) -> str:
        return str(self.failure)


class WorkerCrashed(TaskError):
    """The worker died while it ran the task."""


class TaskTimeout(TaskError, TimeoutError):
    """The task ran longer than its time-out and its worker was killed."""


class MemoryLimitExceeded(TaskError, MemoryError):
    """The task's worker held more unshared memory than allowed and was killed."""


class NotPicklable(TaskError, TypeError):
    """The task's argument or result cannot travel between processes."""


class InitializerFailed(TaskError, BrokenExecutor):
    """The pool's initializer failed, so no task can run."""


class TaskCancelled(TaskError):
    """The task was given up before it ran to its end."""
