"""Elements of inline SVG. x is in percent of the width, y in pixels from the top; all text is escaped here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..escape import xml
from ..units import seconds


@dataclass(frozen=True)
class Key:
    """One entry of a legend: the class of its swatch (drawn as in the chart) and what it means."""

    swatch: str
    words: str


@dataclass(frozen=True)
class Chart:
    """A chart: its markup, safe as it is, and its legend."""

    markup: str
    legend: list[Key] = field(default_factory=list)


GUTTER: Final = 62
"""Least pixels left of the plot for the labels of a vertical axis."""

DIGIT: Final = 7.7
"""Pixels of a digit at 12 pixels in the widest font readers are likely to have."""


def number(value: float) -> str:
    """Return a coordinate with at most one decimal, the same text on every machine."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def short_seconds(value: float) -> str:
    """Return a duration without needless zeros, for the label of a tick: ``10 ms``."""
    digits, _, unit = seconds(value).partition(" ")
    return f"{digits.rstrip('0').rstrip('.') if '.' in digits else digits} {unit}"


def line(x1: float, y1: float, x2: float, y2: float, name: str) -> str:
    """Return a line of class ``name``."""
    return f'<line class="{name}" x1="{number(x1)}%" y1="{number(y1)}" x2="{number(x2)}%" y2="{number(y2)}"/>'


def rect(x: float, y: float, width: float, height: float, name: str) -> str:
    """Return a rectangle; ``width`` is in percent, ``height`` in pixels."""
    return (
        f'<rect class="{name}" x="{number(x)}%" y="{number(y)}" '
        f'width="{number(max(width, 0.0))}%" height="{number(max(height, 0.0))}"/>'
    )


def text(x: float, y: float, words: str, name: str = "", anchor: str = "start") -> str:
    """Return text with its baseline at y."""
    kind = f' class="{name}"' if name else ""
    where = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text{kind} x="{number(x)}%" y="{number(y)}"{where}>{xml(words)}</text>'


def dot(x: float, y: float, name: str = "", radius: float = 4.5, tip: str = "") -> str:
    """Return a circle; ``tip`` is shown when it is pointed at."""
    kind = f' class="{name}"' if name else ""
    place = f'<circle{kind} cx="{number(x)}%" cy="{number(y)}" r="{number(radius)}"'
    return f"{place}><title>{xml(tip)}</title></circle>" if tip else f"{place}/>"


def path(x: float, y: float, shape: str, name: str, tip: str = "") -> str:
    """Return the path ``shape``, drawn in pixels around (x, y)."""
    title = f"<title>{xml(tip)}</title>" if tip else ""
    inner = (
        f'<path class="{name}" d="{shape}">{title}</path>' if title else f'<path class="{name}" d="{shape}"/>'
    )
    return f'<svg x="{number(x)}%" y="{number(y)}">{inner}</svg>'


def group(name: str, parts: Iterable[str]) -> str:
    """Return ``parts``, all drawn as class ``name``."""
    return f'<g class="{name}">{"".join(parts)}</g>'


def stretched(height: float, parts: Iterable[str]) -> str:
    """Return ``parts`` drawn with plain x in percent, in a plot ``height`` pixels high; strokes keep their width."""
    return (
        f'<svg width="100%" height="{number(height)}" viewBox="0 0 100 {number(height)}" '
        f'preserveAspectRatio="none">{"".join(parts)}</svg>'
    )


def trace(places: Iterable[tuple[float, float]], name: str) -> str:
    """Return a line through (percent, pixels) ``places``; goes into `stretched`."""
    points = " ".join(f"{number(x)},{number(y)}" for x, y in places)
    return f'<polyline class="trace {name}" points="{points}"/>'


def dots(places: Iterable[tuple[float, float]], name: str) -> str:
    """Return a dot at each of the (percent, pixels) ``places``; goes into `stretched`.

    One path for all of them: each is a line of no length, and its round ends are the dot.
    """
    points = "".join(f"M{number(x)} {number(y)}h.01" for x, y in places)
    return f'<path class="dots {name}" d="{points}"/>' if points else ""


def diamond(x: float, y: float, tip: str = "") -> str:
    """Return a diamond, one shape defined once in the page (`DIAMOND`)."""
    place = f'<use href="#page:diamond" x="{number(x)}%" y="{number(y)}"'
    return f"{place}><title>{xml(tip)}</title></use>" if tip else f"{place}/>"


DIAMOND: Final = "M0-6l6 6-6 6-6-6z"
DEFINITIONS: Final = (
    f'<svg width="0" height="0" aria-hidden="true"><defs><path id="page:diamond" d="{DIAMOND}"/></defs></svg>'
)
"""What charts refer to; the page holds it once."""

UP: Final = "M-6 11h12L0 1z"
DOWN: Final = "M-6-11h12L0-1z"
LEFT: Final = "M11-6v12L1 0z"
RIGHT: Final = "M-11-6v12L-1 0z"


def plot(label: str, height: float, parts: Iterable[str]) -> str:
    """Return the SVG that holds ``parts``, in the block whose width decides on its labels (see `labels`).

    ``label`` is what a screen reader says instead.
    """
    return (
        f'<div class="room"><svg class="plot" width="100%" height="{number(height)}" role="img" '
        f'aria-label="{xml(label)}">{"".join(parts)}</svg></div>'
    )


def gutter(height: float, labels: Sequence[tuple[float, str]]) -> str:
    """Return the SVG left of a plot that holds its axis ``labels`` (y, words); hidden from screen readers."""
    longest = max((len(words) for _, words in labels), default=0)
    width = max(GUTTER, 8 + math.ceil(DIGIT * longest))
    texts = [
        f'<text x="{width - 8}" y="{number(y)}" text-anchor="end">{xml(words)}</text>' for y, words in labels
    ]
    return f'<svg class="gutter" width="{width}" height="{number(height)}" aria-hidden="true">{"".join(texts)}</svg>'


def side_by_side(left: str, right: str) -> str:
    """Return a gutter and its plot as one block."""
    return f'<div class="chart">{left}{right}</div>'


def legend(keys: Iterable[Key]) -> str:
    """Return the legend as a list: what each mark, line and band of the chart means."""
    items = "".join(f"<li>{_swatch(key.swatch)}{xml(key.words)}</li>" for key in keys)
    return f'<ul class="legend">{items}</ul>' if items else ""


def _swatch(swatch: str) -> str:
    kind, _, name = swatch.partition(" ")
    if kind == "line":
        drawn = f'<line class="{name}" x1="0" y1="7" x2="20" y2="7"/>'
    elif kind == "band":
        drawn = f'<rect class="{name}" x="0" y="1" width="20" height="12"/>'
    elif name == "second":
        drawn = f'<path class="second" d="{DIAMOND}" transform="translate(10 7)"/>'
    elif name.startswith("optimized"):
        drawn = f'<rect class="{name}" x="6" y="3" width="8" height="8"/>'
    elif kind == "mark":
        drawn = f'<circle class="{name}" cx="10" cy="7" r="{6 if name == "ring" else 4.5}"/>'
    else:
        return ""
    return f'<svg class="key" width="20" height="14" aria-hidden="true">{drawn}</svg>'
