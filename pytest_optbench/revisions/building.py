"""The build step: one command run in each tree before anything is measured, for projects that are compiled."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..adoption import kept
from .errors import RevisionError

TAIL_LINES = 20


def build(command: str, tree: Path, environment: Mapping[str, str], side: str) -> None:
    """Run ``command`` (split like a shell does, but without a shell) in ``tree``.

    Whatever it starts ends with it. Raises `RevisionError` with the end of its output when it cannot be run or fails.
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
        status, output = _run(words, tree, {**environment, "PWD": os.fspath(tree)})
    except OSError as error:
        raise RevisionError(
            f"--optbench-build must name a program that can be run in the {side} tree, received {words[0]!r}: "
            f"{error.strerror}; for shell syntax write: sh -c '...'"
        ) from error
    if status:
        tail = "\n".join(output.decode(errors="replace").splitlines()[-TAIL_LINES:])
        raise RevisionError(
            f"--optbench-build must succeed in both trees, but {command!r} ended with status {status} "
            f"in the {side} tree:\n{tail}"
        )


def _run(words: Sequence[str], tree: Path, environment: Mapping[str, str]) -> tuple[int, bytes]:
    """Return the exit status of a program run in ``tree`` and what it printed; raises `OSError`."""
    program = os.path.join(tree, words[0]) if "/" in words[0] else words[0]  # noqa: PTH118 - ./build must keep its dot
    if shutil.which(program, path=environment.get("PATH")) is None:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    process = kept.start(
        words, cwd=tree, env=environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = process.communicate()
    finally:
        kept.end(process)
    return process.returncode, output
