"""The grid of a sweep: named axes and the points they span.

An axis is written ``name=start:stop:step`` or ``name=a,b,c``. A range includes ``stop`` when a step lands on it, and is
computed in decimals: ``x=0.1:0.3:0.1`` is 0.1, 0.2, 0.3. Values are integers when all of an axis are written so,
numbers when all are numbers, else texts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from optengine.sweep.errors import SweepError

Value = int | float | str
Point = dict[str, Value]

MAX_POINTS = 1_000_000


@dataclass(frozen=True)
class Axis:
    """A parameter and the values it takes, in order."""

    name: str
    values: tuple[Value, ...]


def parse_axes(texts: Sequence[str]) -> list[Axis]:
    """The axes, one per text. Raises SweepError for none, a repeated name, or more than a million points."""
    if not texts:
        raise SweepError("a sweep needs at least one axis; received none; add --grid name=start:stop:step")
    axes = [parse_axis(text) for text in texts]
    names = [axis.name for axis in axes]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise SweepError(f"a name stands for one axis; received {repeated} more than once; join their values")
    count = math.prod(len(axis.values) for axis in axes)
    if count > MAX_POINTS:
        raise SweepError(f"a grid has at most {MAX_POINTS:,} points; received {count:,}; use larger steps")
    return axes


def parse_axis(text: str) -> Axis:
    """The axis in ``name=start:stop:step`` or ``name=a,b,c``. Raises SweepError quoting what is wrong."""
    name, equals, values = text.partition("=")
    name = name.strip()
    if not equals or not name.isidentifier():
        raise SweepError(f"an axis is written name=start:stop:step or name=a,b,c; received {text!r}")
    parse = _range if ":" in values else _listed
    return Axis(name, parse(text, values))


def points(axes: Sequence[Axis]) -> Iterator[Point]:
    """Every point of the grid; the last axis varies fastest."""
    names = [axis.name for axis in axes]
    for values in itertools.product(*(axis.values for axis in axes)):
        yield dict(zip(names, values, strict=True))


def _range(text: str, values: str) -> tuple[Value, ...]:
    parts = values.split(":")
    numbers = [_number(part) for part in parts]
    if len(parts) != 3 or None in numbers:
        raise SweepError(f"a range is written name=start:stop:step with three numbers; received {text!r}")
    start, stop, step = (number for number in numbers if number is not None)
    if step == 0 or (stop - start) * step < 0:
        raise SweepError(f"the step of a range must lead from start to stop; received {text!r}")
    count = int((stop - start) / step) + 1
    if count > MAX_POINTS:
        raise SweepError(f"an axis has at most {MAX_POINTS:,} values; received {text!r}; use a larger step")
    whole = all(_is_integer(part) for part in parts)
    return tuple(_value(start + i * step, whole=whole) for i in range(count))


def _listed(text: str, values: str) -> tuple[Value, ...]:
    parts = [part.strip() for part in values.split(",")]
    if "" in parts:
        raise SweepError(f"every value of an axis must be given; received an empty one in {text!r}")
    if len(set(parts)) < len(parts):
        raise SweepError(f"the values of an axis must differ; received {text!r}")
    numbers = [number for part in parts if (number := _number(part)) is not None]
    if not numbers:
        return tuple(parts)
    if len(numbers) < len(parts):
        raise SweepError(f"the values of an axis must be all numbers or all texts; received {text!r}")
    whole = all(_is_integer(part) for part in parts)
    return tuple(_value(number, whole=whole) for number in numbers)


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:  # not a number; the caller says so
        return None
    return number if number.is_finite() else None


def _is_integer(text: str) -> bool:
    return text.strip().lstrip("+-").isdigit()


def _value(number: Decimal, *, whole: bool) -> Value:
    return int(number) if whole else float(number)
