"""PNG pictures by matplotlib, for pages, mails and slides that show no SVG.

They show what the charts of the HTML report show, from the same `series`, in light colours. matplotlib comes
with the extra ``report`` and is imported when a picture is drawn; the same document and version of matplotlib
give the same bytes.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pytest_optbench.store.errors import StoreError

from . import series
from .charts.labels import Label, shown
from .charts.svg import short_seconds
from .escape import plain, shorten
from .figures import Doc, gain, gain_interval, is_unpaired, part, target
from .scale import decimals, span, ticks
from .units import both, percent, seconds, time_saved

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


DPI: Final = 144
DIGIT: Final = 0.0085
"""Width of a digit in a label, as a share of the picture of one decision."""
TALLEST: Final = 400.0
"""Inches of the picture of all decisions; PNG and matplotlib end at 65,535 pixels."""
RATIOS: Final = (
    1.0, 10.0, 0.1, 100.0, 0.01, 1000.0, 0.001, 10000.0, 2.0, 0.5, 5.0, 0.2, 1.5, 0.7, 3.0, 1.1, 0.9, 20.0, 50.0,
    1.05, 0.95, 1.02, 0.98, 1.01, 0.99,
)  # fmt: skip
"""Ratios that are labelled where there is room, the first of them first."""
SHAPES: Final = {"ACCEPT": "o", "REJECT": "X", "INCONCLUSIVE": "D"}
"""A verdict is told by shape as well as by colour."""
VERDICTS: Final = {"ACCEPT": "#1a7f37", "REJECT": "#c0262d", "INCONCLUSIVE": "#8a6100"}
TEXT, MUTED, GRID = "#1b2027", "#57606b", "#e2e6eb"
FIRST, SECOND, ACCENT, NEEDED = "#1f6feb", "#d9730d", "#0f766e", "#c0262d"
ARMS: Final = {"baseline": "#7a5195", "optimized": ACCENT}
STYLE: Final[Any] = {
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: the same everywhere
    "font.size": 9,
    "text.parse_math": False,  # a dollar sign in a title is a dollar sign
    "text.color": TEXT,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": "#9aa4af",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "legend.fontsize": 8,
}


def decision_png(doc: Doc) -> bytes:
    """Return the picture of decision ``doc``: its pairs and the times of both arms.

    Raises StoreError when matplotlib is not installed.
    """
    with style():
        figure = _figure(9.6, 4.2)
        title = shorten(plain(doc["title"]).strip(), 76)
        figure.text(0.012, 0.955, title, fontsize=12.5, fontweight="bold", va="center")
        figure.text(
            0.988, 0.955, doc["verdict"], fontsize=10.5, fontweight="bold", va="center", ha="right",
            color=VERDICTS[doc["verdict"]],
        )  # fmt: skip
        said = f"Time saved {gain(doc)}; interval {gain_interval(doc)}; needed {target(doc)}"
        figure.text(0.012, 0.895, said, fontsize=8.5, color=MUTED, va="center")
        left, right = figure.subplots(1, 2, width_ratios=(1.7, 1.0))
        _pairs(left, doc)
        _times(right, doc)
        longest = max((len(label.get_text()) for label in left.get_yticklabels()), default=0)
        edge = max(0.075, 0.02 + DIGIT * longest)
        figure.subplots_adjust(left=edge, right=0.962, top=0.8, bottom=0.27, wspace=0.16)
        return _png(figure)


def overview_png(docs: Sequence[Doc]) -> bytes:
    """Return the picture of all decisions: every interval of the ratio, logarithmic, with what was needed.

    Raises StoreError when matplotlib is not installed.
    """
    with style():
        return _png(overview(docs))


def overview(docs: Sequence[Doc]) -> Figure:
    """Return the figure of all decisions, to be drawn within `style`."""
    figure = _figure(9.6, 1.3 + max(len(docs), 1) * min(0.3, TALLEST / max(len(docs), 1)))
    axes = figure.subplots()
    axes.set_xscale("log")
    for row, doc in enumerate(docs):
        colour = VERDICTS[doc["verdict"]]
        axes.plot([doc["margin"]] * 2, [row - 0.38, row + 0.38], color=NEEDED, lw=1.2, ls=(0, (3, 2)))
        low, middle, high = (part(doc, "ratio", key) for key in ("ci_low", "estimate", "ci_high"))
        if low and high:
            axes.plot([low, high], [row, row], color=colour, lw=4, alpha=0.5, solid_capstyle="butt")
        if middle:
            shape = SHAPES[doc["verdict"]]
            axes.plot(middle, row, shape, color=colour, ms=6, mec="white", mew=0.5)
    axes.axvline(1.0, color=MUTED, lw=1.0, zorder=0)
    titles = [shorten(plain(doc["title"]).strip(), 58) for doc in docs]
    axes.set_yticks(range(len(docs)), titles)
    axes.set_ylim(len(docs) - 0.4, -0.6)
    axes.grid(axis="x", color=GRID)
    axes.set_axisbelow(True)
    axes.set_xticks([], minor=True)
    axes.set_xlabel("baseline time / optimized time (dashed: needed)")
    _verdicts(axes, docs)
    figure.tight_layout()
    _ratios(axes, 72.0 * figure.get_figwidth() * axes.get_position().width)
    return figure


def _verdicts(axes: Axes, docs: Sequence[Doc]) -> None:
    """Say above the plot which shape and colour is which verdict."""
    for verdict, shape in SHAPES.items():
        if any(doc["verdict"] == verdict for doc in docs):
            axes.plot([], [], shape, color=VERDICTS[verdict], ms=6, label=verdict)
    if docs:
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, handletextpad=0.2)


def _ratios(axes: Axes, points: float) -> None:
    """Label as many ratios as the axis, ``points`` wide, has room for."""
    low, high = axes.get_xlim()
    width = math.log(high / low)
    inside = [value for value in RATIOS if low <= value <= high]
    labels = [Label(100.0 * math.log(value / low) / width, f"{value:g}x") for value in inside]
    chosen = {label.words: value for value, label in zip(inside, labels, strict=True)}
    kept = shown(labels, points * 12.0 / STYLE["font.size"])
    axes.set_xticks([chosen[label.words] for label in kept], [label.words for label in kept])


def _pairs(axes: Axes, doc: Doc) -> None:
    axes.set_title("Time saved in each pair of trials")
    marks, decided = series.marks(doc), series.decided(doc)
    if not marks:
        _nothing(axes, "no pairs: two files, unpaired" if is_unpaired(doc) else "nothing was measured")
        return
    needed = time_saved(doc["margin"]) or 0.0
    control = series.interval("control", doc["control"])
    wanted = [needed, 0.0, *((control.low, control.high) if control else ())]
    held = [decided.low, decided.high] if decided else []
    low, high = span([mark.saved for mark in marks], held, wanted)
    if control:
        axes.axhspan(
            control.low, control.high, color=MUTED, alpha=0.16, lw=0, label="baseline against itself"
        )
    if decided:
        axes.axhspan(decided.low, decided.high, color=ACCENT, alpha=0.16, lw=0, label="interval")
        axes.axhline(decided.estimate, color=ACCENT, lw=1.6, label=f"measured {gain(doc)}")
    axes.axhline(0.0, color=MUTED, lw=0.9)
    axes.axhline(needed, color=NEEDED, lw=1.3, ls=(0, (5, 3)), label=f"needed {both(doc['margin'])}")
    for baseline_first, marker, colour in ((True, "o", FIRST), (False, "D", SECOND)):
        chosen = [mark for mark in marks if mark.baseline_first is baseline_first]
        first = "baseline" if baseline_first else "optimized"
        heights = [min(max(mark.saved, low), high) for mark in chosen]
        axes.plot(
            [mark.number for mark in chosen], heights, marker, color=colour, ms=5, clip_on=False,
            label=f"{first} first",
        )  # fmt: skip
    outliers = [mark for mark in marks if mark.outlier]
    if outliers:
        heights = [min(max(mark.saved, low), high) for mark in outliers]
        numbers = [mark.number for mark in outliers]
        axes.plot(numbers, heights, "o", mfc="none", mec=TEXT, ms=11, mew=0.8, label="outlier")
    axes.set_ylim(low, high)
    axes.set_xlim(0.4, len(doc["pairs"]) + 0.6)
    values = ticks(low, high, 5)
    digits = decimals([100.0 * value for value in values])
    axes.set_yticks(values, [percent(value, digits) for value in values])
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("pair of trials, in the order they ran")
    axes.legend(
        loc="upper left", bbox_to_anchor=(-0.02, -0.19), ncols=4, columnspacing=1.2, handletextpad=0.5
    )


def _times(axes: Axes, doc: Doc) -> None:
    axes.set_title("Times of both arms")
    times = series.times(doc)
    if not times:
        _nothing(axes, "nothing was measured")
        return
    every = [value for values in times.values() for value in values]
    if max(every) / min(every) >= 8.0:
        axes.set_xscale("log")
    for row, (arm, values) in enumerate(times.items()):
        low, middle, high = series.quartiles(values)
        axes.barh(row, high - low, left=low, height=0.34, color=ARMS[arm], alpha=0.22)
        axes.plot([middle] * 2, [row - 0.22, row + 0.22], color=TEXT, lw=1.6)
        scatter = [row + 0.09 * math.sin(2.4 * place) for place in range(len(values))]
        axes.plot(values, scatter, "o", color=ARMS[arm], ms=3.4, mec="white", mew=0.4)
        name = shorten(plain(doc[arm].get("name") or arm), 20)
        axes.text(
            0.01, row - 0.34, f"{arm}: {name}, median {seconds(middle)}", fontsize=8, transform=_across(axes)
        )
    axes.set_ylim(1.5, -0.55)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=GRID)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_formatter(lambda value, _: short_seconds(value) if value > 0 else "")
    axes.xaxis.set_minor_formatter(lambda _value, _: "")
    if axes.get_xscale() == "linear":
        axes.locator_params(axis="x", nbins=4)
    axes.set_xlabel("time per call")


def _nothing(axes: Axes, words: str) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(0.5, 0.5, words, ha="center", va="center", color=MUTED, transform=axes.transAxes)


def _across(axes: Axes) -> Any:
    """Return the transform of (share of the width, value of the vertical axis)."""
    return axes.get_yaxis_transform()


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, facecolor="white")


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


@contextmanager
def style() -> Iterator[None]:
    """Draw with `STYLE` inside, whatever the user's settings are."""
    try:
        import matplotlib
    except ImportError as error:
        raise StoreError(
            "PNG pictures need matplotlib, which is not installed; "
            "install it with: pip install 'pytest-optbench[report]'"
        ) from error
    with warnings.catch_warnings(), matplotlib.rc_context():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box is drawn in its place
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield
