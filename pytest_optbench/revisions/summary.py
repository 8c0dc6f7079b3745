"""The comparison in one file for machines and one for people: what a pull-request comment is made from.

``summary.json`` and ``summary.md`` of the report folder. Figures are those of the decision documents.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..core import wording
from ..options import Settings
from ..private import clean
from ..report import family, figures
from ..report.escape import shorten
from ..report.templating import table
from ..store.files import folder_lock, replace
from .git import Commit
from .outcome import Lists

SCHEMA: Final = "optbench/summary/1"
JSON_NAME: Final = "summary.json"
MARKDOWN_NAME: Final = "summary.md"
_BOOKS: Final = {
    "incomparable": "Benchmarks that the base has but that could not be measured there",
    "failed": "Benchmarks that fail in the working tree",
    "new": "New benchmarks",
    "removed": "Benchmarks of the base that are gone",
    "skipped": "Skipped benchmarks",
}


def summary(
    base: Commit,
    working_tree: tuple[Commit, str | None],
    lists: Lists,
    documents: Sequence[Mapping[str, Any]],
    settings: Settings,
    error: str | None = None,
    root: Path | None = None,
) -> dict[str, Any]:
    """Return the summary as plain JSON types; what children and commands said is cleaned as in documents.

    The verdict over all benchmarks: ERROR when ``error`` says why the run has none; REJECT when a decision is one
    or a benchmark fails; ACCEPT when every decision is one and nothing was incomparable; else INCONCLUSIVE.
    "Nothing regressed" needs no correction (an intersection of tests); claims of a speedup are Holm-corrected
    before they arrive here.
    """
    head, dirt = working_tree
    found = {
        "schema": SCHEMA,
        "verdict": _verdict(lists, documents) if error is None else "ERROR",
        "error": error,
        "goal": settings.goal,
        "gate": settings.gate,
        "base": {"revision": base.revision, "commit": base.commit},
        "head": {"commit": head.commit, "dirty": dirt is not None},
        "counts": family.counts(documents),
        "benchmarks": [_row(doc) for doc in documents],
        "new": _listed(lists.new),
        "removed": [{"id": each, "reason": ""} for each in lists.removed],
        "incomparable": _listed(lists.incomparable),
        "failed": _listed(lists.failed),
        "skipped": _listed(lists.skipped),
        "notes": list(lists.notes),
        "tests_of_the_working_tree": list(lists.overlay),
    }
    return {**found, **clean({key: found[key] for key in ("error", "notes", *_BOOKS)}, root)}


def forget(folder: Path) -> None:
    """Remove the summary of an earlier run, so that it cannot pass for that of a run that is killed."""
    for name in (JSON_NAME, MARKDOWN_NAME):
        (folder / name).unlink(missing_ok=True)


def write(folder: Path, found: Mapping[str, Any]) -> None:
    """Write ``summary.json`` and ``summary.md`` to the report folder; raises StoreError."""
    with folder_lock(folder):
        replace(folder, JSON_NAME, (json.dumps(found, indent=1, allow_nan=False) + "\n").encode())
        replace(folder, MARKDOWN_NAME, markdown(found).encode("utf-8", "backslashreplace"))


def markdown(found: Mapping[str, Any]) -> str:
    """Return the summary as markdown: verdict, table of benchmarks, lists."""
    base, head = found["base"], found["head"]
    dirty = " with uncommitted changes" if head["dirty"] else ""
    lines = [
        f"## optbench: {found['verdict']}",
        "",
        f"`{head['commit'][:12]}`{dirty} against `{base['revision'].replace('`', '')}` (`{base['commit'][:12]}`), "
        f"goal {found['goal']}.",
        "",
    ]
    if found["error"]:
        lines += [table(("Error",), [(found["error"],)]), ""]
    if found["benchmarks"]:
        headers = ("Verdict", "Benchmark", "Ratio", "Interval", "Needed", "Pairs", "Why")
        cells = [
            (
                each["verdict"],
                each["title"],
                _times(each["ratio"]),
                f"{_times(each['ci_low'])} to {_times(each['ci_high'])}",
                each["needed"],
                str(each["pairs"]),
                ", ".join(each["reasons"]),
            )
            for each in found["benchmarks"]
        ]
        lines += [table(headers, cells), ""]
        lines += ["Ratios are time before / time now: above 1x is faster.", ""]
    return "\n".join(lines) + lists_markdown(found)


def lists_markdown(found: Mapping[str, Any]) -> str:
    """Return the lists of what was not simply compared, as markdown."""
    lines = []
    for book, title in _BOOKS.items():
        if found[book]:
            lines += [
                f"### {title}",
                "",
                table(("Benchmark", ""), [(e["id"], e["reason"]) for e in found[book]]),
                "",
            ]
    if found["notes"]:
        lines += [table(("Note",), [(note,) for note in found["notes"]]), ""]
    return "\n".join(lines)


def lines(found: Mapping[str, Any]) -> list[str]:
    """Return the lines for the terminal."""
    said = [f"{found['verdict']} over all: {_words(found)}"]
    for book, title in _BOOKS.items():
        for each in found[book]:
            reason = f" ({shorten(each['reason'], 160, '...')})" if each["reason"] else ""
            said.append(f"{title.lower()}: {each['id']}{reason}")
    return [*said, *found["notes"]]


def _words(found: Mapping[str, Any]) -> str:
    counts = found["counts"]
    compared = len(found["benchmarks"])
    parts = [f"{counts[verdict]} {verdict}" for verdict in counts if counts[verdict]]
    parts += [f"{len(found[book])} {book}" for book in _BOOKS if found[book]]
    noun = "decision" if compared == 1 else "decisions"
    return f"{compared} {noun} against {found['base']['revision']}: {', '.join(parts) or 'none'}"


def _verdict(lists: Lists, documents: Sequence[Mapping[str, Any]]) -> str:
    verdicts = {doc["verdict"] for doc in documents}
    if "REJECT" in verdicts or lists.failed:
        return "REJECT"
    if not documents or verdicts != {"ACCEPT"} or lists.incomparable:
        return "INCONCLUSIVE"
    return "ACCEPT"


def _row(doc: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": doc["id"],
        "title": doc["title"],
        "verdict": doc["verdict"],
        "reasons": list(doc["reasons"]),
        "goal": doc["goal"],
        "margin": doc["margin"],
        "needed": figures.target(doc),
        "ratio": figures.part(doc, "ratio", "estimate"),
        "ci_low": figures.part(doc, "ratio", "ci_low"),
        "ci_high": figures.part(doc, "ratio", "ci_high"),
        "p_adjusted": doc["p_adjusted"],
        "pairs": len(doc["pairs"]),
        "noise_floor": figures.part(doc, "control", "noise_floor"),
        "report": f"{doc['slug']}.md",
        "summary": doc["summary"],
    }


def _listed(book: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"id": node_id, "reason": reason} for node_id, reason in book.items()]


def _times(ratio: float | None) -> str:
    return "?" if ratio is None else wording.times(ratio)
