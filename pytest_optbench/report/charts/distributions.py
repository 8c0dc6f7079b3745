"""The times of both arms: every trial a dot, the middle half a box, on one axis of seconds per call."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from .. import series
from ..escape import plain
from ..figures import Doc, is_unpaired
from ..scale import Axis, ticks
from ..units import percent, seconds
from . import svg
from .labels import Label, cut, evenly, shown_from, shown_until, texts
from .svg import Chart, Key

LOGARITHMIC = 8.0
"""Ratio of the longest to the shortest time from which the axis is logarithmic."""

TOP = 8
ROW = 112
MIDDLE = 70
SLOT = 1.6
"""Percent of the width two dots must be apart to lie at the same height."""


NAMED = (250, 290, 460)
"""Widths in pixels of the chart from which more of an arm's name is shown."""

MOST = 120
"""Dots drawn for one arm; of more values an even selection."""


def distributions_chart(doc: Doc) -> Chart | None:
    """Return a box and a dot per trial for each arm; None without times."""
    arms = series.times(doc)
    if not arms:
        return None
    every = [value for times in arms.values() for value in times]
    scale = _Scale(min(every), max(every))
    bottom = TOP + ROW * len(arms)
    parts = [*scale.grid(bottom)]
    for index, (arm, times) in enumerate(arms.items()):
        parts += _arm(arm, doc[arm].get("name") or arm, times, scale, TOP + ROW * index)
    word = "value" if is_unpaired(doc) else "trial"
    kind = "seconds per call, logarithmic" if scale.logarithmic else "time per call"
    parts += [svg.line(0, bottom, 100, bottom, "axis"), svg.text(50, bottom + 38, kind, "caption", "middle")]
    legend = [
        Key("mark baseline", f"baseline, one {word}"),
        Key("mark optimized", f"optimized, one {word}"),
        Key("band half", f"middle half of the {word}s"),
        Key("line median", "median"),
    ]
    medians = [seconds(series.quartiles(times)[1]) for times in arms.values()]
    counts = " and ".join(str(len(times)) for times in arms.values())
    label = f"Times of {counts} {word}s: median {medians[0]} (baseline), {medians[1]} (optimized)."
    return Chart(svg.plot(label, bottom + 46, parts), legend)


class _Scale:
    """Seconds to percent of the width, linear or logarithmic."""

    def __init__(self, low: float, high: float) -> None:
        self.logarithmic = high / low >= LOGARITHMIC
        one, two = self._value(low), self._value(high)
        room = 0.06 * max(two - one, 1e-9 if self.logarithmic else 0.02 * two)
        self.axis = Axis(one - room, two + room, 0.0, 100.0)

    def _value(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value

    def at(self, value: float) -> float:
        return self.axis.at(self._value(value))

    def grid(self, bottom: float) -> Iterator[str]:
        if self.logarithmic:
            values = logarithmic_ticks(self.axis.low, self.axis.high)
        else:
            values = ticks(self.axis.low, self.axis.high, 4)
            if len(values) < 2:
                values = ticks(self.axis.low, self.axis.high, 8)
        labels = [Label(self.at(value), svg.short_seconds(value)) for value in values]
        yield from (svg.line(label.at, TOP, label.at, bottom, "grid") for label in labels)
        yield from texts(evenly(labels), bottom + 18)


def logarithmic_ticks(low: float, high: float) -> list[float]:
    """Return round values (1, 2, 5 or powers of ten) between 10**low and 10**high, at most eight of them."""
    for bases in ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        powers = range(math.floor(low), math.ceil(high) + 1)
        values = [base * 10.0**power for power in powers for base in bases]
        inside = [value for value in values if low <= math.log10(value) <= high]
        if len(inside) <= 8:
            return inside
    step = math.ceil(len(inside) / 8)
    return inside[::step]


def _arm(arm: str, name: str, times: Sequence[float], scale: _Scale, top: float) -> Iterator[str]:
    low, median, high = series.quartiles(list(times))
    spread = percent((high - low) / median) if median else ""
    yield from _name(arm.capitalize() if name == arm else f"{arm.capitalize()}: {name}", top + 18)
    yield svg.text(0.6, top + 34, f"median {seconds(median)}, half within {spread}")
    middle = top + MIDDLE
    yield svg.line(scale.at(min(times)), middle, scale.at(max(times)), middle, "whisker")
    yield svg.rect(scale.at(low), middle - 17, max(scale.at(high) - scale.at(low), 0.3), 34, f"half {arm}")
    yield svg.line(scale.at(median), middle - 20, scale.at(median), middle + 20, "median")
    places = _stacked([scale.at(value) for value in _thinned(times)])
    dots = svg.dots([(at, middle + 6 * level) for at, level in places], f"{arm} dense")
    yield svg.stretched(TOP + ROW * 2, [dots])


def _name(words: str, y: float) -> Iterator[str]:
    """Yield the name of an arm, whole as long as the chart has room for it and cut where it has not."""
    words = plain(words)
    least = ""
    for width, wider in zip(NAMED, (*NAMED[1:], None), strict=True):
        name = cut(words, width, bold=True)
        if name == words or wider is None:
            yield svg.text(0.6, y, name, f"strong {least}".strip())
            return
        yield svg.text(0.6, y, name, f"strong {least} {shown_until(wider)}")
        least = shown_from(wider)


def _thinned(times: Sequence[float]) -> list[float]:
    """Return at most `MOST` of the times, evenly over their order, the extremes among them."""
    ordered = sorted(times)
    if len(ordered) <= MOST:
        return ordered
    return [ordered[round(place * (len(ordered) - 1) / (MOST - 1))] for place in range(MOST)]


def _stacked(places: Sequence[float]) -> Iterator[tuple[float, int]]:
    """Yield (place, level): dots too close to one already placed move up and down in turn, at most four deep."""
    levels = [0, -1, 1, -2, 2, -3, 3, -4, 4]
    last: dict[int, float] = {}
    for place in sorted(places):
        free = (level for level in levels if place - last.get(level, -math.inf) >= SLOT)
        level = next(free, min(last, key=lambda each: last[each], default=0))
        last[level] = place
        yield place, level
