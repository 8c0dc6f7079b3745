"""Children of a pair get the same places in memory, those of the next pair others; what they start gets none of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_optbench.measure.address_space import drawn_address_space

PERSONALITY = Path("/proc/self/personality")
PROGRAM = """
import os, resource, subprocess, sys, threading
from pytest_optbench.measure.address_space import as_before
def libraries(text):
    return min(line.split("-")[0] for line in text.splitlines() if "libc" in line)
here = libraries(open("/proc/self/maps").read())
as_before(os.environ)
def threads_stack():
    return next(
        int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize")
    )
before = threads_stack()
held, stop = threading.Event(), threading.Event()
threading.Thread(target=lambda: (held.set(), stop.wait())).start()
held.wait()
grown = threads_stack() - before
stop.set()
started = subprocess.run(["cat", "/proc/self/maps", "/proc/self/personality"], capture_output=True, text=True).stdout
print(here, resource.getrlimit(resource.RLIMIT_STACK)[0], grown, started.split()[-1], sep=",")
print([name for name in os.environ if name.startswith("OPTBENCH")])
"""


def seen(page: int) -> list[str]:
    """Return where a child has the C library, its stack limit, KiB a thread adds, what its children inherit."""
    with drawn_address_space(page) as told:
        if not told:
            pytest.skip("this system does not let a process choose its addresses")
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=os.environ | dict(told),
            capture_output=True,
            text=True,
            check=True,
        )
    line, names = done.stdout.splitlines()
    assert names == "[]"
    return line.split(",")


def test_one_page_is_one_place() -> None:
    """Programs started with the same number have their libraries at the same address, with another at another."""
    assert seen(7)[0] == seen(7)[0]
    assert seen(7)[0] != seen(7 + 2**12)[0]


def test_nothing_stays() -> None:
    """The child's stack limit, the stacks of its threads and what it starts are as they were without it."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_STACK)
    with PERSONALITY.open() as file:
        persona = file.read().strip()
    _, soft, grown, inherited = seen(2**18 - 1)
    assert resource.getrlimit(resource.RLIMIT_STACK) == before
    assert int(soft) == before[0]
    assert inherited == persona
    assert int(grown) < 128 * 1024  # KiB: 8 MiB of stack and the allocator's arena, not a GiB
    with PERSONALITY.open() as file:
        assert file.read().strip() == persona
