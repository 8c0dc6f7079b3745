"""CPUs: keep the measuring thread, and what it starts, on chosen ones; have two processes take turns on the same one.

CPUs are not alike while a machine is in use: one is shared with a busy process, another is the second half of a
core that works for somebody else. Two processes that stay on different ones differ by that for as long as they live,
and no number of runs tells it from code.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

from .errors import MeasureError


def current_cpu() -> int | None:
    """Return the CPU the calling thread runs on, None where the system does not tell."""
    call = _sched_getcpu()
    cpu = -1 if call is None else int(call())
    return None if cpu < 0 else cpu


def move_to(cpu: int) -> None:
    """Have the calling thread go on on ``cpu``, free to leave it again; do nothing where that is not possible.

    It keeps all the CPUs it may use, and so does what it starts: work that uses several still can.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    allowed = os.sched_getaffinity(0)
    if cpu not in allowed or len(allowed) < 2:
        return
    with suppress(OSError):  # staying where it is is right as well
        os.sched_setaffinity(0, {cpu})
    os.sched_setaffinity(0, allowed)  # if this failed it would be pinned for good, so it is not hidden


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


@cache
def _sched_getcpu() -> Any:
    try:
        return ctypes.CDLL(None).sched_getcpu
    except (AttributeError, OSError, TypeError):  # another system's C library
        return None
