"""Programs between their start and their exec live in the memory of their parent, which must count once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_optbench.measure import memory_sampler

pytestmark = pytest.mark.skipif(
    not memory_sampler.standalone(), reason="only Linux tells which processes share memory"
)

# The program to start waits in front of its exec, until somebody writes to the FIFO it has to open for that.
HELD_BACK = (
    "import os, sys\n"
    "memory = b'x' * 60_000_000\n"
    "actions = [(os.POSIX_SPAWN_OPEN, 0, sys.argv[1], os.O_RDONLY, 0)]\n"
    "print('starting', flush=True)\n"
    "started = os.posix_spawn(sys.executable, [sys.executable, '-Sc', 'input()'], os.environ, file_actions=actions)\n"
    "print(started, flush=True)\n"
    "os.waitpid(started, 0)\n"
)
FORKED = (
    "import os, sys, time\n"
    "memory = bytearray(b'x' * 60_000_000)\n"
    "if not os.fork():\n"
    "    memory[:] = b'y' * len(memory)\n"
    "    print('starting', flush=True)\n"
    "    time.sleep(60)\n"
    "os.wait()\n"
)


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def parent(code: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-Sc", code, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "starting\n"
        try:
            yield process
        finally:
            for pid in (*memory_sampler.descendants(process.pid), process.pid):
                os.kill(pid, 9)


@pytest.fixture
def held_back(fifo: Path) -> Iterator[subprocess.Popen[str]]:
    yield from parent(HELD_BACK, str(fifo))


@pytest.fixture
def forked() -> Iterator[subprocess.Popen[str]]:
    yield from parent(FORKED)


def test_a_program_before_its_exec_counts_nothing(held_back: subprocess.Popen[str], fifo: Path) -> None:
    """The 60 MB of the parent are not counted again for a program that is about to start, whose own are afterwards."""
    while not (below := memory_sampler.descendants(held_back.pid)):
        pass
    assert memory_sampler.pss(below[0]) > 60_000_000
    assert memory_sampler.held(held_back.pid) == 0
    sampler = memory_sampler.Sampler(held_back.pid)
    assert 60_000_000 < sampler.peak < 90_000_000
    with fifo.open("w"):
        assert held_back.stdout.readline() == f"{below[0]}\n"
        assert 0 < memory_sampler.held(held_back.pid) < 30_000_000


def test_a_forked_process_counts_what_it_wrote(forked: subprocess.Popen[str]) -> None:
    """A copy made by fork never executes another program, yet what it changed is its own."""
    assert memory_sampler.held(forked.pid) > 60_000_000
