"""Axis arithmetic for plots: which values an axis spans, where its ticks go, which labels would overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

FENCE: Final = 8.0
"""Median absolute deviations from the median beyond which a point no longer stretches the axis."""

FINEST: Final = 0.004
"""Smallest span of an axis of time saved, as a share of the time that is left."""

STRETCH: Final = 4.0
"""How many times wider than the data an axis may get to show a reference line."""


@dataclass(frozen=True)
class Axis:
    """A linear axis from value ``low`` at pixel ``start`` to value ``high`` at pixel ``end``."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the pixel of ``value``, held inside the axis."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Return whether ``value`` lies on the axis."""
        return self.low <= value <= self.high


def span(values: Sequence[float], needed: Sequence[float], wanted: Sequence[float]) -> tuple[float, float]:
    """Return (low, high) of an axis, low < high, with a margin on both sides.

    Values are fractions of time saved. The axis holds the bulk of ``values`` (within `FENCE` of the median),
    all of ``needed``, and each of ``wanted``, in order, that leaves it at most `STRETCH` times as wide.
    """
    core = [*_bulk(values), *needed] or [0.0]
    low, high = min(core), max(core)
    smallest = FINEST * max(1.0 - (low + high) / 2.0, 1e-9)
    if high - low < smallest:
        middle = (low + high) / 2.0
        low, high = middle - smallest / 2.0, middle + smallest / 2.0
    widest = STRETCH * (high - low)
    for value in wanted:
        if max(high, value) - min(low, value) <= widest:
            low, high = min(low, value), max(high, value)
    margin = 0.09 * (high - low)
    return low - margin, high + margin


def ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Return round values inside [low, high], roughly ``about`` of them, evenly spaced."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * base for base in (1.0, 2.0, 2.5, 5.0, 10.0) if power * base >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 15) + 0.0 for index in range(first, last + 1)]


def decimals(values: Sequence[float], most: int = 6) -> int:
    """Return how many decimals tell all ``values`` apart and show each of them unrounded."""
    for digits in range(most):
        if all(abs(value - round(value, digits)) < 1e-9 for value in values):
            return digits
    return most


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return ``positions`` moved as little as needed to lie ``gap`` apart inside [low, high], order kept."""
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    placed: list[float] = []
    for index in order:
        placed.append(max(positions[index], placed[-1] + gap if placed else low))
    ceiling = high
    for position in reversed(range(len(placed))):
        placed[position] = min(placed[position], ceiling)
        ceiling = placed[position] - gap
    result = [0.0] * len(positions)
    for index, value in zip(order, placed, strict=True):
        result[index] = value
    return result


def _bulk(values: Sequence[float]) -> list[float]:
    if len(values) < 4:
        return list(values)
    middle = median(values)
    deviation = median(abs(value - middle) for value in values)
    return [value for value in values if abs(value - middle) <= FENCE * max(deviation, 1e-6)]
