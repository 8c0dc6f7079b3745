"""The baseline against itself, pair by pair: the noise floor of the machine beside the threshold."""

from __future__ import annotations

from .. import series
from ..figures import Doc, noise_floor
from ..scale import span
from ..units import both, percent, time_saved
from . import panel, svg
from .svg import Chart, Key


def control_chart(doc: Doc) -> Chart | None:
    """Return the apparent gain of the baseline over itself in each pair; None when it was not taken."""
    values, control = series.control(doc), series.interval("control", doc["control"])
    if not values and control is None:
        return None
    margin = time_saved(doc["margin"]) or 0.0
    known = [control.low, control.high] if control else []
    y = panel.vertical(*span([saved for _, saved in values], [*known, 0.0], [margin]))
    x = panel.along(len(doc["pairs"]))
    lines, legend = panel.references(y, doc["margin"])
    bands: list[str] = []
    if control:
        bands = panel.band(y, control.low, control.high, "control")
        legend.insert(0, Key("band control", "its 99 % interval; no verdict unless it holds 0 %"))
    if values:
        legend.insert(0, Key("mark self", "baseline against itself within a pair"))
    dots = []
    for number, saved in values:
        tip = f"Pair {number}: {percent(saved, 2, True)}"
        at, height = x.at(number - 0.5), y.at(saved)
        if y.holds(saved):
            dots.append(svg.dot(at, height, radius=3.6, tip=tip))
        else:
            dots.append(svg.path(at, height, svg.UP if saved > y.high else svg.DOWN, "", tip))
    below = panel.pair_numbers(x, range(1, len(doc["pairs"]) + 1), y.start + 18)
    ratio = (doc["control"] or {}).get("ratio")
    label = f"The baseline against itself: {both(ratio)}. Noise floor {noise_floor(doc)}."
    return panel.frame(label, y, [*bands, *lines, svg.group("self", dots)], below, legend, "pair of trials")
