"""The history of a subcommand that decides something: read before anything is measured, added to at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from ..store.errors import StoreError
from ..store.ledger import Entry


def read_history(uri: str | None, root: Path, err: TextIO) -> Mapping[str, list[Entry]] | None:
    """Return the earlier decisions by id that the history at ``uri`` holds; None without a history.

    Files that had to be skipped are told to ``err``. Raises `StoreError` when decisions could not be added to it.
    """
    if uri is None:
        return None
    from ..history.apart import prepare

    try:
        found = prepare(uri, root)
    except StoreError as error:
        raise StoreError(_words(error)) from None
    err.writelines(f"optbench: warning: history: {problem}\n" for problem in found.problems)
    return found.trail


def keep(
    uri: str | None,
    root: Path,
    documents: Sequence[Mapping[str, Any]],
    held: Mapping[str, Sequence[Entry]] | None,
    reports: Path,
) -> None:
    """Add the decisions to the history as one file; nothing without a history or a decision.

    Raises `StoreError` when that is not possible; the file is then kept in the folder of ``reports``.
    """
    if uri is None or not documents:
        return
    from ..history.apart import add

    try:
        add(uri, root, documents, held, reports)
    except StoreError as error:
        raise StoreError(_words(error)) from None


def _words(error: StoreError) -> str:
    return str(error).replace("--optbench-history", "--history").replace(" (ini key optbench_history)", "")
