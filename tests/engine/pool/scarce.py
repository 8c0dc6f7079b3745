"""A program whose system refuses it something: prints, for every step, what a pool made of it and what is left open."""

import contextlib
import json
import os
import resource
import sys
import threading
import time
from pathlib import Path

from optengine import PersistentWorkerPool
from optengine.errors import EngineError


def increment(number):
    return number + 1


def unprivileged():
    """Become a user whose processes are counted; nothing is executed after it, so no file need be readable."""
    if os.geteuid() == 0:
        os.setgid(54321)
        os.setuid(54321)


@contextlib.contextmanager
def descriptors_left(count):
    """Leave room for so many open files."""
    held = []
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.dup(0))
        for _ in range(count):
            os.close(held.pop())
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)


@contextlib.contextmanager
def limited(which, value, process=0):
    """Set the soft limit ``which`` of this or another process for the block."""
    before = resource.prlimit(process, which)
    resource.prlimit(process, which, (value, before[1]))
    try:
        yield
    finally:
        resource.prlimit(process, which, before)


def tried(method, workers=2):
    """What a pool said, or that it works."""
    try:
        with PersistentWorkerPool(workers, start_method=method) as pool:
            results = pool.run_batch(increment, range(20))
    except EngineError as error:
        return f"{type(error).__name__}: {error}"
    assert results == list(range(1, 21))
    return "works"


def replaced(pool, left):
    """Kill the first of two workers while ``left`` holds, use the pool, and give it back what it lacks."""
    pids = set(pool.run_batch(process_id, range(20), chunksize=1))
    assert len(pids) == 2
    with left:
        os.kill(pids.pop(), 9)
        while not any("could not be replaced yet" in note for note in pool.notes):
            time.sleep(0.01)
        assert pool.run_batch(increment, range(20)) == list(range(1, 21))
    while sum(worker.pid is not None for worker in pool.stats().per_worker) < 2:
        time.sleep(0.01)
    assert pool.run_batch(increment, range(20)) == list(range(1, 21))
    return next(note for note in pool.notes if "could not be replaced yet" in note)


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def process_id(_):
    time.sleep(0.02)
    return os.getpid()


def main(what, method, *numbers):
    assert tried(method) == "works"  # everything is imported now
    if what.startswith("replaced"):
        with PersistentWorkerPool(2, start_method=method) as pool:
            server = pool._supervisor.fleet.launcher._fresh.pid if what == "replaced by server" else 0
            # Fewer than are open, but not fewer than the supervisor polls, which is an error of the poll.
            left = limited(resource.RLIMIT_NOFILE, 3 if server else 6, server)
            print(json.dumps([replaced(pool, left), 0, 0, 0]))
        return
    if what == "processes":
        unprivileged()
    steps = {
        "descriptors": descriptors_left,
        "processes": lambda number: limited(resource.RLIMIT_NPROC, number),
        "file size": lambda number: limited(resource.RLIMIT_FSIZE, number),
    }
    if what == "descriptors":
        resource.setrlimit(resource.RLIMIT_NOFILE, (96, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    for number in map(int, numbers):
        before = open_descriptors()
        with steps[what](number):
            said = tried(method)
        left = open_descriptors() - before
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        print(json.dumps([said, left, len(children), threading.active_count() - 1]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
