"""What a worker says of a task, a function or a start that failed. A user's error may break while it is read."""

from __future__ import annotations

import pickle
import traceback
from typing import Any

from optengine.pool.payload import describe
from optengine.pool.protocol import Fault
from optengine.resources import told


class CannotTravel(Exception):
    """Wraps the error of an argument that could not be rebuilt."""

    def __init__(self, message: str, error: BaseException) -> None:
        super().__init__(f"{message}: {type(error).__name__}: {error}")


class Unloadable:
    """Stands for a function that could not be loaded: fails every task of its call."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __call__(self, _: Any) -> Any:
        """Raise `CannotTravel`."""
        raise CannotTravel("the function could not be loaded in the worker", self._error) from self._error


def unpicklable_result(value: Any, error: BaseException) -> str:
    """Return what to say of a result that cannot be sent."""
    return (
        f"the result must be picklable; got {describe(value)} ({type(error).__name__}: {error}); "
        "return plain data instead"
    )


def trace(error: BaseException) -> str:
    """Return the traceback of an error as text, whatever its methods do."""
    try:
        return "".join(traceback.format_exception(error))
    except Exception as broken:  # noqa: BLE001 - an exception's __str__ may raise
        return f"{type(error).__name__} (its traceback could not be formatted: {type(broken).__name__})"


def fault(error: BaseException) -> Fault:
    """Return what failed a task, as it travels to the parent."""
    if isinstance(error, CannotTravel):
        return Fault("unpicklable", str(error), trace(error), None)
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001 - an exception's __str__ may raise
        text = f"<its message could not be read: {type(broken).__name__}>"
    try:
        blob = pickle.dumps(error, 5)
    except BaseException:  # noqa: BLE001 - the text still travels
        blob = None
    return Fault(
        "exception", f"{type(error).__name__}: {text}" if text else type(error).__name__, trace(error), blob
    )


def start_fault(error: BaseException) -> Fault:
    """What keeps a worker from starting, whatever its pool does in it."""
    reason = told(error, "starting a worker", descriptors=2) or f"{type(error).__name__}: {error}"
    return Fault("crash", f"a worker could not start: {reason}", trace(error), None)
