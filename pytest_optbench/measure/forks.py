"""Forks made by an arm: counted in the parent, and a child that comes back out of the arm is ended there.

A child that returned from an arm would go on as a second copy of the test run: measuring, writing reports,
forking again in the next call. It has to leave at once, without running exit handlers that belong to its
parent.
"""

from __future__ import annotations

import mmap
import os

_forks = 0
_hooked = False


def _count() -> None:
    global _forks
    _forks += 1


def forks_so_far() -> int:
    """Return how many times this process forked with Python's knowledge since the first call of this.

    Programs started through `subprocess` are not counted: they never return into the calling code.
    """
    global _hooked
    if not _hooked:
        _hooked = True
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_parent=_count)
    return _forks


class ForkGuard:
    """Ends child processes that return from an arm, and tells the parent that it happened."""

    def __init__(self) -> None:
        """Remember the process that measures."""
        self._pid = os.getpid()
        self._came_back = mmap.mmap(-1, 1)  # anonymous and shared, so a child can leave a mark

    @property
    def child_came_back(self) -> bool:
        """Whether a forked child returned from the arm so far."""
        return self._came_back[0] != 0

    def leave_if_child(self) -> None:
        """Return in the process that measures; end any other."""
        if os.getpid() != self._pid:
            self._came_back[0] = 1
            os._exit(1)
