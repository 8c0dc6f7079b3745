"""A neighbour that keeps one CPU busy, and never outlives who started it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

SITUATIONS = {False: "idle", True: "other CPU loaded"}
"""What a cell is called by whether it had a busy neighbour."""

_BUSY = """
import os, sys
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
parent = int(sys.argv[1])
print("busy", flush=True)
values = list(range(50_000))
while os.getppid() == parent:
    for _ in range(20):
        values = [value * 3 % 1009 for value in values]
"""


@contextmanager
def busy_neighbour() -> Iterator[None]:
    """Run a busy process during the body, pinned to the last CPU this process may use."""
    command = [sys.executable, "-I", "-c", _BUSY, str(os.getpid())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield
        finally:
            process.kill()


def neighbour(loaded: bool) -> AbstractContextManager[None]:
    """Return a context with a busy neighbour, or one that does nothing."""
    return busy_neighbour() if loaded else nullcontext()
