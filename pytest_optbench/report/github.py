"""What GitHub Actions shows: one annotation per decision, and markdown for the step summary.

Printing the one is the caller's; `add_to_step_summary` appends the other where a job asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

from . import family, figures
from .escape import workflow_data, workflow_property
from .figures import Doc
from .reasons import explain
from .templating import table

LEVELS: Final = {"REJECT": "error", "INCONCLUSIVE": "warning", "ACCEPT": "notice"}
LONGEST_SUMMARY: Final = 100
"""Decisions listed in a step summary; GitHub drops a summary above 1 MiB whole."""


def annotation(doc: Doc) -> str:
    """Return the workflow command that annotates the optimized arm, or the test when its place is unknown."""
    file, line = _place(doc)
    properties = [("file", file), ("line", line), ("title", f"{doc['verdict']}: {doc['title']}")]
    given = ",".join(f"{name}={workflow_property(value)}" for name, value in properties if value)
    return f"::{LEVELS[doc['verdict']]} {given}::{workflow_data(doc['summary'])}"


def step_summary(docs: Sequence[Doc]) -> str:
    """Return the markdown of the step summary: counts, a table, and why each decision is not an ACCEPT."""
    shown = docs[:LONGEST_SUMMARY]
    lines = ["## optbench", "", f"{family.counts_text(docs)}.", ""]
    if shown:
        headers = (
            "Verdict",
            "Decision",
            "Needed",
            "Time saved = ratio",
            "Interval",
            "Pairs",
            "Noise floor",
            "Why",
        )
        body = [
            (
                doc["verdict"],
                doc["title"],
                figures.target(doc),
                figures.gain(doc),
                figures.saved_interval(doc),
                figures.pair_count(doc),
                figures.noise_floor(doc),
                " ".join(f"{code}: {explain(code)}" for code in doc["reasons"]),
            )
            for doc in shown
        ]
        lines.append(table(headers, body))
    if len(docs) > len(shown):
        lines += [f"{len(docs) - len(shown)} more are in index.md of the report folder.", ""]
    return "\n".join(lines)


def add_to_step_summary(text: str) -> str | None:
    """Append ``text`` to the step summary of the job, if there is one; return what went wrong, in words.

    A container may know the name of the file and not hold it: no reason to end a run that has its verdicts.
    """
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    try:
        if path:
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        return f"the step summary (GITHUB_STEP_SUMMARY) cannot be written: {error.strerror}"
    return None


def _place(doc: Doc) -> tuple[str, str]:
    """Return (file, line) relative to the checkout; an absolute or climbing path is never shown."""
    source = figures.part(doc, "code", "optimized") or {}
    if _is_inside(source.get("file")):
        return source["file"], "" if source.get("line") is None else str(source["line"])
    test = doc["id"].partition("::")[0]
    return (test, "") if _is_inside(test) else ("", "")


def _is_inside(file: str | None) -> bool:
    if not file or not file.endswith(".py"):  # code outside the project is named by its module
        return False
    path = PurePosixPath(file)
    return not (path.is_absolute() or PureWindowsPath(file).drive or ".." in path.parts)
