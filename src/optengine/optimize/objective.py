"""The objective and what it is told about its trial; runs in workers."""

from __future__ import annotations

import inspect
import math
import time
import traceback
from collections.abc import Callable
from functools import cached_property
from typing import Any

from optengine.optimize.errors import OptimizeError
from optengine.optimize.trial import Completed, Report, Task

_DETAILS_LIMIT = 8000


class Context:
    """What an objective with a second parameter receives.

    ``trial_id`` is the number of the trial, ``budget`` the share of effort in a multi-fidelity search (else
    None).
    """

    def __init__(self, task: Task, shared: Callable[[str], Any]) -> None:
        self.trial_id = task.trial_id
        self.budget = task.budget
        self.reports: list[Report] = []
        self._seed = task.seed
        self._shared = shared

    @cached_property
    def rng(self) -> Any:
        """A ``numpy.random.Generator`` of this trial alone: the same on a retry and on any worker."""
        from optengine.search.base import generator

        return generator(self._seed, self.trial_id, 0)

    def report(self, value: float, step: float | None = None) -> None:
        """Keep an intermediate value with the trial; it changes nothing else."""
        self.reports.append(Report(None if step is None else float(step), float(value)))

    def shared(self, name: str) -> Any:
        """The shared object ``name`` given to the optimizer, in whatever process this runs."""
        return self._shared(name)


class Objective:
    """A function of one point, ``f(params)`` or ``f(params, context)``, that returns a number.

    Raises:
        OptimizeError: it cannot be called with one or two positional arguments.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.takes_context = _takes_context(function)

    def pack(self) -> bytes:
        """The function as bytes for a worker; lambdas and closures too.

        Raises:
            OptimizeError: it holds what cannot leave this process.
        """
        import cloudpickle

        try:
            packed: bytes = cloudpickle.dumps(self.function, protocol=5)
        except Exception as error:
            raise OptimizeError(
                f"the objective must be picklable to reach the workers; received {self.function!r} "
                f"({type(error).__name__}: {error}); open what cannot travel inside it, or give it as shared="
            ) from error
        return packed

    def evaluate(self, task: Task, shared: Callable[[str], Any]) -> Completed:
        """Call the function; anything it raises or returns amiss becomes a failed result."""
        context = Context(task, shared) if self.takes_context else None
        start = time.perf_counter()
        details = None
        value: float | None = None
        try:
            params = dict(task.params)
            returned = self.function(params) if context is None else self.function(params, context)
            value, error = _number(returned)
        except (Exception, SystemExit) as raised:  # noqa: BLE001 - any failure of a failing objective is a record
            error = f"{type(raised).__name__}: {_text(raised)}"
            details = traceback.format_exc()[-_DETAILS_LIMIT:]
        seconds = time.perf_counter() - start
        reports = () if context is None else tuple(context.reports)
        return Completed(task.trial_id, value, error, details, 1, None, seconds, reports)


def _text(raised: BaseException) -> str:
    try:
        return str(raised)
    except Exception as broken:  # noqa: BLE001 - an exception's __str__ may raise; its trial still has failed only
        return f"<its message could not be read: {type(broken).__name__}>"


def _number(returned: Any) -> tuple[float | None, str | None]:
    if isinstance(returned, float) and math.isfinite(returned):
        return float(returned), None
    try:
        if isinstance(returned, str | bytes | bytearray):  # which float() would read
            raise TypeError
        value = float(returned)
    except (TypeError, ValueError):
        return None, f"the objective must return a number; it returned {returned!r:.200}"
    if not math.isfinite(value):
        return None, f"the objective must return a finite number; it returned {value!r}"
    return value, None


def _takes_context(function: Callable[..., Any]) -> bool:
    if not callable(function):
        raise OptimizeError(f"the objective must be callable; received {function!r}")
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p for p in positional if p.default is p.empty]
    takes_any = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if len(required) > 2 or (not positional and not takes_any):
        raise OptimizeError(
            f"the objective must take (params) or (params, context); received {function!r} with "
            f"{len(required)} required positional parameters"
        )
    return len(required) == 2 or (len(positional) >= 2 and positional[1].name == "context")
