"""Labels that share one line of a chart: which of them are shown at which width, so that none lies on another.

A chart is as wide as its column while its text keeps its size, and that without a script. Each label therefore
gets the class of the least width at which it fits beside those before it, and the style sheet shows it from there
on: ``from-290`` is hidden in a chart narrower than 290 pixels. Labels given first are the last to go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from .. import escape
from . import svg

WIDTHS: Final = (120, 190, 250, 290, 460, 700)
"""Widths in pixels at which more labels appear; the style sheet has a rule for each but the first."""

GAP: Final = 7.0
"""Pixels between two labels."""

OVERHANG: Final = 9.0
"""Pixels a label may stand out of the plot at either end."""

BOLD: Final = 1.12
"""How much wider bold text is."""

NARROW: Final = 4.7, frozenset(" .,:;'|!()[]-Iijlftr")
WIDE: Final = 11.7, frozenset("mwMW%@")
CAPITAL: Final = 9.4
"""Pixels of characters that differ from a digit, at 12 pixels in a wide font."""


@dataclass(frozen=True)
class Label:
    """Text centred at ``at`` percent of the width; ``name`` is its class, ``bold`` whether it is drawn so."""

    at: float
    words: str
    name: str = ""
    bold: bool = False

    @property
    def width(self) -> float:
        """Pixels it takes at most."""
        return text_width(self.words, self.bold)


def text_width(words: str, bold: bool = False) -> float:
    """Return the pixels that ``words`` take at most, at 12 pixels."""
    return sum(map(_advance, words)) * (BOLD if bold else 1.0)


def cut(words: str, pixels: float, bold: bool = False) -> str:
    """Return ``words``, shortened where they would take more than ``pixels``."""
    columns = escape.width(words)
    shortened = words
    while columns > 1 and text_width(shortened, bold) > pixels:
        columns -= 1
        shortened = escape.shorten(words, columns)
    return shortened


def fitting(labels: Sequence[Label]) -> list[str | None]:
    """Return the class of each of ``labels``: empty when it fits everywhere, None when it fits nowhere."""
    found: list[str | None] = [None] * len(labels)
    kept: list[Label] = []
    for width in WIDTHS:
        for index, label in enumerate(labels):
            if (
                found[index] is None
                and _inside(label, width)
                and all(_apart(label, other, width) for other in kept)
            ):
                found[index] = shown_from(width)
                kept.append(label)
    return found


def shown(labels: Sequence[Label], width: float) -> list[Label]:
    """Return those of ``labels`` that are shown in a chart ``width`` pixels wide."""
    return [
        label
        for label, kind in zip(labels, fitting(labels), strict=True)
        if kind is not None and int(kind.removeprefix("from-") or WIDTHS[0]) <= width
    ]


def texts(labels: Sequence[Label], y: float) -> Iterator[str]:
    """Yield ``labels`` as text whose baseline is at ``y``."""
    for label, shown in zip(labels, fitting(labels), strict=True):
        if shown is not None:
            yield svg.text(label.at, y, label.words, " ".join(filter(None, (label.name, shown))), "middle")


def shown_from(width: int) -> str:
    """Return the class of what is hidden in charts narrower than ``width``, one of `WIDTHS`."""
    return "" if width == WIDTHS[0] else f"from-{width}"


def shown_until(width: int) -> str:
    """Return the class of what is hidden in charts from ``width`` on, one of `WIDTHS`."""
    return f"until-{width}"


def evenly(labels: Sequence[Label]) -> list[Label]:
    """Return ``labels``, which stand at equal distances, in the order in which they stay: every 8th, 4th, 2nd."""
    order = sorted(range(len(labels)), key=lambda each: (-(each & -each or 1 << 30), each))
    return [labels[index] for index in order]


def _advance(char: str) -> float:
    for pixels, chars in (NARROW, WIDE):
        if char in chars:
            return pixels
    return CAPITAL if char.isupper() else svg.DIGIT * escape.width(char)


def _inside(label: Label, width: int) -> bool:
    middle, half = label.at / 100.0 * width, label.width / 2.0
    return middle - half >= -OVERHANG and middle + half <= width + OVERHANG


def _apart(one: Label, other: Label, width: int) -> bool:
    return abs(one.at - other.at) / 100.0 * width >= (one.width + other.width) / 2.0 + GAP
