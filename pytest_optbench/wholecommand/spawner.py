"""The program that starts commands and reads the clocks around them, run as a process of its own.

Started by `adoption.subreaper`, with a FOLDER as its argument, it adopts what a command leaves behind, in whatever
session or group that is: all its descendants are the command's doing, and none outlives the run.

One JSON object a line on standard input is one run; one a line on standard output is its outcome. Request: ``program``,
``words``, ``environment``, ``cwd``, ``stdout`` and ``stderr`` (paths), ``limit_s``, ``sample`` (also watch memory).
Outcome: ``wall_ns`` from just before the start to the end of the command, ``status`` (negative: the signal that ended
it), ``cpu_s``, ``peak_bytes`` (largest process of the tree, as the kernel counts), ``tree_bytes`` (sampled sum over the
tree, null without ``sample``), ``left`` (processes it left running, which are ended), ``timed_out``, ``digest`` and
``size`` of the standard output, ``floor_bytes`` (this process, below which peak_bytes cannot tell); or ``error``.

FOLDER, which holds the output, goes when standard input ends. Standard library only, and little of it: the memory of
this process is the floor of what can be measured.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
import sys
import time

from ..adoption.tree import alive, apart, descendants, end, read

TYPE_CHECKING = False  # importing typing would make this process larger
if TYPE_CHECKING:
    from typing import Any

SAMPLE_MS = 2
_RESET = [signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGQUIT, signal.SIGHUP]


class Gone(Exception):
    """Whoever asks is gone."""


def main() -> None:
    """Serve requests until standard input ends."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # Ctrl-C is for the asking program to handle
    null = os.open(os.devnull, os.O_RDONLY)
    try:
        while line := sys.stdin.buffer.readline():
            try:
                outcome = run(json.loads(line), null)
            except OSError as error:
                outcome = {"error": f"{type(error).__name__}: {error.strerror}"}
            sys.stdout.write(json.dumps(outcome) + "\n")
            sys.stdout.flush()
    except (Gone, BrokenPipeError):
        pass
    finally:
        remove(sys.argv[1])


def remove(folder: str) -> None:
    """Remove the folder with the files in it, as may whoever finds that its owner is gone."""
    try:
        for name in os.listdir(folder):  # noqa: PTH208 - see read
            os.unlink(f"{folder}/{name}")  # noqa: PTH108
        os.rmdir(folder)  # noqa: PTH106
    except FileNotFoundError:
        pass


def run(request: dict[str, Any], null: int) -> dict[str, Any]:
    """Return the outcome of one run."""
    os.chdir(request["cwd"])
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC
    out, err = os.open(request["stdout"], flags, 0o600), os.open(request["stderr"], flags, 0o600)
    try:
        actions = [
            (os.POSIX_SPAWN_DUP2, null, 0),
            (os.POSIX_SPAWN_DUP2, out, 1),
            (os.POSIX_SPAWN_DUP2, err, 2),
        ]
        began = time.perf_counter_ns()
        pid = os.posix_spawn(
            request["program"],
            request["words"],
            request["environment"],
            file_actions=actions,
            setpgroup=0,
            setsigmask=[],
            setsigdef=_RESET,
        )
        try:
            ended, tree = wait(pid, began, request["limit_s"], request["sample"])
            left = sum(map(alive, descendants())) if request["sample"] and ended else 0
        finally:
            status, used = end(pid)
        digest = hashlib.sha256()
        os.lseek(out, 0, os.SEEK_SET)
        size = 0
        while block := os.read(out, 1 << 20):
            digest.update(block)
            size += len(block)
        return {
            "wall_ns": (ended or time.perf_counter_ns()) - began,
            "status": os.waitstatus_to_exitcode(status),
            "cpu_s": used.ru_utime + used.ru_stime,
            "peak_bytes": used.ru_maxrss * 1024,
            "tree_bytes": tree,
            "left": left,
            "timed_out": ended is None,
            "digest": digest.hexdigest(),
            "size": size,
            "floor_bytes": high_water(),
        }
    finally:
        os.close(out)
        os.close(err)


def wait(pid: int, began: int, limit_s: float, sample: bool) -> tuple[int | None, int | None]:
    """Return (the clock when the process ended or None at the limit, the peak of its tree or None)."""
    handle = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.register(0, select.POLLIN)
        peak = 0
        while True:
            left_ms = limit_s * 1000 - (time.perf_counter_ns() - began) / 1e6
            events = poll.poll(max(0, min(SAMPLE_MS, left_ms) if sample else left_ms))
            now = time.perf_counter_ns()
            ready = [descriptor for descriptor, _ in events]
            if handle in ready:
                return now, peak or None
            if 0 in ready:
                raise Gone
            if left_ms <= 0:
                return None, peak or None
            if sample:
                peak = max(peak, sum(map(memory, apart())))
    finally:
        os.close(handle)


def memory(pid: int) -> int:
    """Return the proportional set size in bytes, 0 for a process that is gone."""
    try:
        for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def high_water() -> int:
    """Return the largest resident set of this process so far, in bytes."""
    for line in read("/proc/self/status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
