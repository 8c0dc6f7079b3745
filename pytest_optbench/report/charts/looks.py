"""The repeated interval at every look: how it narrowed, where measuring stopped, which looks were not needed."""

from __future__ import annotations

from collections.abc import Iterator

from .. import series
from ..figures import Doc
from ..scale import Axis, span
from ..units import percent, percents, time_saved
from . import panel, svg
from .labels import Label, evenly, texts
from .svg import Chart, Key


def looks_chart(doc: Doc) -> Chart | None:
    """Return one interval per look taken; None without looks."""
    looks = series.looks(doc)
    seen = [look.seen for look in looks if look.seen]
    if not seen:
        return None
    ends = [end for each in seen for end in (each.low, each.high)]
    margin = time_saved(doc["margin"]) or 0.0
    y = panel.vertical(*span([], ends, [margin, 0.0]))
    x = panel.along(len(looks))
    lines, legend = panel.references(y, doc["margin"])
    body = [*lines]
    below = []
    for index, look in enumerate(looks):
        at = x.at(index + 0.5)
        name = "decided" if look.stopped else "other"
        if look.seen:
            body += _interval(look.seen, at, y, name, look.pairs)
        below.append(Label(at, str(look.pairs), "strong" if look.seen else "faint", look.seen is not None))
    if any(look.seen is None for look in looks):
        legend.append(Key("", "looks at the pairs in grey were planned but not needed"))
    legend.insert(0, Key("mark decided", "interval at the look where it stopped"))
    if any(not look.stopped and look.seen for look in looks):
        legend.insert(1, Key("mark other", "interval at an earlier look"))
    last = seen[-1]
    label = f"Interval at {len(seen)} looks; at the last one {percents(last.low, last.high)}."
    below = [below[len(seen) - 1], *evenly(below[: len(seen) - 1]), *evenly(below[len(seen) :])]
    return panel.frame(label, y, body, texts(below, y.start + 18), legend, "pairs at the look")


def _interval(seen: series.Interval, at: float, y: Axis, name: str, pairs: int) -> Iterator[str]:
    tip = f"{pairs} pairs: {percent(seen.estimate)}, {percents(seen.low, seen.high)}"
    yield svg.line(at, y.at(seen.high), at, y.at(seen.low), f"bar {name}")
    for value in (seen.low, seen.high):
        yield svg.path(at, y.at(value), "M-7 0h14", f"end {name}")
    yield svg.dot(at, y.at(seen.estimate), name, 5.5, tip)
