"""What stands below this process, found and ended. For a process that adopts orphans that is all it ever started."""

from __future__ import annotations

import os
import signal
import time

TYPE_CHECKING = False  # importing typing would make the spawner larger
if TYPE_CHECKING:
    from typing import Any

_NOT_EXECUTED = 0x40  # PF_FORKNOEXEC of the kernel's include/linux/sched.h


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
    return list(_parents())


def apart() -> list[int]:
    """Return the `descendants` that have memory of their own: not those between vfork and exec.

    Such a process lives in the memory of its parent, and every figure of the two is the same; after fork, file pages
    and page tables differ. (`measure.memory_sampler` has the same rule, being a program of one file.)
    """
    return [child for child, parent in _parents().items() if not _lives_in(child, parent)]


def _parents() -> dict[int, int]:
    """Return the parent of each process below this one."""
    found: dict[int, int] = {}
    pending = [os.getpid()]
    for parent in pending:
        try:
            for task in os.listdir(f"/proc/{parent}/task"):  # noqa: PTH208 - see read
                children = [int(child) for child in read(f"/proc/{parent}/task/{task}/children").split()]
                found.update(dict.fromkeys(children, parent))
                pending += children
        except OSError:  # it ended meanwhile
            continue
    return found


def _lives_in(child: int, parent: int) -> bool:
    try:
        if not int(read(f"/proc/{child}/stat").rpartition(")")[2].split()[6]) & _NOT_EXECUTED:
            return False
        before, its, after = _figures(parent), _figures(child), _figures(parent)
    except (OSError, IndexError):  # counted twice rather than not at all
        return False
    return bool(its) and its in (before, after)


def _figures(pid: int) -> list[str]:
    return [line for line in read(f"/proc/{pid}/status").splitlines() if line.startswith(("Vm", "Rss"))]


def alive(pid: int) -> bool:
    """Return whether a process still runs: one that ended stays in the lists until its parent asks."""
    try:
        return read(f"/proc/{pid}/stat").rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:  # gone
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
    except ChildProcessError:  # none is left
        pass
