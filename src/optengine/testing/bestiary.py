"""Tasks that misbehave, each in one way, for tests that really do it.

Every one is a module-level function of one argument, so that it travels to workers of any start method. ``BEASTS`` maps
a name to (task, kind of failure it must end in).
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def tame(item: Any) -> Any:
    """Behaves: returns its argument."""
    return item


def raises(item: Any) -> Any:
    """Raises ``ValueError``."""
    raise ValueError(f"task {item!r} raises on purpose")


def raises_unpicklable(item: Any) -> Any:
    """Raises an exception that cannot be pickled."""
    error = RuntimeError(f"task {item!r} raises with a lock inside")
    error.lock = threading.Lock()  # type: ignore[attr-defined]
    raise error


def kills_itself(item: Any) -> Any:
    """SIGKILLs its worker, as the out-of-memory killer does."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
    return item


def exits_zero(_: Any) -> Any:
    """Ends its worker with exit code 0, without any clean-up."""
    os._exit(0)


def exits_three(_: Any) -> Any:
    """Ends its worker with exit code 3."""
    os._exit(3)


def system_exits(_: Any) -> Any:
    """Raises ``SystemExit``."""
    sys.exit(3)


def segfaults(_: Any) -> Any:
    """Reads address zero."""
    return ctypes.string_at(0)


def hangs(_: Any) -> Any:
    """Sleeps for ever."""
    while True:
        time.sleep(60)


def spins(item: Any) -> Any:
    """Computes for ever and never sleeps."""
    while True:
        item = item


def stops(item: Any) -> Any:
    """Stops its process with SIGSTOP."""
    os.kill(os.getpid(), signal.SIGSTOP)
    return item


def returns_lambda(item: Any) -> Any:
    """Returns what cannot be pickled."""
    return lambda: item


def returns_lock(_: Any) -> Any:
    """Returns a lock."""
    return threading.Lock()


class Unrebuildable:
    """Pickles well and refuses to be rebuilt."""

    def __reduce__(self) -> Any:
        return (_refuse, ())


def _refuse() -> Any:
    raise ValueError("this object refuses to be rebuilt")


def returns_unrebuildable(_: Any) -> Any:
    """Returns an object that cannot be unpickled."""
    return Unrebuildable()


def eats_memory(_: Any) -> Any:
    """Takes one megabyte after another and keeps them."""
    eaten = []
    for _ in range(1024):
        eaten.append(b"x" * (4 << 20))
        time.sleep(0.001)
    return len(eaten)


def closes_its_pipe(item: Any) -> Any:
    """Closes every descriptor but the standard ones, the worker's socket among them."""
    os.closerange(3, 256)
    return item


def prints_much(item: Any) -> Any:
    """Writes 10 MB to standard output, then returns its argument."""
    for _ in range(10):
        sys.stdout.write("x" * (1 << 20) + "\n")
    sys.stdout.flush()
    return item


def leaves_a_child(item: Any) -> Any:
    """Starts a process that would outlive it, notes its process id in the file ``item``, then dies."""
    import subprocess

    child = subprocess.Popen(["sleep", "300"])
    Path(item).write_text(str(child.pid))
    os._exit(1)


# kind None: the task returns its argument all the same
BEASTS: dict[str, tuple[Callable[[Any], Any], str | None]] = {
    "raises": (raises, "exception"),
    "raises_unpicklable": (raises_unpicklable, "exception"),
    "system_exits": (system_exits, "exception"),
    "kills_itself": (kills_itself, "crash"),
    "exits_zero": (exits_zero, "crash"),
    "exits_three": (exits_three, "crash"),
    "segfaults": (segfaults, "crash"),
    "hangs": (hangs, "timeout"),
    "spins": (spins, "timeout"),
    "stops": (stops, "timeout"),
    "returns_lambda": (returns_lambda, "unpicklable"),
    "returns_lock": (returns_lock, "unpicklable"),
    "returns_unrebuildable": (returns_unrebuildable, "unpicklable"),
    "eats_memory": (eats_memory, "memory"),
    "closes_its_pipe": (closes_its_pipe, "crash"),
    "prints_much": (prints_much, None),
}


def run_beast(item: tuple[str | None, Any]) -> Any:
    """Run the beast named first on the argument that follows; ``None`` behaves."""
    name, argument = item
    return tame(argument) if name is None else BEASTS[name][0](argument)


def logged_beast(item: tuple[str, int, str | None]) -> Any:
    """Append the task's number to a file, then run the beast; the file tells how often each task was started."""
    path, number, name = item
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, number.to_bytes(4, "little"))
    os.close(descriptor)
    return run_beast((name, number))


# Quick beasts only: those that need a time-out or fill memory would make a long run of many slow.
INJECTED = (
    "raises",
    "raises_unpicklable",
    "kills_itself",
    "exits_zero",
    "exits_three",
    "segfaults",
    "returns_lambda",
    "returns_unrebuildable",
    "closes_its_pipe",
)


def injected_items(path: str, tasks: int, *, share: float, seed: int) -> list[tuple[str, int, str | None]]:
    """Arguments for :func:`logged_beast`: ``tasks`` numbers, about ``share`` of them with a random beast."""
    generator = random.Random(seed)
    return [
        (path, number, generator.choice(INJECTED) if generator.random() < share else None)
        for number in range(tasks)
    ]
