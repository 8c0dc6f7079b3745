"""The frame of charts whose vertical axis is time saved: grid, reference lines, what of them is off the axis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..scale import Axis, decimals, ticks
from ..units import both, percent, time_saved
from . import svg
from .labels import Label, evenly, texts
from .svg import Chart, Key

TOP, BOTTOM = 16, 252
HEIGHT = 296


def vertical(low: float, high: float, top: float = TOP, bottom: float = BOTTOM) -> Axis:
    """Return the axis of time saved from ``bottom`` (low) to ``top`` (high), in pixels."""
    return Axis(low, high, bottom, top)


def along(count: int) -> Axis:
    """Return the horizontal axis of ``count`` pairs; pair i (from 1) lies at i - 0.5."""
    return Axis(0.0, float(max(count, 1)), 0.0, 100.0)


def grid(y: Axis, about: int = 5) -> tuple[list[tuple[float, str]], list[str]]:
    """Return (labels for the gutter, lines for the plot) at round values of time saved."""
    values = ticks(y.low, y.high, about)
    digits = decimals([100.0 * value for value in values])
    labels = [(y.at(value) + 4, percent(value, digits)) for value in values]
    return labels, [svg.line(0, y.at(value), 100, y.at(value), "grid") for value in values]


def band(y: Axis, low: float, high: float, name: str) -> list[str]:
    """Return the band between two values, nothing when it lies off the axis."""
    if high < y.low or low > y.high:
        return []
    return [svg.rect(0, y.at(high), 100, max(y.at(low) - y.at(high), 1.0), name)]


def references(y: Axis, margin: float, estimate: float | None = None) -> tuple[list[str], list[Key]]:
    """Return the lines of threshold (a ratio), no change and estimate (time saved), with their legend.

    One off the axis is named in the legend with the direction it lies in.
    """
    needed = time_saved(margin) or 0.0
    wanted = [("threshold", needed, f"needed: {both(margin)}"), ("zero", 0.0, "no change: 0 % = 1x")]
    if estimate is not None and estimate < 1.0:
        wanted.insert(0, ("estimate", estimate, f"measured: {both(1.0 / (1.0 - estimate))}"))
    drawn, legend = [], []
    for name, value, words in wanted:
        if y.holds(value):
            drawn.append(svg.line(0, y.at(value), 100, y.at(value), name))
        else:
            words += " (below the axis)" if value < y.low else " (above the axis)"
        legend.append(Key(f"line {name}", words))
    return drawn, legend


def pair_numbers(x: Axis, numbers: Sequence[int], y: float) -> Iterator[str]:
    """Yield the numbers of the pairs below the axis: all of a few, else every fifth (or rounder)."""
    count = len(numbers)
    every = 1 if count <= 10 else 5 * (1 + count // 61)
    rounded = [Label(x.at(number - 0.5), str(number)) for number in numbers if number % every == 0]
    first = [Label(x.at(number - 0.5), str(number)) for number in numbers if number == 1 and every > 1]
    yield from texts([*evenly(rounded), *first], y)


def frame(
    label: str, y: Axis, body: Iterable[str], below: Iterable[str], legend: list[Key], caption: str,
    height: float = HEIGHT,
) -> Chart:  # fmt: skip
    """Return the chart: grid under ``body``, ``below`` under the axis, ``caption`` at the bottom."""
    labels, lines = grid(y)
    parts = [
        *lines,
        *body,
        svg.line(0, y.start, 100, y.start, "axis"),
        *below,
        svg.text(50, y.start + 38, caption, "caption", "middle"),
    ]
    return Chart(svg.side_by_side(svg.gutter(height, labels), svg.plot(label, height, parts)), legend)
