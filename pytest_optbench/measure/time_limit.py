"""The time limit of one benchmark: a soft one asked for between runs, a hard one that interrupts an arm.

The soft limit ends measuring at the next run boundary. The hard limit is for an arm that never returns: at
1.5 times the soft limit plus one second a `signal.SIGALRM` handler raises `TimeLimitReached` inside the arm,
and again every second until the arm lets go. Python runs signal handlers between bytecodes of the main
thread, so the hard limit is not available in other threads, nor on systems without ``SIGALRM`` (Windows), and
it cannot interrupt a C function that neither returns nor checks for signals. `TimeLimit.hard_limit` says
whether it is on.

A timer that somebody else had set (a test timeout, for example) keeps its deadline: if it comes first it is
left alone and the hard limit is off, otherwise it is put back with the time it has left.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

from .errors import TimeLimitReached

_REPEAT_S = 1.0
_MIN_DELAY_S = 1e-3  # setitimer(0) would switch a timer off instead of firing it


class TimeLimit:
    """A context manager around all calls of a benchmark's arms; ``seconds`` is the soft limit, None for none.

    ``hard_limit`` is a plain statement of how the hard limit is enforced, for the record.
    """

    def __init__(self, seconds: float | None) -> None:
        """Set nothing yet."""
        self.seconds = math.inf if seconds is None else seconds
        self.hard_seconds = 1.5 * self.seconds + 1
        self.hard_limit = "off"
        self._started = time.monotonic()
        self._interruptible = False
        self._installed = False
        self._handler: Any = None
        self._timer = (0.0, 0.0)

    @property
    def reached(self) -> bool:
        """Whether the soft limit is over."""
        return self.elapsed_s > self.seconds

    @property
    def elapsed_s(self) -> float:
        """Seconds since the context was entered."""
        return time.monotonic() - self._started

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Allow the hard limit to raise `TimeLimitReached` in the body; everywhere else it waits."""
        if self.elapsed_s > self.hard_seconds and self._installed:
            raise TimeLimitReached(self.hard_seconds)
        self._interruptible = True
        try:
            yield
        finally:
            self._interruptible = False

    def __enter__(self) -> Self:
        """Start the clock of both limits."""
        self._started = time.monotonic()
        self.hard_limit = self._install()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put back the signal handler and the timer found on entering."""
        if not self._installed:
            return
        self._installed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._handler)
        delay, interval = self._timer
        if delay > 0:
            signal.setitimer(signal.ITIMER_REAL, max(delay - self.elapsed_s, _MIN_DELAY_S), interval)

    def _install(self) -> str:
        if math.isinf(self.seconds):
            return "off: no time limit is set"
        if not hasattr(signal, "setitimer"):
            return "off: this system has no SIGALRM"
        if threading.current_thread() is not threading.main_thread():
            return "off: signals reach the main thread only"
        handler = signal.getsignal(signal.SIGALRM)
        if handler is None:
            return "off: a SIGALRM handler set outside Python could not be put back"
        delay, interval = signal.getitimer(signal.ITIMER_REAL)
        if 0 < delay <= self.hard_seconds:
            return f"off: another timer is due first, in {delay:.0f} s"
        self._handler = signal.signal(signal.SIGALRM, self._on_alarm)
        self._timer = (delay, interval)
        signal.setitimer(signal.ITIMER_REAL, self.hard_seconds, _REPEAT_S)
        self._installed = True
        return f"on: an arm is interrupted after {self.hard_seconds:g} s"

    def _on_alarm(self, _number: int, _frame: FrameType | None) -> None:
        if self._interruptible:
            raise TimeLimitReached(self.hard_seconds)
