"""CPU pinning: keep the measuring thread, and what it starts, on chosen CPUs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from .errors import MeasureError


@contextmanager
def pinned(cpus: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Pin the calling thread and the threads and processes it starts; yield the CPUs now usable.

    An empty ``cpus`` pins nothing. Threads that already run (a pool made before) stay where they are. The
    earlier set is put back afterwards. Raises `MeasureError` when the system cannot pin as asked.
    """
    if not hasattr(os, "sched_setaffinity"):
        if cpus:
            raise MeasureError(
                f"pinning to CPUs needs a system that can do it (Linux), received {list(cpus)!r}; "
                "leave --optbench-cpus out"
            )
        yield ()
        return
    before = os.sched_getaffinity(0)
    if cpus:
        try:
            os.sched_setaffinity(0, cpus)
        except (OSError, ValueError) as error:
            raise MeasureError(
                f"--optbench-cpus must name CPUs this process may use ({sorted(before)}), "
                f"received {list(cpus)!r}: {error}"
            ) from error
    try:
        yield tuple(sorted(os.sched_getaffinity(0)))
    finally:
        if os.sched_getaffinity(0) != before:
            os.sched_setaffinity(0, before)
