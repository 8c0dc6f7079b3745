"""Find the strategy of a sweep, and run it on one point in a worker."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from typing import Any

from optengine.named import named_callable
from optengine.sweep.errors import SweepError
from optengine.sweep.grid import Point
from optengine.sweep.outcome import RESERVED, Metric

Strategy = Callable[..., Any]

FRAME = "frame"


def load_strategy(name: str) -> Strategy:
    """The callable at ``module:function``, the current folder included. Raises SweepError quoting the cause."""
    return named_callable(name, "strategy", SweepError)


def check_takes(strategy: Strategy, point: Point) -> None:
    """Raise SweepError unless ``strategy(frame, **point)`` fits its signature."""
    try:
        signature = inspect.signature(strategy)
    except ValueError:  # some built-in callables have none
        return
    try:
        signature.bind(None, **point)
    except TypeError as error:
        raise SweepError(
            f"the strategy must take the frame and the axes {sorted(point)} by name; "
            f"received one that takes {signature} ({error})"
        ) from error


def evaluate(strategy: Strategy, point: Point) -> tuple[dict[str, Metric], float]:
    """The metrics of one point and the seconds they took, in a worker that shares the frame.

    Raises whatever the strategy raises, and TypeError or ValueError for a result that is not named numbers.
    """
    from optengine.pool.shared import shared

    frame = shared(FRAME)
    began = time.perf_counter()
    result = strategy(frame, **point)
    seconds = time.perf_counter() - began
    return as_metrics(result, point), seconds


def as_metrics(result: Any, point: Point) -> dict[str, Metric]:
    """The result as named plain numbers; a single number is named ``value``."""
    named = result if isinstance(result, Mapping) else {"value": result}
    metrics: dict[str, Metric] = {}
    for name, given in named.items():
        if not isinstance(name, str) or name in point or name in RESERVED:
            raise ValueError(
                f"a metric's name must be a text other than a parameter's or {RESERVED}; received {name!r}"
            )
        value = given.item() if hasattr(given, "item") and getattr(given, "ndim", None) == 0 else given
        if value is not None and not isinstance(value, (bool, int, float)):
            raise TypeError(f"a metric must be a number or None; received {name}={given!r}")
        metrics[name] = value
    if not metrics:
        raise ValueError("a strategy must return at least one metric; received an empty mapping")
    return metrics
