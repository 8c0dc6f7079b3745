"""The check of all candidates against the baseline, on fresh untimed calls."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

from ...core.equivalence import Equivalence
from ...core.findings import Finding
from ..arm import Arm, Arms
from ..errors import TimeLimitReached
from ..terminated import Terminated
from .difference import Difference, shown
from .walk import compare

Equal = Callable[[Any, Any], Any]

# Two arms may well return the very same one of these.
_IMMUTABLE = (
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    tuple,
    frozenset,
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.ModuleType,
)


def check(arms: Arms, equal: Equal | None = None) -> dict[str, Equivalence]:
    """Return for every candidate, by name, whether it returns what the baseline returns.

    For each candidate both arms are called afresh, the baseline first, so that no candidate is held against a
    result that another one may have changed. ``equal(expected, actual)`` replaces `compare`: a true value
    means equal; a false one, or an exception, that they differ. Raises `ArmRaised` when an arm does, and
    `TimeLimitReached` when an arm or ``equal`` would not return.
    """
    return {candidate.name: _check_one(arms, candidate, equal) for candidate in arms.candidates}


def _check_one(arms: Arms, candidate: Arm, equal: Equal | None) -> Equivalence:
    baseline = arms.baseline
    how = "default comparison" if equal is None else f"equal={_name(equal)}"
    expected = baseline.once()
    actual = candidate.once()
    with arms.limit.interruptible():
        difference = difference_of(expected, actual, equal)
    if difference is None:
        return Equivalence(True, True, how, None, tuple(_suspicions(candidate, expected, actual)))
    message = f"{candidate.name} differs from baseline at {difference}" if equal is None else difference
    again = baseline.once()
    with arms.limit.interruptible():
        unstable = difference_of(expected, again, equal) is not None
    if unstable:
        message += (
            "; the baseline does not agree with itself from one call to the next either: "
            "seed what is random, or pass equal="
        )
    return Equivalence(True, False, how, message)


def difference_of(expected: Any, actual: Any, equal: Equal | None) -> str | None:
    """Return how the results differ, None if they do not."""
    if equal is None:
        found: Difference | None = compare(expected, actual)
        return None if found is None else found.message
    name = _name(equal)
    try:
        answer = equal(expected, actual)
        if inspect.isawaitable(answer) or isinstance(answer, Iterator) or answer is NotImplemented:
            if inspect.iscoroutine(answer):
                answer.close()
            return f"equal={name} must answer True or False when called, received {shown(answer)}"
        if answer:
            return None
    except (KeyboardInterrupt, TimeLimitReached, Terminated):
        raise
    except BaseException as error:  # noqa: BLE001 - whatever else a user's function raises is a difference, a skip too
        return f"equal={name} raised {type(error).__name__}: {str(error).strip() or 'no message'}"
    cure = "; a function that asserts and returns nothing needs `return True`" if answer is None else ""
    return (
        f"equal={name} returned {shown(answer)} for expected {shown(expected)} and got {shown(actual)}{cure}"
    )


def _suspicions(candidate: Arm, expected: Any, actual: Any) -> Iterator[Finding]:
    if expected is actual and not isinstance(actual, _IMMUTABLE):
        yield Finding(
            "same-object",
            "warn",
            f"baseline and {candidate.name} returned the very same {type(actual).__qualname__}, so their "
            "results could not differ; build the input in setup=, or return a copy",
        )


def _name(equal: Equal) -> str:
    return str(getattr(equal, "__qualname__", type(equal).__qualname__))
