"""The build step: one command run in each tree before anything is measured, for projects that are compiled."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .errors import RevisionError

TAIL_LINES = 20


def build(command: str, tree: Path, environment: Mapping[str, str], side: str) -> None:
    """Run ``command`` (split like a shell does, but without a shell) in ``tree``.

    Raises `RevisionError` with the end of its output when it cannot be run or fails.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise RevisionError(
            f"--optbench-build must be a command line, received {command!r}: {error}"
        ) from error
    if not words:
        raise RevisionError(f"--optbench-build must name a command, received {command!r}")
    try:
        done = subprocess.run(
            words,
            cwd=tree,
            env={**environment, "PWD": os.fspath(tree)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    except OSError as error:
        raise RevisionError(
            f"--optbench-build must name a program that can be run in the {side} tree, received {words[0]!r}: "
            f"{error.strerror}; for shell syntax write: sh -c '...'"
        ) from error
    if done.returncode:
        tail = "\n".join(done.stdout.decode(errors="replace").splitlines()[-TAIL_LINES:])
        raise RevisionError(
            f"--optbench-build must succeed in both trees, but {command!r} ended with status {done.returncode} "
            f"in the {side} tree:\n{tail}"
        )
