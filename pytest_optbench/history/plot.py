"""A trend as a picture: time saved of every decision with its interval, verdict and threshold, by matplotlib."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pytest_optbench.report.escape import plain, shorten
from pytest_optbench.report.units import time_saved
from pytest_optbench.store.errors import StoreError

from .read import Record
from .trend import Series

FORMATS: Final = ("svg", "png")
MOST: Final = 24
"""Subjects in one picture: more could not be read."""

WORDED: Final = 30
"""Decisions on one subject up to which those that measured nothing are named: the words need room."""

# Shape and colour both tell the verdict; the colours are those of the reports' plots.
MARKS: Final = {"ACCEPT": ("o", "#1a7f37"), "REJECT": ("X", "#c62828"), "INCONCLUSIVE": ("D", "#8a6100")}
_NOT_MEASURED: Final = "#59636e"


def plot(subjects: Sequence[Series], path: Path) -> None:
    """Write the picture of these subjects to ``path``, one panel each; its suffix says the format.

    Raises StoreError for a suffix other than .svg and .png, nothing or too much to draw, a file that cannot be
    written, or matplotlib missing.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise StoreError(f"a plot must end in .svg or .png, received {path.name!r}")
    if not 1 <= len(subjects) <= MOST:
        raise StoreError(
            f"a plot shows 1 to {MOST} subjects, received {len(subjects)}; name one with --subject"
        )
    data = picture(subjects, kind)
    try:
        path.write_bytes(data)
    except OSError as error:
        raise StoreError(f"the plot {path} cannot be written: {error.strerror}; name another file") from error


def picture(subjects: Sequence[Series], kind: str) -> bytes:
    """Return the picture as SVG or PNG; the same subjects give the same bytes with the same matplotlib."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise StoreError(
            f"a plot needs matplotlib, received {error}; install it with pip install 'pytest-optbench[report]'"
        ) from error
    stream = io.BytesIO()
    with rc_context({"svg.hashsalt": "optbench", "text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # an emoji in a title
        figure = Figure(figsize=(8.4, 3.0 * len(subjects)), layout="constrained")
        for axes, subject in zip(figure.subplots(len(subjects), squeeze=False)[:, 0], subjects, strict=True):
            _panel(axes, subject)
        figure.savefig(stream, format=kind, dpi=120, metadata={"Date": None} if kind == "svg" else None)
    return stream.getvalue()


def _panel(axes: Any, subject: Series) -> None:
    """Draw one subject: decisions in the order they were made, evenly spaced."""
    records = subject.records
    places = range(len(records))
    needed = [100.0 * _known(time_saved(record.margin)) for record in records]
    edges = [place - 0.5 for place in range(len(records) + 1)]
    axes.stairs(needed, edges, baseline=None, color="#c62828", linestyle="--", linewidth=1.3, label="needed")
    axes.axhline(0.0, color="#9aa4af", linewidth=0.8)
    for verdict, (marker, colour) in MARKS.items():
        chosen = [
            (x, r) for x, r in zip(places, records, strict=True) if r.verdict == verdict and _measured(r)
        ]
        if chosen:
            x, y, spread = zip(*((x, *_saved(r)) for x, r in chosen), strict=True)
            axes.errorbar(
                x, y, yerr=list(zip(*spread, strict=True)), fmt=marker, color=colour, capsize=3, label=verdict
            )
    empty = [(place, record) for place, record in zip(places, records, strict=True) if not _measured(record)]
    for number, (place, record) in enumerate(empty):
        label = None if number else "not measured"
        axes.axvline(place, color=_NOT_MEASURED, linestyle=":", linewidth=1.0, label=label)
        if len(records) <= WORDED:
            words = plain(f"{record.verdict}: {', '.join(record.reasons)}")
            axes.annotate(
                shorten(words, 40), (place, 0.03), xycoords=("data", "axes fraction"), xytext=(-2, 0),
                textcoords="offset points", ha="right", va="bottom", rotation=90, fontsize=7, color=_NOT_MEASURED,
            )  # fmt: skip
    axes.set_title(shorten(plain(subject.title), 90), fontsize=10, loc="left")
    axes.set_ylabel("time saved, %", fontsize=9)
    step = 1 + (len(records) - 1) // 8
    axes.set_xticks(list(places)[::step], [_when(r.started) for r in records[::step]], fontsize=8)
    axes.set_xlim(-0.5, len(records) - 0.5)
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(axis="y", color="#e9ecf0")
    axes.set_axisbelow(True)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def _when(started: str | None) -> str:
    return "unknown" if started is None else f"{started[:10]}\n{started[11:16]}"


def _measured(record: Record) -> bool:
    return bool(record.ratio and record.ci_low and record.ci_high)


def _saved(record: Record) -> tuple[float, tuple[float, float]]:
    """Return time saved in percent and the distances of its interval; the estimate may lie at its edge."""
    middle, low, high = (100.0 * _known(time_saved(r)) for r in (record.ratio, record.ci_low, record.ci_high))
    return middle, (max(middle - low, 0.0), max(high - middle, 0.0))


def _known(value: float | None) -> float:
    return 0.0 if value is None else value
