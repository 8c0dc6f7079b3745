"""The interval the verdict is read off, against the threshold, with the intervals of the other methods."""

from __future__ import annotations

from collections.abc import Iterator

from .. import series
from ..figures import Doc, target
from ..scale import Axis, decimals, ticks
from ..units import both, percent, percents, time_saved
from . import svg
from .labels import GAP, WIDTHS, Label, evenly, shown_from, text_width, texts
from .svg import Chart, Key

TOP = 26
ROW = 46
STRETCH = 12.0
"""How many times wider than the deciding interval and the threshold another method may make the axis."""


def interval_chart(doc: Doc) -> Chart | None:
    """Return one row per interval over the threshold; None when no gain was estimated."""
    decided = series.decided(doc)
    if decided is None:
        return None
    rows = [decided, *series.companions(doc)]
    margin = time_saved(doc["margin"]) or 0.0
    x = _axis(decided, rows, margin)
    bottom = TOP + ROW * len(rows)
    parts = list(_ground(x, margin, bottom))
    for index, row in enumerate(rows):
        parts += _row(row, x, TOP + ROW * index, "decided" if index == 0 else "other")
    legend = [
        Key("line threshold", f"needed: {both(doc['margin'])}"),
        Key("line zero", "no change: 0 % = 1x"),
        Key("band enough", "where the whole interval must lie"),
    ]
    ends = percents(decided.low, decided.high)
    label = f"Interval of time saved against the threshold: {ends}. Needed: {target(doc)}."
    return Chart(svg.plot(label, bottom + 46, parts), legend)


def _axis(decided: series.Interval, rows: list[series.Interval], margin: float) -> Axis:
    """Return the axis: threshold, no change and the deciding interval always, others while they fit."""
    low, high = min(decided.low, margin, 0.0), max(decided.high, margin, 0.0)
    widest = STRETCH * max(high - low, 1e-6)
    for row in rows:
        if max(high, row.high) - min(low, row.low) <= widest:
            low, high = min(low, row.low), max(high, row.high)
    room = max(0.05 * (high - low), 1e-9)
    return Axis(low - room, high + room, 0.0, 100.0)


def _ground(x: Axis, margin: float, bottom: float) -> Iterator[str]:
    at = x.at(margin)
    yield svg.rect(at, TOP - 6, 100 - at, bottom - TOP + 6, "enough")
    values = ticks(x.low, x.high, 5)
    digits = decimals([100.0 * value for value in values])
    for value in values:
        yield svg.line(x.at(value), TOP - 6, x.at(value), bottom, "grid")
    yield from texts(evenly([Label(x.at(value), percent(value, digits)) for value in values]), bottom + 18)
    yield svg.line(x.at(0.0), TOP - 6, x.at(0.0), bottom, "zero")
    yield svg.line(at, TOP - 6, at, bottom, "threshold")
    yield svg.text(
        at, TOP - 11, "needed", "threshold-text", "middle" if 8 < at < 92 else "start" if at <= 8 else "end"
    )
    yield svg.line(0, bottom, 100, bottom, "axis")
    yield svg.text(50, bottom + 38, "time saved", "caption", "middle")


def _row(row: series.Interval, x: Axis, top: float, name: str) -> Iterator[str]:
    middle = top + 30
    figures = percents(row.low, row.high)
    if name == "decided":
        yield svg.rect(0, top + 1, 100, ROW - 4, "row")
    yield svg.text(0.6, top + 15, row.name, "strong" if name == "decided" else "")
    yield from _beside(row.name, figures, top + 15, "strong" if name == "decided" else "")
    left, right = x.at(row.low), x.at(row.high)
    if row.high < x.low or row.low > x.high:
        yield svg.path(left, middle, svg.LEFT if row.high < x.low else svg.RIGHT, name)
        return
    tip = f"{row.name}: {percent(row.estimate)}, {figures}"
    yield svg.line(left, middle, right, middle, f"bar {name}")
    for at, value in ((left, row.low), (right, row.high)):
        if x.holds(value):
            yield svg.line(at, middle - 6, at, middle + 6, f"end {name}")
    yield svg.dot(x.at(row.estimate), middle, name, 5.5 if name == "decided" else 4, tip)


def _beside(name: str, figures: str, y: float, kind: str) -> Iterator[str]:
    """Yield the figures of a row at its end, where there is room for them beside its name."""
    needed = sum(text_width(words, kind == "strong") for words in (name, figures)) + GAP
    fits = next((width for width in WIDTHS if width >= needed), None)
    if fits is not None:
        yield svg.text(99.4, y, figures, " ".join(filter(None, (kind, shown_from(fits)))), "end")
