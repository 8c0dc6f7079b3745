"""Lines for a terminal: the decisions of a run, fitted to a width. The caller prints and colours them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from . import figures
from .escape import console, shorten, width
from .figures import Doc

HEADERS: Final = ("verdict", "decision", "saved = ratio", "interval", "pairs", "noise", "report")
TITLE: Final = 1
NARROWEST: Final = 12
GAP: Final = "  "


class Line(str):
    """One line of text that knows the ``verdict`` it tells of (None for a header)."""

    __slots__ = ("verdict",)
    verdict: str | None

    def __new__(cls, text: str, verdict: str | None = None) -> Line:
        """Return ``text`` as a line that tells of ``verdict``."""
        line = super().__new__(cls, text)
        line.verdict = verdict
        return line


def table(
    docs: Sequence[Doc],
    report_dir: Path | str,
    columns: int | None = None,
    encoding: str = "utf-8",
) -> list[Line]:
    """Return a header and a line per decision, its report at the end or, where that is too wide, below it.

    ``columns`` is the width, None for the terminal's: titles are cut to fit it. ``report_dir`` is shown
    relative to the working directory where it lies inside it. Lines hold only what ``encoding`` can print;
    figures and file names are never cut.
    """
    if not docs:
        return []
    columns = shutil.get_terminal_size().columns if columns is None else columns
    folder = shown(Path(report_dir))
    raw = [HEADERS, *(_cells(doc, folder) for doc in docs)]
    cells = [[console(cell, encoding).strip() for cell in row] for row in raw]
    widths = [max(width(row[column]) for row in cells) for column in range(len(HEADERS))]
    below = _needed(widths) > columns
    reports = [row.pop() for row in cells] if below else []
    if below:
        widths.pop()
    widths[TITLE] = min(widths[TITLE], max(columns - _needed(widths) + NARROWEST, NARROWEST))
    mark = console("…", encoding)
    lines = []
    for index, row in enumerate(cells):
        verdict = docs[index - 1]["verdict"] if index else None
        row[TITLE] = shorten(row[TITLE], widths[TITLE], mark)
        padded = [cell + " " * (widths[column] - width(cell)) for column, cell in enumerate(row)]
        lines.append(Line(GAP.join(padded).rstrip(), verdict))
        if below and index:
            lines.append(Line(GAP + reports[index], verdict))
    return lines


def _needed(widths: Sequence[int]) -> int:
    """Return the columns a table takes when its titles are cut as far as they may be."""
    return sum(widths) - widths[TITLE] + min(widths[TITLE], NARROWEST) + len(GAP) * (len(widths) - 1)


def _cells(doc: Doc, folder: Path) -> tuple[str, ...]:
    return (
        doc["verdict"],
        doc["title"],
        figures.gain(doc),
        _interval(doc),
        figures.pair_count(doc),
        figures.noise_floor(doc),
        str(folder / f"{doc['slug']}.md"),
    )


def _interval(doc: Doc) -> str:
    return figures.saved_interval(doc).replace(" %", "", 1)


def shown(folder: Path) -> Path:
    """Return a path as it is shown: relative to the working directory where it lies inside it."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder
