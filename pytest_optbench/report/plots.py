"""The SVG of a decision's pairs, written by hand: no plotting library, same document, same bytes.

One mark per pair of trials at the time it saved, coloured and shaped by which arm ran first, over the
estimate with its interval, the margin, no change, and the baseline against itself. The drawing carries its
own background and follows the reader's light or dark scheme.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from . import series
from .charts.labels import Label, evenly, shown, text_width
from .escape import plain, shorten, xml
from .figures import Doc, gain, gain_interval, is_unpaired, measured, part, target
from .scale import Axis, decimals, span, spread, ticks
from .series import Mark
from .units import both, percent, ratio, time_saved

WIDTH: Final = 860
HEIGHT: Final = 440
TOP, BOTTOM = 100, 340
LEGEND: Final = HEIGHT - 22

_LIGHT: Final = {
    "bg": "fill:#ffffff",
    "frame": "fill:none;stroke:#d5dae0",
    "text": "fill:#1f2328",
    "muted": "fill:#59636e",
    "grid": "stroke:#e9ecf0",
    "axis": "stroke:#9aa4af",
    "first": "fill:#1f6feb",
    "second": "fill:#d9730d",
    "ring": "fill:none;stroke:#1f2328",
    "estimate": "stroke:#0f766e",
    "estimate-text": "fill:#0f766e",
    "interval": "fill:#0f766e;fill-opacity:0.15",
    "margin": "stroke:#c62828",
    "margin-text": "fill:#c62828",
    "zero": "stroke:#59636e",
    "control": "fill:#7d8590;fill-opacity:0.2",
    "ACCEPT": "fill:#1a7f37",
    "REJECT": "fill:#c62828",
    "INCONCLUSIVE": "fill:#8a6100",
    "on": "fill:#ffffff",
}
_DARK: Final = {
    "bg": "fill:#0d1117",
    "frame": "fill:none;stroke:#30363d",
    "text": "fill:#e6edf3",
    "muted": "fill:#9aa4af",
    "grid": "stroke:#21262d",
    "axis": "stroke:#59636e",
    "first": "fill:#58a6ff",
    "second": "fill:#f0a04b",
    "ring": "fill:none;stroke:#e6edf3",
    "estimate": "stroke:#2dd4bf",
    "estimate-text": "fill:#2dd4bf",
    "interval": "fill:#2dd4bf;fill-opacity:0.17",
    "margin": "stroke:#ff7b72",
    "margin-text": "fill:#ff7b72",
    "zero": "stroke:#9aa4af",
    "control": "fill:#9aa4af;fill-opacity:0.2",
    "ACCEPT": "fill:#2ea043",
    "REJECT": "fill:#da3633",
    "INCONCLUSIVE": "fill:#9e6a03",
    "on": "fill:#ffffff",
}
_FONT: Final = "font-family:ui-sans-serif,system-ui,'Segoe UI',Helvetica,Arial,sans-serif"


def pairs_svg(doc: Doc) -> str:
    """Return the SVG of the pairs of decision ``doc``, of the values of both files when it is unpaired.

    Without either it says that nothing was measured.
    """
    marks = list(_recorded(doc)) if is_unpaired(doc) else series.marks(doc)
    body = list(_chart(doc, marks)) if marks else list(_nothing(doc))
    return "\n".join([*_opening(doc), *_header(doc, len(doc["pairs"])), *body, "</svg>", ""])


def _recorded(doc: Doc) -> Iterator[Mark]:
    """Yield the values of both files, old ones first, as time saved against the median of the old ones."""
    middle, number = doc["baseline"].get("median_s"), 0
    for arm in ("baseline", "optimized"):
        for seconds in part(doc, "unpaired", arm, "seconds") or ():
            number += 1
            if middle and seconds:
                yield Mark(number, middle / seconds, 1.0 - seconds / middle, arm == "baseline", False)


def _opening(doc: Doc) -> Iterator[str]:
    name = xml(doc["slug"])
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" role="img" aria-labelledby="{name}-title {name}-desc">'
    )
    yield f'<title id="{name}-title">{xml(doc["title"])}: {doc["verdict"]}</title>'
    yield f'<desc id="{name}-desc">{xml(_description(doc))}</desc>'
    yield f"<style>\n.ob-font{{{_FONT}}}"
    yield from _rules(_LIGHT)
    yield "@media (prefers-color-scheme: dark){"
    yield from _rules(_DARK)
    yield "}\n</style>"
    yield f'<rect class="ob-bg" width="{WIDTH}" height="{HEIGHT}"/>'


def _rules(colours: Mapping[str, str]) -> Iterator[str]:
    for name, declaration in colours.items():
        yield f".ob-{name}{{{declaration}}}"


def _description(doc: Doc) -> str:
    if is_unpaired(doc):
        return f"Unpaired values of two files. Estimate {gain(doc)}, interval {gain_interval(doc)}."
    if not measured(doc):
        return "No pair of trials was measured."
    return (
        f"Time saved in each of {len(doc['pairs'])} pairs of trials. Estimate {gain(doc)}, "
        f"interval {gain_interval(doc)}. Needed: {target(doc)}."
    )


def _header(doc: Doc, count: int) -> Iterator[str]:
    noun = "pair" if count == 1 else "pairs"
    pill = 30 + 8.2 * len(doc["verdict"])
    yield _text(
        24, 36, shorten(plain(doc["title"]).strip(), int((WIDTH - 60 - pill) / 11)), "text", 17, weight=600
    )
    what = f"Time saved in each pair of trials ({count} {noun})"
    if is_unpaired(doc):
        what = "Unpaired: each value of both files, against the median of the old one"
    yield _text(24, 58, what, "muted", 13)
    box = f'x="{_n(WIDTH - 24 - pill)}" y="18" width="{_n(pill)}" height="26" rx="13"'
    yield f'<rect class="ob-{doc["verdict"]}" {box}/>'
    yield _text(WIDTH - 24 - pill / 2, 36, doc["verdict"], "on", 13, anchor="middle", weight=600)


def _nothing(doc: Doc) -> Iterator[str]:
    yield f'<rect class="ob-frame" x="24" y="{TOP}" width="{WIDTH - 48}" height="{BOTTOM - TOP}" rx="6"/>'
    middle = (TOP + BOTTOM) / 2
    words = "A file holds no values" if is_unpaired(doc) else "No pair of trials was measured"
    yield _text(WIDTH / 2, middle - 4, words, "text", 16, anchor="middle")
    reasons = shorten(", ".join(doc["reasons"]), 90)
    yield _text(WIDTH / 2, middle + 20, reasons, "muted", 13, anchor="middle")


def _chart(doc: Doc, marks: list[Mark]) -> Iterator[str]:
    estimate = [time_saved(part(doc, "ratio", key)) for key in ("ci_low", "estimate", "ci_high")]
    control = (time_saved(part(doc, "control", "ci_low")), time_saved(part(doc, "control", "ci_high")))
    margin = time_saved(doc["margin"]) or 0.0
    needed = [value for value in estimate if value is not None]
    wanted = [margin, 0.0, *(value for value in control if value is not None)]
    y = Axis(*span([mark.saved for mark in marks], needed, wanted), BOTTOM, TOP)
    room = _room(doc, y)
    x = Axis(0.0, float(len(marks)), room.left, room.right)

    named = {"ring"} if any(mark.outlier and y.holds(mark.saved) for mark in marks) else set()
    yield from _grid(y, room)
    for name, (low, high) in (("control", control), ("interval", (estimate[0], estimate[2]))):
        if low is not None and high is not None and min(low, high) <= y.high and max(low, high) >= y.low:
            yield _band(y, room, low, high, name)
            named.add(name)
    yield from _looks(doc, x, len(marks))
    yield from _references(doc, y, room, estimate[1], margin)
    yield from _marks(x, y, marks, is_unpaired(doc))
    yield from _axes(
        x, marks, "value, old file first" if is_unpaired(doc) else "pair of trials, in the order they ran"
    )
    yield from _legend(doc, named)


@dataclass(frozen=True)
class _Room:
    """Pixels from the left: where the plot begins and ends, and where the words on its lines begin."""

    left: float
    right: float
    words: float


def _scale(y: Axis) -> list[tuple[float, str, str]]:
    """Return (value, time saved, ratio) at every line of the grid."""
    values = ticks(y.low, y.high)
    digits = decimals([100.0 * value for value in values])
    return [
        (value, percent(value, digits), ratio(1.0 / (1.0 - value)) if value < 1.0 else "") for value in values
    ]


def _room(doc: Doc, y: Axis) -> _Room:
    """Return the least room that the labels beside the plot leave it, at most what most decisions have."""
    scale = _scale(y)
    figures = (both(doc["margin"]), gain(doc), "no change, above")
    words = min(702.0, WIDTH - 16 - max(text_width(each) for each in figures))
    return _Room(
        max(84.0, 13 + max(text_width(saved) for _, saved, _ in scale)),
        min(640.0, words - 11 - max(text_width(as_ratio) for _, _, as_ratio in scale)),
        words,
    )


def _grid(y: Axis, room: _Room) -> Iterator[str]:
    for value, saved, as_ratio in _scale(y):
        at = y.at(value)
        yield _line(room.left, at, room.right, at, "grid")
        yield _text(room.left - 9, at + 4, saved, "muted", 12, anchor="end")
        if as_ratio:
            yield _text(room.right + 7, at + 4, as_ratio, "muted", 12)
    yield _text(24, TOP - 14, "time saved", "muted", 12)
    yield _text(room.right + 7, TOP - 14, "ratio", "muted", 12)


def _band(y: Axis, room: _Room, low: float, high: float, name: str) -> str:
    top, bottom = y.at(max(low, high)), y.at(min(low, high))
    box = (
        f'x="{_n(room.left)}" y="{_n(top)}" width="{_n(room.right - room.left)}" '
        f'height="{_n(max(bottom - top, 1.0))}"'
    )
    return f'<rect class="ob-{name}" {box}/>'


def _looks(doc: Doc, x: Axis, count: int) -> Iterator[str]:
    names: list[Label] = []
    for position, look in enumerate(doc["looks"], start=1):
        if 0 < look["n"] < count:
            at = x.at(float(look["n"]))
            yield _line(at, TOP, at, BOTTOM, "axis", dash="2 4")
            names.append(_label(x, at, f"look {position}"))
    yield from _texts(x, evenly(names), TOP - 5, "muted")


def _label(x: Axis, at: float, words: str) -> Label:
    return Label(100.0 * (at - x.start) / (x.end - x.start), words)


def _texts(x: Axis, labels: Sequence[Label], y: float, name: str) -> Iterator[str]:
    """Yield those of ``labels`` that do not lie on ones before them."""
    width = x.end - x.start
    for label in shown(labels, width):
        yield _text(x.start + label.at / 100.0 * width, y, label.words, name, 11, anchor="middle")


def _references(doc: Doc, y: Axis, room: _Room, estimate: float | None, margin: float) -> Iterator[str]:
    """Draw estimate, margin and no change, each named beside the plot; an arrow names one off the axis."""
    lines = [
        (margin, "margin", "7 4", "needed", both(doc["margin"])),
        (0.0, "zero", "", "no change", "0 % = 1x"),
    ]
    if estimate is not None:
        lines.append((estimate, "estimate", "", "measured", gain(doc)))
    lines.sort(reverse=True)
    places = spread([y.at(line[0]) for line in lines], 36.0, TOP + 4.0, BOTTOM - 12.0)
    for (value, name, dash, word, figure), place in zip(lines, places, strict=True):
        style = "muted" if name == "zero" else f"{name}-text"
        left = room.words
        if y.holds(value):
            at = y.at(value)
            yield _line(
                room.left, at, room.right, at, name, dash=dash, width=2.0 if name == "estimate" else 1.5
            )
        else:
            tip, base = (place + 1, place - 8) if value < y.low else (place - 9, place)
            yield f'<path class="ob-{style}" d="M{_n(left)} {_n(base)}h10L{_n(left + 5)} {_n(tip)}z"/>'
            left += 15
            word += ", below" if value < y.low else ", above"
        yield _text(left, place, word, style, 12, weight=600)
        yield _text(room.words, place + 15, figure, style, 12)


def _marks(x: Axis, y: Axis, marks: list[Mark], unpaired: bool) -> Iterator[str]:
    beyond: dict[bool, list[Label]] = {True: [], False: []}
    for position, mark in enumerate(marks):
        at, height = x.at(position + 0.5), y.at(mark.saved)
        name = "first" if mark.baseline_first else "second"
        yield f"<g><title>{xml(_tip(mark, unpaired))}</title>"
        if not y.holds(mark.saved):
            up = mark.saved > y.high
            tip, base = (height + 2, height + 12) if up else (height - 2, height - 12)
            yield f'<path class="ob-{name}" d="M{_n(at - 6)} {_n(base)}h12L{_n(at)} {_n(tip)}z"/>'
            beyond[up].append(_label(x, at, percent(mark.saved, 0)))
        elif mark.baseline_first:
            yield f'<circle class="ob-{name}" cx="{_n(at)}" cy="{_n(height)}" r="4.5"/>'
        else:
            yield f'<path class="ob-{name}" d="{_diamond(at, height)}"/>'
        if mark.outlier and y.holds(mark.saved):
            yield f'<circle class="ob-ring" cx="{_n(at)}" cy="{_n(height)}" r="9" stroke-width="1.2"/>'
        yield "</g>"
    yield from _texts(x, beyond[True], y.end + 26, "text")
    yield from _texts(x, beyond[False], y.start - 18, "text")


def _tip(mark: Mark, unpaired: bool) -> str:
    first = "baseline" if mark.baseline_first else "optimized"
    if unpaired:
        return f"{first}: {both(mark.ratio)} against the median of the baseline"
    outlier = ", outlier" if mark.outlier else ""
    return f"Pair {mark.number}: {both(mark.ratio)}, {first} first{outlier}"


def _axes(x: Axis, marks: list[Mark], words: str) -> Iterator[str]:
    yield _line(x.start, BOTTOM, x.end, BOTTOM, "axis")
    every = 1 if len(marks) <= 20 else 5 * (1 + len(marks) // 101)
    for position, mark in enumerate(marks):
        if mark.number == 1 or mark.number % every == 0:
            yield _text(x.at(position + 0.5), BOTTOM + 18, str(mark.number), "muted", 12, anchor="middle")
    yield _text((x.start + x.end) / 2, BOTTOM + 40, words, "muted", 12, anchor="middle")


def _legend(doc: Doc, shown: Collection[str]) -> Iterator[str]:
    items = [("first", "baseline ran first"), ("second", "optimized ran first")]
    if is_unpaired(doc):
        items = [("first", "old file"), ("second", "new file")]
    optional = {
        "interval": f"{percent(doc['confidence'], 0)} confidence interval",
        "control": "baseline against itself (99 %)",
        "ring": "outlier",
    }
    items += [(name, words) for name, words in optional.items() if name in shown]
    left = 30.0
    for name, words in items:
        if name == "first":
            yield f'<circle class="ob-first" cx="{_n(left)}" cy="{LEGEND - 4}" r="4.5"/>'
        elif name == "second":
            yield f'<path class="ob-second" d="{_diamond(left, LEGEND - 4)}"/>'
        elif name == "ring":
            yield f'<circle class="ob-ring" cx="{_n(left)}" cy="{LEGEND - 4}" r="7" stroke-width="1.2"/>'
        else:
            yield f'<rect class="ob-{name}" x="{_n(left - 7)}" y="{LEGEND - 11}" width="16" height="14"/>'
        yield _text(left + 13, LEGEND, words, "muted", 12)
        left += 36 + 6.3 * len(words)


def _diamond(x: float, y: float) -> str:
    return f"M{_n(x)} {_n(y - 6)}l6 6l-6 6l-6 -6z"


def _line(x1: float, y1: float, x2: float, y2: float, name: str, dash: str = "", width: float = 1.0) -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line class="ob-{name}" x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}" '
        f'stroke-width="{_n(width)}"{dashed}/>'
    )


def _text(
    x: float, y: float, words: str, name: str, points: int, anchor: str = "start", weight: int = 400
) -> str:
    bold = f' font-weight="{weight}"' if weight != 400 else ""
    where = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return (
        f'<text class="ob-font ob-{name}" x="{_n(x)}" y="{_n(y)}" font-size="{points}"{where}{bold}>'
        f"{xml(words)}</text>"
    )


def _n(value: float) -> str:
    """Return a coordinate with at most two decimals, the same text on every machine."""
    return (
        f"{value:.2f}".rstrip("0").rstrip(".").replace("-0", "0", 1)
        if abs(value) < 0.005
        else (f"{value:.2f}".rstrip("0").rstrip("."))
    )
