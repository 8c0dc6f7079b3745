"""The asking side of a keeper: a program started so that nothing of what it starts outlives it, or this process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Final

from . import program

_END_S: Final = 10.0


def start(words: Sequence[str], descriptor: int | None = None, **options: Any) -> subprocess.Popen[bytes]:
    """Start a program below a keeper, which ends as the program does; ``options`` are those of `subprocess.Popen`.

    ``descriptor`` is passed on and left to the program alone. The program is out of reach of the terminal's Ctrl-C:
    whoever starts it must `end` it. Without a way to adopt orphans (systems other than Linux) there is no keeper, and
    `end` reaches the program's group. Raises `OSError`.
    """
    if sys.platform == "linux":
        own = "-" if descriptor is None else str(descriptor)
        words = (*program("pytest_optbench.adoption.keeper"), str(os.getpid()), own, *words)
    passed = () if descriptor is None else (descriptor,)
    return subprocess.Popen(words, pass_fds=passed, start_new_session=True, **options)


def end(process: subprocess.Popen[bytes]) -> None:
    """End the program with everything it started, and reap it; nothing when it has been reaped already."""
    if process.returncode is not None:
        return
    if sys.platform == "linux":
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:  # something has stopped the keeper itself
            process.kill()
    else:
        # Not reaped yet, so its number still is that of its group and of nobody else.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
