"""The pairs of trials in the order they ran: time saved in each, who ran first, interval, threshold, control."""

from __future__ import annotations

from collections.abc import Iterator

from .. import series
from ..figures import Doc, gain, gain_interval, target
from ..scale import Axis, span
from ..units import both, percent, time_saved
from . import panel, svg
from .labels import Label, evenly, texts
from .svg import Chart, Key


def pairs_chart(doc: Doc) -> Chart | None:
    """Return one mark per pair; None without pairs."""
    marks = series.marks(doc)
    if not marks:
        return None
    decided = series.decided(doc)
    control = series.interval("control", doc["control"])
    margin = time_saved(doc["margin"]) or 0.0
    y = panel.vertical(
        *span(
            [mark.saved for mark in marks],
            [] if decided is None else [decided.low, decided.estimate, decided.high],
            [margin, 0.0, *((control.low, control.high) if control else ())],
        )
    )
    x = panel.along(len(doc["pairs"]))
    first = any(mark.baseline_first for mark in marks)
    legend = [Key("mark first", "baseline ran first")] if first else []
    if not all(mark.baseline_first for mark in marks):
        legend.append(Key("mark second", "optimized ran first"))
    if any(mark.outlier for mark in marks):
        legend.append(Key("mark ring", "outlier, weighted down"))
    lines, lined = panel.references(y, doc["margin"], decided.estimate if decided else None)
    bands: list[str] = []
    if control and (drawn := panel.band(y, control.low, control.high, "control")):
        bands += drawn
        lined.append(Key("band control", "baseline against itself (99 %)"))
    if decided:
        bands += panel.band(y, decided.low, decided.high, "interval")
        lined.append(Key("band interval", f"{percent(doc['confidence'], 0)} confidence interval"))
    body = [*bands, *_looks(doc, x, y), *lines, *_marks(x, y, marks)]
    below = panel.pair_numbers(x, [mark.number for mark in marks], y.start + 18)
    label = (
        f"Time saved in each of {len(marks)} pairs of trials. Estimate {gain(doc)}, interval "
        f"{gain_interval(doc)}. Needed: {target(doc)}."
    )
    caption = "pairs in the order they ran"
    return panel.frame(label, y, body, below, legend + lined, caption)


def _looks(doc: Doc, x: Axis, y: Axis) -> Iterator[str]:
    names: list[Label] = []
    for number, look in enumerate(series.looks(doc), start=1):
        if look.seen and look.pairs < len(doc["pairs"]):
            at = x.at(float(look.pairs))
            yield svg.line(at, y.end, at, y.start, "look")
            names.append(Label(at, f"look {number}"))
    yield from texts(evenly(names), y.end - 4)


def _marks(x: Axis, y: Axis, marks: list[series.Mark]) -> Iterator[str]:
    first: list[str] = []
    second: list[str] = []
    others: list[str] = []
    beyond: dict[bool, list[Label]] = {True: [], False: []}
    for mark in marks:
        at, height = x.at(mark.number - 0.5), y.at(mark.saved)
        tip = f"Pair {mark.number}: {both(mark.ratio)}{', outlier' if mark.outlier else ''}"
        own = first if mark.baseline_first else second
        if not y.holds(mark.saved):
            above = mark.saved > y.high
            own.append(svg.path(at, height, svg.UP if above else svg.DOWN, "", tip))
            beyond[above].append(Label(at, percent(mark.saved, 0), "strong", True))
            continue
        own.append(svg.dot(at, height, tip=tip) if mark.baseline_first else svg.diamond(at, height, tip))
        if mark.outlier:
            others.append(svg.dot(at, height, "ring", 9))
    yield svg.group("first", first)
    yield svg.group("second", second)
    yield from others
    yield from texts(beyond[True], y.end + 24)
    yield from texts(beyond[False], y.start - 15)
