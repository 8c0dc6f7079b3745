"""Finds what an engine left behind: processes, segments, files, descriptors, threads."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_PLACES = (Path("/dev/shm"), Path(tempfile.gettempdir()))
_DESCRIPTORS = Path("/proc/self/fd")
_PREFIX = "optengine"


class Inventory(NamedTuple):
    """What exists now: child processes by id, the engine's named files, threads, open descriptors."""

    processes: frozenset[int]
    files: frozenset[str]
    threads: frozenset[str]
    descriptors: int


def inventory() -> Inventory:
    """Take stock of this process and of what it started."""
    import psutil

    processes = frozenset(child.pid for child in psutil.Process().children(recursive=True))
    files = frozenset(
        str(entry)
        for place in _PLACES
        if place.is_dir()
        for entry in place.iterdir()
        if entry.name.startswith(_PREFIX)
    )
    threads = frozenset(thread.name for thread in threading.enumerate())
    descriptors = len(list(_DESCRIPTORS.iterdir())) if _DESCRIPTORS.is_dir() else 0
    return Inventory(processes, files, threads, descriptors)


@contextmanager
def no_leftovers(patience_s: float = 5.0) -> Iterator[None]:
    """Check that the block leaves no process, zombie, segment, file, thread or descriptor behind.

    What ends a little later is waited for, at most ``patience_s`` seconds. Raises ``AssertionError`` naming
    the rest.
    """
    before = inventory()
    yield
    deadline = time.monotonic() + patience_s
    while True:
        left = _difference(before, inventory())
        if not left:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"nothing may be left behind; found {'; '.join(left)}")
        time.sleep(0.02)


def _difference(before: Inventory, after: Inventory) -> list[str]:
    left = []
    if extra := after.processes - before.processes:
        left.append(f"processes {sorted(extra)}")
    if files := after.files - before.files:
        left.append(f"files {sorted(files)}")
    if threads := after.threads - before.threads:
        left.append(f"threads {sorted(threads)}")
    if after.descriptors > before.descriptors:
        left.append(f"{after.descriptors - before.descriptors} open descriptors")
    return left
