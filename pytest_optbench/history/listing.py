"""A history as lines for a terminal: decisions, trends, groups. Foreign text is shown, never obeyed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pytest_optbench.report.escape import console, shorten, width
from pytest_optbench.report.units import UNKNOWN, both, percent, ratio, time_saved

from .read import Record
from .trail import Entry
from .trend import Cumulative, Series

LONGEST: Final = 60
"""Columns of a cell; figures, times and names of runs are shorter."""

_GAP: Final = "  "


def decisions(records: Sequence[Record], encoding: str = "utf-8") -> Iterator[str]:
    """Yield a header and a line per decision."""
    headers = ("started", "verdict", "time saved = ratio", "pairs", "decision", "subject", "run")
    rows = [
        (
            _when(r.started),
            r.verdict,
            both(r.ratio),
            str(r.n),
            r.title,
            r.id,
            r.run.partition("-")[2] or r.run,
        )
        for r in records
    ]
    yield from table(headers, rows, encoding)


def trend(subject: Series, encoding: str = "utf-8") -> Iterator[str]:
    """Yield the subject and a line per decision on it, oldest first."""
    yield console(f"{subject.title} ({subject.id})", encoding)
    yield from entries(
        [record.entry for record in subject.records], [r.margin for r in subject.records], encoding
    )


def entries(
    trail: Sequence[Entry], margins: Sequence[float | None], encoding: str = "utf-8"
) -> Iterator[str]:
    """Yield a header and a line per entry of a trail; ``margins`` are the ratios that had to be shown."""
    headers = (
        "started",
        "attempt",
        "verdict",
        "time saved = ratio",
        "interval",
        "needed",
        "pairs",
        "reasons",
    )
    rows = [
        (
            _when(each["started"]),
            UNKNOWN if each["attempt"] is None else str(each["attempt"]),
            each["verdict"],
            both(each["ratio"]),
            _interval(each["ci_low"], each["ci_high"]),
            UNKNOWN if margin is None else percent(time_saved(margin)),
            UNKNOWN if each["n"] is None else str(each["n"]),
            ", ".join(each["reasons"] or ()),
        )
        for each, margin in zip(trail, margins, strict=True)
    ]
    yield from table(headers, rows, encoding)


def groups(lines: Sequence[Cumulative], encoding: str = "utf-8") -> Iterator[str]:
    """Yield a header and a line per group and run: its accepted gains multiplied."""
    headers = ("group", "started", "accepted", "multiplied", "interval", "run")
    rows = [
        (
            line.group,
            _when(line.started),
            f"{line.count} of {line.decisions}",
            both(line.ratio) if line.count else "none",
            f"{ratio(line.ci_low)} to {ratio(line.ci_high)}" if line.count else UNKNOWN,
            line.run.partition("-")[2] or line.run,
        )
        for line in lines
    ]
    yield from table(headers, rows, encoding)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], encoding: str) -> Iterator[str]:
    """Yield aligned lines that hold only what ``encoding`` can print, without control sequences."""
    mark = console("…", encoding)
    cells = [
        [shorten(console(cell, encoding).strip(), LONGEST, mark) for cell in row] for row in (headers, *rows)
    ]
    widths = [max(width(row[column]) for row in cells) for column in range(len(headers))]
    for row in cells:
        yield _GAP.join(
            cell + " " * (size - width(cell)) for cell, size in zip(row, widths, strict=True)
        ).rstrip()


def _when(started: str | None) -> str:
    return UNKNOWN if started is None else started.replace("T", " ").removesuffix("Z")


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return UNKNOWN
    return f"{percent(time_saved(low)).removesuffix(' %')} to {percent(time_saved(high))}"
