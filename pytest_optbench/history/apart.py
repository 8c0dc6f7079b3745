"""A history as a run uses it, read at its start and added to at its end, each in a process of its own.

pyarrow and its file systems start threads and take memory. None of that may happen in a process that is about to
measure, or fork. And some of them try for a quarter of an hour to reach a place that is not there, which no exception
interrupts: the process gets `LIMIT_S`. ``python -m pytest_optbench.history.apart`` takes a JSON request on its
standard input (a URI may hold a password, which has no place in a list of processes) and answers in JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pytest_optbench.store.errors import StoreError

from .location import without_secrets
from .trail import Entry

LIMIT_S: Final = 120.0
UNSENT: Final = "unsent"
"""Folder of the report folder for runs that could not be added to the history: a history itself."""


@dataclass(frozen=True)
class Prepared:
    """What the history held when the run started: entries by id, and files that were skipped, in words."""

    trail: Mapping[str, list[Entry]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def prepare(uri: str, root: Path, limit_s: float = LIMIT_S) -> Prepared:
    """Return what the history at ``uri`` holds, having checked that a run can be added to it.

    Raises StoreError when it cannot be reached in time, written or read, when a file of it is of a newer version, or
    when pyarrow is missing.
    """
    found = _ask({"do": "prepare", "uri": uri, "root": str(root)}, limit_s)
    return Prepared(found["trail"], tuple(found["problems"]))


def add(
    uri: str,
    root: Path,
    documents: Sequence[Mapping[str, Any]],
    held: Mapping[str, Sequence[Entry]] | None,
    reports: Path,
    limit_s: float = LIMIT_S,
) -> None:
    """Add the decisions of one run to the history at ``uri``, as `write.write_run` does.

    Raises StoreError when that is not possible; the same file is then in the folder `UNSENT` of ``reports``, to be
    copied into the history by hand.
    """
    from .write import run_name

    request = {"do": "add", "root": str(root), "documents": documents, "held": held, "name": run_name()}
    try:
        _ask({**request, "uri": uri}, limit_s)
    except StoreError as error:
        with suppress(OSError):  # whoever writes there says what is wrong
            (reports / UNSENT).mkdir(parents=True, exist_ok=True)
        try:
            _ask({**request, "uri": str(reports / UNSENT)}, limit_s)
        except StoreError as second:
            raise StoreError(f"{error}; nor could the run be kept beside its reports: {second}") from error
        raise StoreError(
            f"{error}; the run is kept in the report folder as {UNSENT}/{request['name']}: copy that file into the "
            "history, or its decisions will not count as earlier ones"
        ) from error


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to one request; what went wrong is its ``error``."""
    from .location import locate
    from .read import read
    from .write import check_writable, write_run

    try:
        location = locate(request["uri"], Path(request["root"]))
        if request["do"] == "add":
            return {"name": write_run(location, request["documents"], request["held"], request["name"])}
        check_writable(location)
        history = read(location)
        history.refuse_newer()
    except StoreError as error:
        return {"error": str(error)}
    return {"trail": history.trail(), "problems": [str(problem) for problem in history.problems]}


def _ask(request: Mapping[str, Any], limit_s: float) -> dict[str, Any]:
    """Return the answer of a fresh process; raises StoreError when that is an error, or none in time."""
    shown = without_secrets(request["uri"])
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", __spec__.name],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired:
        raise StoreError(
            f"the history {shown} must answer within {limit_s:g} s, and did not; see that it can be reached from here"
        ) from None
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise StoreError(
            f"the history {shown} could not be used: the process that does so ended with status {done.returncode}: "
            f"{last}"
        ) from error
    if "error" in found:
        raise StoreError(found["error"])
    return found


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
