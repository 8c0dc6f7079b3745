"""The waterfall of a campaign as SVG, written by hand: no plotting library, same account, same bytes.

The axis is logarithmic, because ratios multiply: a stage is as high as what it multiplies by, wherever it
stands. Each chain begins at 1x; its product and the direct measurement of the whole carry their intervals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_optbench.core.compose import Composition
from pytest_optbench.report.charts.labels import cut, text_width
from pytest_optbench.report.escape import plain, shorten, xml
from pytest_optbench.report.scale import decimals, ticks
from pytest_optbench.report.units import both, both_interval, percent, ratio

from .product import Account

HEIGHT: Final = 412
LEFT, TOP, BOTTOM = 76, 92, 330
COLUMN: Final = 108
BAR: Final = 58
GAP: Final = 30

_LIGHT: Final = {
    "bg": "fill:#ffffff", "text": "fill:#1f2328", "muted": "fill:#59636e", "grid": "stroke:#e9ecf0",
    "axis": "stroke:#9aa4af", "stage": "fill:#1f6feb", "slower": "fill:#c62828", "product": "fill:#0f766e",
    "direct": "fill:#8250df", "whisker": "stroke:#1f2328",
}  # fmt: skip
_DARK: Final = {
    "bg": "fill:#0d1117", "text": "fill:#e6edf3", "muted": "fill:#9aa4af", "grid": "stroke:#21262d",
    "axis": "stroke:#59636e", "stage": "fill:#58a6ff", "slower": "fill:#ff7b72", "product": "fill:#2dd4bf",
    "direct": "fill:#bc8cff", "whisker": "stroke:#e6edf3",
}  # fmt: skip
_FONT: Final = "font-family:ui-sans-serif,system-ui,'Segoe UI',Helvetica,Arial,sans-serif"


@dataclass(frozen=True)
class Bar:
    """One column: from ratio ``start`` to ratio ``end``, an interval when it is a total, and its words."""

    name: str
    tip: str
    kind: str
    start: float
    end: float
    low: float | None = None
    high: float | None = None

    @property
    def label(self) -> str:
        """What this bar multiplies by."""
        return ratio(self.end / self.start)


def waterfall_svg(title: str, result: Account) -> str:
    """Return the SVG of all chains of ``result``; without an accepted candidate it says so."""
    groups = _groups(result)
    columns = sum(len(group) for group in groups)
    axis = _axis(groups)
    margin = max([76.0, *(23 + text_width(saved) for _, _, saved in axis.ticks)]) if axis else 76.0
    width = max(560, LEFT + math.ceil(margin) + columns * COLUMN + max(len(groups) - 1, 0) * GAP)
    body = _chart(groups, axis, width, margin) if axis else _nothing(width)
    return "\n".join([*_opening(title, groups, width), *body, "</svg>", ""])


def _groups(result: Account) -> list[list[Bar]]:
    """Return the bars of each chain: its stages, its product, and what was measured directly beside it."""
    groups = []
    for chain in result.chains:
        bars, before = [], 1.0
        for standing, product in zip(chain.standings, chain.products, strict=True):
            bars.append(_step(standing.variant.id, standing.variant.title, before, product.ratio))
            before = product.ratio
        bars.append(_total("product", "Product of the stages", "product", chain.total))
        whole = result.together
        if whole is not None and whole.direct is not None and whole.chain == chain:
            bars.append(_total("together", "Measured together", "direct", whole.direct))
        groups.append(bars)
    whole = result.together
    if whole is not None and whole.direct is not None and whole.chain is None:
        groups.append([_total("together", "Measured together", "direct", whole.direct)])
    return groups


def _step(name: str, title: str, before: float, after: float) -> Bar:
    kind = "stage" if after >= before else "slower"
    tip = f"{title}: {both(after / before)}, so far {both(after)}"
    return Bar(name, tip, kind, before, after)


def _total(name: str, title: str, kind: str, whole: Composition) -> Bar:
    interval = both_interval(whole.ratio_low, whole.ratio_high)
    tip = f"{title}: {both(whole.ratio)}, 95 % interval {interval}"
    return Bar(name, tip, kind, 1.0, whole.ratio, whole.ratio_low, whole.ratio_high)


def _opening(title: str, groups: Sequence[Sequence[Bar]], width: int) -> Iterator[str]:
    words = "; ".join(bar.tip for group in groups for bar in group) or "No candidate was accepted."
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" '
        f'height="{HEIGHT}" role="img" aria-labelledby="waterfall-title waterfall-desc">'
    )
    yield f'<title id="waterfall-title">{xml(title)}</title>'
    yield f'<desc id="waterfall-desc">{xml(words)}</desc>'
    yield f"<style>\n.ob-font{{{_FONT}}}"
    yield from (f".ob-{name}{{{rule}}}" for name, rule in _LIGHT.items())
    yield "@media (prefers-color-scheme: dark){"
    yield from (f".ob-{name}{{{rule}}}" for name, rule in _DARK.items())
    yield "}\n</style>"
    yield f'<rect class="ob-bg" width="{width}" height="{HEIGHT}"/>'
    yield _text(24, 36, shorten(plain(title).strip(), (width - 48) // 10), "text", 17, weight=600)
    yield _text(24, 58, "Times faster than the baseline, stage by stage (logarithmic)", "muted", 13)


def _nothing(width: int) -> Iterator[str]:
    yield _text(width / 2, (TOP + BOTTOM) / 2, "No candidate was accepted", "text", 16, anchor="middle")


@dataclass(frozen=True)
class _Axis:
    """The logarithmic axis from ``low`` to ``high``, both logarithms of ratios."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Return the height of a ratio in pixels from the top."""
        return BOTTOM - (math.log(value) - self.low) / (self.high - self.low) * (BOTTOM - TOP)

    @property
    def ticks(self) -> list[tuple[float, str, str]]:
        """(ratio, as a ratio, as time saved) at each line of the grid."""
        return [
            (value, f"{value:.7g}x" if value < 1e7 else f"{value:g}x", _tick_saved(value))
            for value in _ticks(math.exp(self.low), math.exp(self.high))
        ]


def _axis(groups: Sequence[Sequence[Bar]]) -> _Axis | None:
    """Return the axis that holds every bar and interval; None without a bar."""
    bars = [bar for group in groups for bar in group]
    ends = [v for bar in bars for v in (bar.start, bar.end, bar.low, bar.high) if v is not None]
    if not ends:
        return None
    low, high = math.log(min(ends)), math.log(max(ends))
    high = max(high, low + 0.02)
    return _Axis(low - (0.06 * (high - low) if low < 0 else 0.0), high + 0.1 * (high - low))


def _tick_saved(value: float) -> str:
    """Return the time saved at a round ratio, without needless zeros where little is left."""
    saved = 1.0 - 1.0 / value
    digits = _digits(value)
    return percent(saved, digits if value < 10.0 else min(digits, decimals([100.0 * saved])))


def _chart(groups: Sequence[Sequence[Bar]], axis: _Axis, width: int, margin: float) -> Iterator[str]:
    at = axis.at
    right = width - margin
    for value, times, saved in axis.ticks:
        yield _line(LEFT, at(value), right, at(value), "axis" if value == 1.0 else "grid")
        yield _text(LEFT - 9, at(value) + 4, times, "muted", 12, anchor="end")
        yield _text(right + 9, at(value) + 4, saved, "muted", 12)
    yield _text(24, TOP - 12, "ratio", "muted", 12)
    yield _text(width - 16, TOP - 12, "time saved", "muted", 12, anchor="end")
    yield _text(24, HEIGHT - 20, "below each bar: time saved so far; whiskers: 95 % interval", "muted", 12)
    left = float(LEFT)
    for group in groups:
        for position, bar in enumerate(group):
            yield from _column(bar, left + COLUMN / 2, at)
            following = group[position + 1] if position + 1 < len(group) else None
            if following is not None and bar.kind in ("stage", "slower"):
                end = left + COLUMN / 2 + BAR / 2
                yield _line(end, at(bar.end), end + COLUMN - BAR, at(bar.end), "axis", dash="3 3")
            left += COLUMN
        left += GAP


def _column(bar: Bar, middle: float, at: Callable[[float], float]) -> Iterator[str]:
    top, bottom = sorted((at(bar.start), at(bar.end)))
    box = f'x="{_n(middle - BAR / 2)}" y="{_n(top)}" width="{BAR}" height="{_n(max(bottom - top, 1.5))}"'
    yield f"<g><title>{xml(bar.tip)}</title>"
    yield f'<rect class="ob-{bar.kind}" {box} rx="2"/>'
    highest = top
    if bar.low is not None and bar.high is not None:
        highest = min(top, at(bar.high))
        yield _line(middle, at(bar.low), middle, at(bar.high), "whisker", width=1.5)
        for value in (bar.low, bar.high):
            yield _line(middle - 7, at(value), middle + 7, at(value), "whisker", width=1.5)
    yield _text(middle, highest - 7, bar.label, "text", 13, anchor="middle", weight=600)
    yield _text(middle, BOTTOM + 22, cut(plain(bar.name), COLUMN - 8), "text", 12, anchor="middle")
    saved = cut(percent(1.0 - 1.0 / bar.end, _digits(bar.end)), COLUMN - 8)
    yield _text(middle, BOTTOM + 40, saved, "muted", 12, "middle")
    yield "</g>"


def _ticks(low: float, high: float) -> list[float]:
    """Return round ratios inside [low, high], 1 among them where it lies there."""
    if high / low < 3.0:
        return ticks(low, high)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    bases = (1.0, 2.0, 5.0) if high / low < 300.0 else (1.0,)
    return [value for d in decades for b in bases if low <= (value := round(b * 10.0**d, 12)) <= high]


def _digits(value: float) -> int:
    """Return decimals that show the time saved at this ratio: more of them the less is left."""
    return max(0, math.ceil(math.log10(max(value, 1.0)) - 1e-9)) if value >= 10.0 else 1


def _line(x1: float, y1: float, x2: float, y2: float, name: str, dash: str = "", width: float = 1.0) -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    ends = f'x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"'
    return f'<line class="ob-{name}" {ends} stroke-width="{_n(width)}"{dashed}/>'


def _text(
    x: float, y: float, words: str, name: str, size: int, anchor: str = "start", weight: int = 400
) -> str:
    style = f' text-anchor="{anchor}"' if anchor != "start" else ""
    style += f' font-weight="{weight}"' if weight != 400 else ""
    place = f'x="{_n(x)}" y="{_n(y)}" font-size="{size}"{style}'
    return f'<text class="ob-font ob-{name}" {place}>{xml(words)}</text>'


def _n(value: float) -> str:
    """Return a coordinate with at most two decimals, the same text on every machine."""
    return f"{value + 0.0:.2f}".rstrip("0").rstrip(".").replace("-0.00", "0")
