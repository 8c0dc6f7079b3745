"""SIGTERM and SIGHUP as an exception, so that ``finally`` clauses run; the signal is sent again afterwards.

A measuring run owns child processes, temporary files and perhaps a worktree. Python's default reaction to
SIGTERM ends the process without any clean-up; inside `terminable` it unwinds the stack first and then dies of
the same signal.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Terminated(BaseException):
    """The process was asked to end; not an `Exception`, so that nothing on the way swallows it."""

    def __init__(self, number: int) -> None:
        """Take the number of the signal."""
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        """Name the signal."""
        return f"received {signal.Signals(self.number).name}"


@contextmanager
def terminable() -> Iterator[None]:
    """Turn termination signals into `Terminated` in the body; restore the handlers and re-raise the signal.

    Outside the main thread, where Python allows no handlers, the body simply runs. A second signal while the
    body unwinds is ignored, since it would cut the clean-up short.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handler(number: int, _frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Terminated(number)

    previous: dict[int, Any] = {}
    for number in _SIGNALS:
        # Ignored on purpose (nohup), or handled by code that is not Python's: leave it.
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            previous[number] = signal.signal(number, handler)
    received: Terminated | None = None
    try:
        yield
    except Terminated as error:
        received = error
    finally:
        for number, old in previous.items():
            signal.signal(number, old)
    if received is not None:
        os.kill(os.getpid(), received.number)
        raise received  # a handler of the previous owner may have chosen to go on: the run is over all the same
