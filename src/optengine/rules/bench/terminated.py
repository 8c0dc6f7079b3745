"""SIGTERM as an exception, so that temporary folders and pools are closed before the process dies of it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Terminated(BaseException):
    """SIGTERM came; nobody but :func:`unwound_by_sigterm` is to catch it."""


@contextmanager
def unwound_by_sigterm() -> Iterator[None]:
    """Unwind the block on SIGTERM, then die of it, or let its handler so far act, as if nothing had been in between.

    Only the main thread can do so; in others, and where SIGTERM is ignored, nothing changes.
    """
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    if not main or before in (signal.SIG_IGN, None):  # None: a handler of C code, which cannot be put back
        yield
        return

    def unwind(*_: object) -> None:
        # A second one must not cut the clean-up short.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    except Terminated:
        signal.signal(signal.SIGTERM, before)
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
