"""The overview's column of intervals: every decision on one axis of ratios, so that they can be compared.

The axis is linear around no change and logarithmic far from it (inverse hyperbolic sine of the log ratio), so
a close call at 5 % and a gain of a hundred times are both legible; its labels say which ratio lies where.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final

from ..figures import Doc, gain, part, target
from ..scale import Axis
from ..units import saved_interval
from . import svg
from .labels import Label, fitting

LINEAR: Final = 0.08
"""Log ratio up to which the axis is about linear."""

HEIGHT: Final = 30

TICKS: Final = (1.0, 2.0, 0.5, 10.0, 0.1, 1.1, 0.9, 100.0, 0.01, 1.3, 0.77, 5.0, 0.2, 1000.0, 0.001)
"""Ratios that are labelled where there is room, the first of them first."""


class Forest:
    """The common axis of some decisions, and their intervals on it."""

    def __init__(self, docs: Iterable[Doc]) -> None:
        """Span every interval and threshold of ``docs``."""
        values = [0.0, 0.1]
        for doc in docs:
            values.append(_place(doc["margin"]))
            ends = (part(doc, "ratio", key) for key in ("ci_low", "estimate", "ci_high"))
            values += [_place(end) for end in ends if end]
        low, high = min(values), max(values)
        room = 0.04 * (high - low)
        self._axis = Axis(low - room, high + room, 0.0, 100.0)
        held = [ratio for ratio in TICKS if self._axis.holds(_place(ratio))]
        self._ticks = [Label(self._axis.at(_place(ratio)), f"{ratio:g}x") for ratio in held]
        self._shown = fitting(self._ticks)

    def scale(self) -> str:
        """Return the labels of the axis, as ratios."""
        return svg.plot("Axis of ratios baseline time / optimized time", 16, self._labels(12, "tick"))

    def row(self, doc: Doc) -> str:
        """Return the interval of ``doc`` with its threshold."""
        parts = [
            svg.line(
                label.at, 0, label.at, HEIGHT, f"{'zero' if label.words == '1x' else 'grid'} {shown}".strip()
            )
            for label, shown in zip(self._ticks, self._shown, strict=True)
            if shown is not None
        ]
        needed = self._axis.at(_place(doc["margin"]))
        parts.append(svg.line(needed, 2, needed, HEIGHT - 2, "threshold"))
        low, estimate, high = (part(doc, "ratio", key) for key in ("ci_low", "estimate", "ci_high"))
        if not estimate:
            label = "Nothing was measured"
        else:
            middle = HEIGHT / 2
            at = self._axis.at(_place(estimate))
            label = f"Time saved {gain(doc)}"
            if low and high:
                one, two = self._axis.at(_place(low)), self._axis.at(_place(high))
                parts.append(svg.line(one, middle, two, middle, f"bar {doc['verdict']}"))
                label += f", interval {saved_interval(low, high)}"
            parts.append(svg.dot(at, middle, doc["verdict"], 4))
        parts.append(svg.group("small", self._labels(HEIGHT + 11, "tick")))
        return svg.plot(f"{label}. Needed: {target(doc)}.", HEIGHT, parts)

    def _labels(self, y: float, name: str) -> Iterator[str]:
        for label, shown in zip(self._ticks, self._shown, strict=True):
            if shown is not None:
                yield svg.text(label.at, y, label.words, f"{name} {shown}".strip(), "middle")


def _place(ratio: float) -> float:
    """Return where a ratio lies; 0 for 1x."""
    return math.asinh(math.log(ratio) / LINEAR)
