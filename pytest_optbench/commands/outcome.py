"""What every subcommand that decides something does at its end: index, table, GitHub, exit status."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from ..options import Settings


def conclude(
    documents: Sequence[Mapping[str, Any]],
    folder: Path,
    asked: Settings,
    out: TextIO,
    err: TextIO,
    templates: Path | None = None,
) -> int:
    """Write the index, print what was decided and return the exit status: 0 when the gate passes, else 1.

    Strict: only ACCEPT passes. Lenient: REJECT fails. Off: nothing does. Nothing decided never passes.
    """
    from ..report import github, terminal, write_index
    from ..report.escape import console

    encoding = getattr(out, "encoding", None) or "utf-8"
    for line in terminal.table(documents, folder, encoding=encoding):
        out.write(f"{line}\n")
    for document in documents:
        for line in (document["summary"], *_errors(document)):
            out.write(console(line, encoding) + "\n")
    for warning in write_index(folder, templates).warnings:
        err.write(f"optbench: warning: {warning}\n")
    if os.environ.get("GITHUB_ACTIONS") == "true":
        out.writelines(f"{github.annotation(document)}\n" for document in documents)
    if documents and (problem := github.add_to_step_summary(github.step_summary(documents))):
        err.write(f"optbench: warning: {problem}\n")
    verdicts = {document["verdict"] for document in documents}
    if asked.gate == "off":
        return 0
    failing = {"REJECT"} if asked.gate == "lenient" else {"REJECT", "INCONCLUSIVE"}
    return 1 if not documents or verdicts & failing else 0


def _errors(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what went wrong, in words: results that differ, commands that failed."""
    message = document["equivalence"].get("message")
    if message and document["equivalence"]["passed"] is not True:
        yield f"  {message}"
    yield from (f"  {each['message']}" for each in document["diagnostics"] if each["level"] == "error")
