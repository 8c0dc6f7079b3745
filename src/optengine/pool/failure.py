"""``TaskFailure``: the record that stands in the place of a task without a result."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import Literal, NoReturn, get_args

from optengine import errors

Kind = Literal["exception", "crash", "timeout", "memory", "unpicklable", "initializer", "cancelled"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_ERRORS: dict[str, type[errors.TaskError]] = {
    "exception": errors.TaskError,
    "crash": errors.WorkerCrashed,
    "timeout": errors.TaskTimeout,
    "memory": errors.MemoryLimitExceeded,
    "unpicklable": errors.NotPicklable,
    "initializer": errors.InitializerFailed,
    "cancelled": errors.TaskCancelled,
}


class RemoteTraceback(Exception):
    """The traceback text of a worker, shown as the cause of the exception raised in the parent."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n{self.text}"


@dataclass(frozen=True)
class TaskFailure:
    """Why one task has no result. Plain fields, picklable.

    ``index`` is the position in the batch (for ``submit``: the submission number); ``attempts`` counts how often the
    task was started; ``worker`` is the number of the worker it ran on last; ``exitcode`` is negative for a signal, as
    in ``subprocess``; ``stack`` is the Python stack of a killed or crashed worker, when it could still be dumped;
    ``traceback`` is the text of the worker's traceback for kinds ``exception``, ``unpicklable`` and ``initializer``.
    """

    index: int
    kind: Kind
    message: str
    traceback: str | None = None
    stack: str | None = None
    exitcode: int | None = None
    attempts: int = 0
    worker: int | None = None
    pickled_exception: bytes | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        where = "" if self.worker is None else f" on worker {self.worker}"
        tries = "" if self.attempts <= 1 else f" after {self.attempts} attempts"
        return f"task {self.index} failed ({self.kind}){where}{tries}: {self.message}"

    def exception(self) -> BaseException:
        """The exception to raise for this failure: the task's own where it can be rebuilt, else a typed ``TaskError``.

        The worker's traceback is attached as ``__cause__``.
        """
        rebuilt = self._rebuild() if self.kind == "exception" else None
        raised = rebuilt if rebuilt is not None else _ERRORS[self.kind](self)
        text = self.traceback or self.stack
        if text:
            raised.__cause__ = RemoteTraceback(text)
        return raised

    def throw(self) -> NoReturn:
        """Raise :meth:`exception`."""
        raise self.exception()

    def _rebuild(self) -> Exception | None:
        if self.pickled_exception is None:
            return None
        try:
            rebuilt = pickle.loads(self.pickled_exception)  # noqa: S301 - sent by our own worker
        except (Exception, SystemExit):  # noqa: BLE001 - any class may refuse; the typed error carries the text
            return None
        # SystemExit and KeyboardInterrupt of a task must not end the parent: those stay a TaskError.
        return rebuilt if isinstance(rebuilt, Exception) else None
