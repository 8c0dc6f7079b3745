"""Both arms over the time of the run, each against its own median: drift, and what running first does."""

from __future__ import annotations

from collections.abc import Iterator

from .. import series
from ..figures import Doc
from ..scale import Axis, ticks
from ..units import percent
from . import panel, svg
from .labels import Label, evenly, texts
from .svg import Chart, Key


def drift_chart(doc: Doc) -> Chart | None:
    """Return the time of every trial over the seconds since the start; None with fewer than two pairs."""
    runs = series.runs(doc)
    if len(runs) < 2:
        return None
    clock = _clock(runs)
    arms = {
        "baseline": [run.baseline_s for run in runs],
        "optimized": [run.optimized_s for run in runs],
    }
    away = {arm: [value / series.quartiles(times)[1] - 1.0 for value in times] for arm, times in arms.items()}
    every = [value for values in away.values() for value in values]
    low, high = min(*every, 0.0), max(*every, 0.0)
    low, high = _tamed(every, low, high)
    room = max(0.08 * (high - low), 0.002)
    y = panel.vertical(low - room, high + room)
    x = Axis(0.0, clock[-1] * 1.02 or 1.0, 1.0, 100.0)
    body = [svg.line(0, y.at(0.0), 100, y.at(0.0), "zero")]
    for arm, values in away.items():
        body += _trace(arm, runs, clock, values, x, y)
    timed = runs[0].started_s is not None
    below = [
        Label(x.at(value), svg.short_seconds(value) if timed else f"{value:g}")
        for value in ticks(0.0, x.high, 5)
        if timed or float(value).is_integer()
    ]
    legend = [
        Key("mark baseline", "baseline, ran first"),
        Key("mark baseline hollow", "baseline, ran second"),
        Key("mark optimized", "optimized, ran first"),
        Key("mark optimized hollow", "optimized, ran second"),
    ]
    caption = "time since the first pair started" if timed else "pairs in the order they ran"
    label = f"Time of each trial against the median of its arm, over {len(runs)} pairs in the order they ran."
    return panel.frame(label, y, body, texts(evenly(below), y.start + 18), legend, caption)


def _clock(runs: list[series.Run]) -> list[float]:
    """Return when each pair started: seconds since the first one, or its number where that is not known."""
    started = [run.started_s for run in runs]
    known = [at for at in started if at is not None]
    if len(known) == len(started) and known == sorted(known) and known[-1] > known[0]:
        return [at - known[0] for at in known]
    return [float(run.number) for run in runs]


def _tamed(values: list[float], low: float, high: float) -> tuple[float, float]:
    """Return the ends of the axis without single far trials, which are drawn at its edge."""
    lower, _, upper = series.quartiles(values)
    reach = 6.0 * max(upper - lower, 0.002)
    return max(low, lower - reach), min(high, upper + reach)


def _trace(
    arm: str, runs: list[series.Run], clock: list[float], values: list[float], x: Axis, y: Axis
) -> Iterator[str]:
    places = [(x.at(at), y.at(value)) for at, value in zip(clock, values, strict=True)]
    first: list[tuple[float, float]] = []
    second: list[tuple[float, float]] = []
    for run, value, (at, height) in zip(runs, values, places, strict=True):
        if not y.holds(value):
            yield svg.path(at, height, svg.UP if value > y.high else svg.DOWN, arm, percent(value, 0, True))
        else:
            (first if run.baseline_first == (arm == "baseline") else second).append((at, height))
    drawn = [
        svg.trace(places, arm),
        svg.dots([*first, *second], arm),
        svg.dots(second, "inside" if arm == "baseline" else "inside square"),
    ]
    yield svg.stretched(y.start, drawn)
