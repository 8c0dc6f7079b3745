"""The program that watches the memory of another process and its descendants, run as a process of its own.

    python memory_sampler.py PID

Lines on standard input direct it: ``start`` takes a first sample, answers ``ready`` and goes on sampling; ``stop``
takes a last sample and answers with one line of JSON: ``kind`` ("PSS" or "RSS"), ``before``, ``peak``, ``samples``
and ``saw_children``. It leaves when the input ends or the watched process is gone. Being a process, it needs no turn
of the watched interpreter's lock and adds no thread there, which would make forking unsafe. Standard library only on
Linux, psutil elsewhere.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

INTERVAL_S = 0.005
_IDLE_S = 1.0
_PROC = Path("/proc")
# Whoever is not allowed to read a process must not take its memory for none: any other error ends the watching,
# and what was not watched is not judged.
_ENDED = (FileNotFoundError, ProcessLookupError)

_NOT_EXECUTED = 0x40  # PF_FORKNOEXEC of the kernel's include/linux/sched.h, in field 9 of /proc/PID/stat


@cache
def standalone() -> bool:
    """Return whether the kernel tells everything, so that psutil is not needed."""
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()


def pss(pid: int) -> int | None:
    """Return the proportional set size in bytes; None where it cannot be read."""
    try:
        rollup = (_PROC / str(pid) / "smaps_rollup").read_text()
    except OSError:  # then `rss` tells, which is never less
        return None
    return next((_kib(line) for line in rollup.splitlines() if line.startswith("Pss:")), None)


def rss(pid: int) -> int:
    """Return the resident set size in bytes; 0 for a process that ended meanwhile."""
    try:
        status = (_PROC / str(pid) / "status").read_text()
    except _ENDED:
        return 0 if standalone() else _psutil_rss(pid)
    return next((_kib(line) for line in status.splitlines() if line.startswith("VmRSS:")), 0)


def descendants(pid: int) -> list[int]:
    """Return the process ids below ``pid``, from the kernel's lists of children where it keeps them."""
    return list(parents(pid))


def parents(pid: int) -> dict[int, int]:
    """Return the parent of each process below ``pid``; where the kernel keeps no lists of children, ``pid`` itself."""
    found: dict[int, int] = {}
    pending = [pid]
    while pending:
        parent = pending.pop()
        try:
            lists = [(task / "children").read_text() for task in (_PROC / str(parent) / "task").iterdir()]
        except _ENDED:
            if parent != pid or standalone():
                continue
            return dict.fromkeys(_psutil_descendants(pid), pid)
        children = [int(child) for text in lists for child in text.split()]
        found.update(dict.fromkeys(children, parent))
        pending += children
    return found


def apart(below: dict[int, int]) -> list[int]:
    """Return the processes of ``below``, each given with its parent, that have memory of their own.

    Between its start and its exec, a program started by vfork (`subprocess`, posix_spawn) lives in the memory of
    its parent, which would count twice.
    """
    return [child for child, parent in below.items() if not _lives_in(child, parent)]


def _lives_in(child: int, parent: int) -> bool:
    """Return whether a process that did not exec yet has the memory of its parent, not a copy as after fork.

    The kernel tells it by every figure being the same, those of file pages and page tables included, which fork
    does not copy. Read twice, as other threads of the parent may go on.
    """
    try:
        flags = int((_PROC / str(child) / "stat").read_text().rpartition(")")[2].split()[6])
        if not flags & _NOT_EXECUTED:
            return False
        before, its, after = (_figures(pid) for pid in (parent, child, parent))
    except (OSError, IndexError, ValueError):  # counted twice rather than not at all
        return False
    return bool(its) and its in (before, after)


def _figures(pid: int) -> list[str]:
    status = (_PROC / str(pid) / "status").read_text()
    return [line for line in status.splitlines() if line.startswith(("Vm", "Rss"))]


def held(pid: int) -> int:
    """Return the bytes that the processes below ``pid`` hold, as PSS where it can be read."""
    levels = ((pss(each), each) for each in apart(parents(pid)))
    return sum(rss(each) if level is None else level for level, each in levels)


def _kib(line: str) -> int:
    return int(line.split()[1]) * 1024


def _psutil_rss(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _psutil_descendants(pid: int) -> list[int]:
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


class Sampler:
    """The memory of one process tree, without the process that watches."""

    def __init__(self, pid: int) -> None:
        """Take the first sample."""
        self.pid = pid
        self.kind = "RSS" if pss(pid) is None else "PSS"
        self.samples = self.peak = 0
        self.saw_children = False
        self.sample()
        self.before = self.peak
        self.saw_children = False

    def sample(self) -> None:
        """Add up the tree once."""
        own = os.getpid()
        below = parents(self.pid)
        below.pop(own, None)
        self.saw_children = self.saw_children or bool(below)
        levels = ((pss(pid) if self.kind == "PSS" else None, pid) for pid in (self.pid, *apart(below)))
        self.peak = max(self.peak, sum(rss(pid) if level is None else level for level, pid in levels))
        self.samples += 1

    def report(self) -> str:
        """Return what was seen as JSON."""
        names = ("kind", "before", "peak", "samples", "saw_children")
        return json.dumps({name: getattr(self, name) for name in names})


def watch(pid: int, lines: queue.SimpleQueue[str], answer: Callable[[str], None]) -> None:
    """Do what ``lines`` say about process ``pid`` until they end or it is gone, see the module."""
    sampler: Sampler | None = None
    pause = _IDLE_S
    while os.getppid() == pid:
        try:
            line = lines.get(timeout=pause)
        except queue.Empty:
            line = ""
        began = time.perf_counter()
        if line == "start":
            sampler = Sampler(pid)
            answer("ready")
        elif line == "end":
            return
        elif sampler is not None:
            sampler.sample()
            if line == "stop":
                answer(sampler.report())
                sampler = None
        # Adding up large processes takes long; never spend more than a third of the time on it.
        pause = _IDLE_S if sampler is None else max(INTERVAL_S, 2 * (time.perf_counter() - began))


def main() -> None:
    """Watch the process named on the command line, see the module."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the watched program to handle
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line.strip())
        lines.put("end")

    def answer(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    threading.Thread(target=read, daemon=True).start()
    watch(int(sys.argv[1]), lines, answer)
    os._exit(0)  # nothing is left to tidy up, and somebody waits


if __name__ == "__main__":
    main()
