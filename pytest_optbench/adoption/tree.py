"""What stands below this process, found and ended. For a process that adopts orphans that is all it ever started."""

from __future__ import annotations

import os
import signal
import time

TYPE_CHECKING = False  # importing typing would make the spawner larger
if TYPE_CHECKING:
    from typing import Any


def end(pid: int) -> tuple[int, Any]:
    """End a child, leader of its group and not reaped yet, with everything below this process.

    Return the child's wait status and the resources it used. What is ended leaves its own children to be adopted,
    so it may take as many rounds as there are generations.
    """
    os.killpg(pid, signal.SIGKILL)  # not reaped yet, so the number is still this group's
    _, status, used = os.wait4(pid, 0)
    while True:
        _reap()
        if not sum(_killed(member) for member in descendants() if alive(member)):
            return status, used
        time.sleep(0.001)


def descendants() -> list[int]:
    """Return all processes below this one, dead ones that nobody reaped included."""
    found = [os.getpid()]
    for parent in found:
        try:
            for task in os.listdir(f"/proc/{parent}/task"):  # noqa: PTH208 - see read
                found += map(int, read(f"/proc/{parent}/task/{task}/children").split())
        except OSError:
            continue
    return found[1:]


def alive(pid: int) -> bool:
    """Return whether a process still runs: one that ended stays in the lists until its parent asks."""
    try:
        return read(f"/proc/{pid}/stat").rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def read(path: str) -> str:
    """Return a small file of the kernel."""
    with open(path, encoding="ascii", errors="replace") as file:  # noqa: PTH123 - pathlib would make the spawner larger
        return file.read()


def _killed(pid: int) -> bool:
    """Send SIGKILL; return whether that was possible: a program may have changed its user."""
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return False
    return True


def _reap() -> None:
    """Take note of all children that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        pass
