"""Lines for a terminal: one row per decision, fitted to a width. The caller prints and colours them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from . import rows
from .escape import console, shorten, width
from .family import Doc

HEADERS: Final = ("verdict", "decision", "time saved = ratio", "interval", "pairs", "noise", "report")
FLEXIBLE: Final = 1
NARROWEST: Final = 12
GAP: Final = "  "


@dataclass(frozen=True)
class Line:
    """One line of text, and the verdict it tells of (None for headers)."""

    text: str
    verdict: str | None = None


def decision_lines(
    docs: Sequence[Doc],
    reports: Mapping[str, str],
    columns: int = 80,
    encoding: str = "utf-8",
) -> list[Line]:
    """Return a header and one line per decision, at most ``columns`` wide where a title can be cut for it.

    ``reports`` maps a decision's id to the file of its report, as it should be shown. Lines hold only what
    ``encoding`` can print; a terminal that is too narrow loses the last columns from view, never the verdict.
    """
    if not docs:
        return []
    table = [
        HEADERS,
        *(
            (
                doc["verdict"],
                doc["title"],
                rows.gain(doc),
                rows.saved_interval(doc),
                str(len(doc["pairs"])),
                rows.noise_floor(doc),
                reports.get(doc["id"], ""),
            )
            for doc in docs
        ),
    ]
    cells = [[console(cell, encoding).strip() for cell in row] for row in table]
    mark = "…" if console("…", encoding) == "…" else "..."
    widths = [max(width(row[column]) for row in cells) for column in range(len(HEADERS))]
    others = sum(widths) - widths[FLEXIBLE] + len(GAP) * (len(HEADERS) - 1)
    widths[FLEXIBLE] = min(widths[FLEXIBLE], max(columns - others, NARROWEST))
    lines = []
    for row, verdict in zip(cells, [None, *(doc["verdict"] for doc in docs)], strict=True):
        row[FLEXIBLE] = shorten(row[FLEXIBLE], widths[FLEXIBLE], mark)
        padded = [cell + " " * (widths[column] - width(cell)) for column, cell in enumerate(row)]
        lines.append(Line(GAP.join(padded).rstrip(), verdict))
    return lines


def reason_lines(docs: Sequence[Doc], encoding: str = "utf-8") -> list[Line]:
    """Return one line per decision that is not an ACCEPT: its summary, as the failing test shows it."""
    return [
        Line(console(f"{doc['title']}: {doc['summary']}", encoding), doc["verdict"])
        for doc in docs
        if doc["verdict"] != "ACCEPT"
    ]
