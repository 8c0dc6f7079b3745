"""The start of a run: check that the history can be written and read what it holds, in a process of its own.

pyarrow and its file systems start threads and take memory. None of that may happen in a process that is about
to measure, or fork, so ``python -m pytest_optbench.history.prepare`` does it: a JSON request on its standard
input (a URI may hold a password, which has no place in a list of processes), a JSON answer on its output.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_optbench.store.errors import StoreError

from .trail import Entry


@dataclass(frozen=True)
class Prepared:
    """What the history held when the run started: entries by id, and files that were skipped, in words."""

    trail: Mapping[str, list[Entry]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def prepare(uri: str, root: Path) -> Prepared:
    """Return what the history at ``uri`` holds, having checked that a run can be added to it.

    Raises StoreError when it cannot be reached, written or read, when a file of it is of a newer version, or
    when pyarrow is missing.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", __spec__.name],
        input=json.dumps({"uri": uri, "root": str(root)}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise StoreError(
            f"the history could not be checked: the process that reads it ended with status {done.returncode}: {last}"
        ) from error
    if "error" in answer:
        raise StoreError(answer["error"])
    return Prepared(answer["trail"], tuple(answer["problems"]))


def answer(request: Mapping[str, str]) -> dict[str, Any]:
    """Return the answer to one request; what went wrong is its ``error``."""
    from .location import locate
    from .read import read
    from .write import check_writable

    try:
        location = locate(request["uri"], Path(request["root"]))
        check_writable(location)
        history = read(location)
        history.refuse_newer()
    except StoreError as error:
        return {"error": str(error)}
    return {"trail": history.trail(), "problems": [str(problem) for problem in history.problems]}


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
