from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pytest_optbench.adoption import program

HANG_S = 240.0


def marker(number: int) -> str:
    """Return seconds to sleep for that no other process of this machine sleeps for."""
    return f"{number}.{os.getpid()}"


class Talk:
    """One spawner, spoken to line by line."""

    def __init__(self, folder: Path, cwd: Path) -> None:
        self.folder, self.cwd = folder, cwd
        folder.mkdir()
        self.process = subprocess.Popen(
            [
                *program("pytest_optbench.adoption.subreaper"),
                *program("pytest_optbench.wholecommand.spawner"),
                str(folder),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def send(
        self, *words: str, limit_s: float = HANG_S, sample: bool = False, program: str | None = None
    ) -> None:
        request = {
            "program": program or shutil.which(words[0]),
            "words": list(words),
            "environment": {"PATH": os.environ["PATH"], "ASKED": "yes"},
            "cwd": str(self.cwd),
            "stdout": str(self.folder / "stdout"),
            "stderr": str(self.folder / "stderr"),
            "limit_s": limit_s,
            "sample": sample,
        }
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, *words: str, **more: Any) -> dict[str, Any]:
        self.send(*words, **more)
        return self.answer()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def below(self) -> list[str]:
        """Return the command lines of all that the spawner started and that lives."""
        found = []
        for each in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(" ".join(each.cmdline()))
        return found


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, or fail when it never does."""
    deadline = time.monotonic() + HANG_S
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Talk]:
    """Yield a spawner; it must end by itself once nobody asks any more, and take its folder along."""
    talk = Talk(tmp_path / "folder", tmp_path)
    yield talk
    assert talk.process.stdin is not None
    assert talk.process.stdout is not None
    talk.process.stdin.close()
    assert talk.process.wait(HANG_S) == 0
    talk.process.stdout.close()
    assert not talk.folder.exists()


def test_outcomes(talk: Talk) -> None:
    """Status, signal, output and its digest come back; environment and folder are those asked for."""
    seen = talk.ask("sh", "-c", "echo $ASKED $PWD; exit 3")
    assert (seen["status"], seen["timed_out"], seen["tree_bytes"]) == (3, False, None)
    assert (talk.folder / "stdout").read_text() == f"yes {talk.cwd}\n"
    assert seen["size"] == len(f"yes {talk.cwd}\n")
    assert talk.ask("sh", "-c", "kill -9 $$")["status"] == -9
    same = [talk.ask("echo", word)["digest"] for word in ("a", "a", "b")]
    assert same[0] == same[1] != same[2]
    assert seen["floor_bytes"] > 0
    assert seen["peak_bytes"] > 0
    assert seen["wall_ns"] > 0


def test_what_cannot_be_started_is_an_answer(talk: Talk) -> None:
    """A program that is not there does not end the spawner."""
    assert (
        talk.ask("nothing", program="/nowhere/nothing")["error"]
        == "FileNotFoundError: No such file or directory"
    )
    assert talk.ask("true")["status"] == 0


def test_the_limit_ends_the_group(talk: Talk) -> None:
    """At the limit the command and what it started are gone."""
    long = marker(871)
    seen = talk.ask("sh", "-c", f"sleep {long} & sleep {long}", limit_s=0.2)
    assert (seen["timed_out"], seen["status"]) == (True, -9)
    assert not [p for p in psutil.process_iter(["cmdline"]) if long in (p.info["cmdline"] or [])]


@pytest.mark.parametrize("at_the_limit", [True, False])
def test_what_leaves_its_session_is_ended_too(talk: Talk, at_the_limit: bool) -> None:
    """A program of ``setsid``, and a daemon without living parent, end with the command, at the limit or before."""
    long = marker(300)
    daemons = f"sh -c 'setsid setsid sleep {long} & setsid -f sleep {long}'"
    if at_the_limit:
        seen = talk.ask("sh", "-c", f"{daemons}; sleep {long}", limit_s=1.0, sample=True)
    else:
        talk.send("sh", "-c", f"{daemons}; until test -e go; do sleep 0.05; done", sample=True)
        until(
            lambda: (
                [each for each in talk.below() if long in each and each[:2] != "sh"] == [f"sleep {long}"] * 2
            )
        )
        (talk.cwd / "go").touch()
        seen = talk.answer()
    assert seen["timed_out"] is at_the_limit
    assert seen["left"] == (0 if at_the_limit else 2)
    assert not [p for p in psutil.process_iter(["cmdline"]) if long in (p.info["cmdline"] or [])]
    assert "".join(talk.below()) == ""  # but for one that nobody has reaped yet
    assert talk.ask("true")["status"] == 0


def test_the_tree_is_watched(talk: Talk) -> None:
    """With sampling the memory of children counts, and what is left running is counted and ended."""
    both = 'os.path.exists("a") and os.path.exists("b")'  # each holds its memory until the other does, too
    code = (
        'import os, sys, time; x = bytearray(30 << 20); open(sys.argv[1], "w").close()\n'
        f"while not ({both}): time.sleep(0.01)\ntime.sleep(1)"
    )
    python = f"{sys.executable} -I -S -c '{code}'"
    seen = talk.ask("sh", "-c", f"{python} a & {python} b & wait", sample=True)
    assert seen["tree_bytes"] > 60 << 20
    assert seen["left"] == 0
    assert talk.ask("sh", "-c", f"sleep {marker(872)} & echo", sample=True)["left"] == 1


def test_memory_shared_until_exec_counts_once(talk: Talk, tmp_path: Path) -> None:
    """A program that is held back in front of its exec lives in its parent's 60 MB, which are no 120."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    code = (
        f"import os, subprocess; fifo = {str(fifo)!r}\n"
        "held = b'x' * 60_000_000\n"
        "release = subprocess.Popen(['sh', '-c', f'sleep 0.5; : > {fifo}'])\n"
        "opened = [(os.POSIX_SPAWN_OPEN, 0, fifo, os.O_RDONLY, 0)]\n"
        "os.posix_spawn('/bin/true', ['true'], {}, file_actions=opened), os.wait(), release.wait()\n"
    )
    seen = talk.ask(sys.executable, "-I", "-S", "-c", code, sample=True)
    assert seen["status"] == 0
    assert 60_000_000 < seen["tree_bytes"] < 100_000_000


def test_nobody_asking_any_more_ends_the_command(talk: Talk) -> None:
    """When the asking side goes in the middle of a run, command and spawner end."""
    long = marker(873)
    talk.send("sh", "-c", f"sleep {long} & sleep {long}")
    until(lambda: f"sleep {long}" in talk.below())
    children = psutil.Process(talk.process.pid).children(recursive=True)
    assert talk.process.stdin is not None
    talk.process.stdin.close()
    _, alive = psutil.wait_procs(children, timeout=HANG_S)
    assert alive == []
