"""Clocks: wall and processor time in whole nanoseconds, and how finely a clock can tell times apart."""

from __future__ import annotations

import sys
import time
from typing import Protocol

if sys.platform != "win32":
    import resource

_READINGS = 200_000
_DIFFERENCES = 200


class Clock(Protocol):
    """What measuring reads; replaced by a fake one to test arithmetic to the nanosecond."""

    def wall_ns(self) -> int:
        """Return monotonic wall time in nanoseconds."""
        ...

    def cpu_ns(self) -> int:
        """Return processor time of this process and of its children waited for, in nanoseconds."""
        ...


class SystemClock:
    """The clocks of the operating system.

    Processor time counts user and system time of every thread, and of child processes once they were waited
    for; a child that is still running (a pool kept alive between calls) is not counted.
    """

    @staticmethod
    def wall_ns() -> int:
        """Return monotonic wall time in nanoseconds."""
        return time.perf_counter_ns()

    @staticmethod
    def cpu_ns() -> int:
        """Return processor time of this process and of its children waited for, in nanoseconds."""
        own = time.process_time_ns()
        if sys.platform != "win32":  # which keeps no such account
            children = resource.getrusage(resource.RUSAGE_CHILDREN)
            own += round((children.ru_utime + children.ru_stime) * 1e9)
        return own


SYSTEM_CLOCK = SystemClock()


def resolution_s(clock: Clock) -> float:
    """Return the smallest positive difference between neighbouring wall readings, in seconds.

    It is the larger of the clock's step and the cost of reading it, so it bounds the error of one interval
    from below. What was observed counts, not what the system declares. Raises `ValueError` for a clock that
    stands still.
    """
    smallest = 0
    seen = 0
    wall_ns = clock.wall_ns
    earlier = wall_ns()
    for _ in range(_READINGS):
        later = wall_ns()
        if later > earlier:
            seen += 1
            if not smallest or later - earlier < smallest:
                smallest = later - earlier
            if seen == _DIFFERENCES:
                break
        earlier = later
    if not smallest:
        raise ValueError(
            f"a clock must advance; {_READINGS} readings of {type(clock).__name__} in a row were equal; "
            "measure with a clock of finer steps"
        )
    return smallest / 1e9
