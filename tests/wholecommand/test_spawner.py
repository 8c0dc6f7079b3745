from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pytest_optbench.adoption import program


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
        self, *words: str, limit_s: float = 60.0, sample: bool = False, program: str | None = None
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
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Talk]:
    """Yield a spawner; it must end by itself once nobody asks any more, and take its folder along."""
    talk = Talk(tmp_path / "folder", tmp_path)
    yield talk
    assert talk.process.stdin is not None
    assert talk.process.stdout is not None
    talk.process.stdin.close()
    assert talk.process.wait(60) == 0
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
    seen = talk.ask("sh", "-c", "sleep 87.5 & sleep 87.5", limit_s=0.2)
    assert (seen["timed_out"], seen["status"]) == (True, -9)
    assert not [p for p in psutil.process_iter(["cmdline"]) if "87.5" in (p.info["cmdline"] or [])]


@pytest.mark.parametrize("ends", ["sleep 300.25", "true"])
def test_what_leaves_its_session_is_ended_too(talk: Talk, ends: str) -> None:
    """A program of ``setsid``, and a daemon without living parent, end with the command, at the limit or before."""
    daemon = "sh -c 'setsid setsid sleep 300.25 & setsid -f sleep 300.25'"
    seen = talk.ask("sh", "-c", f"{daemon}; sleep 0.2; {ends}", limit_s=1.0, sample=True)
    assert seen["timed_out"] is (ends != "true")
    assert seen["left"] == (2 if ends == "true" else 0)
    assert not [p for p in psutil.process_iter(["cmdline"]) if "300.25" in (p.info["cmdline"] or [])]
    assert psutil.Process(talk.process.pid).children(recursive=True) == []
    assert talk.ask("true")["status"] == 0


def test_the_tree_is_watched(talk: Talk) -> None:
    """With sampling the memory of children counts, and what is left running is counted and ended."""
    code = "import time; x = bytearray(30 << 20); time.sleep(0.5)"
    python = f"{sys.executable} -I -S -c '{code}'"
    seen = talk.ask("sh", "-c", f"{python} & {python} & wait", sample=True)
    assert seen["tree_bytes"] > 60 << 20
    assert seen["left"] == 0
    assert talk.ask("sh", "-c", "sleep 87.6 & echo", sample=True)["left"] == 1


def test_memory_shared_until_exec_counts_once(talk: Talk, tmp_path: Path) -> None:
    """A program that is held back in front of its exec lives in its parent's 60 MB, which are no 120."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    code = (
        f"import os, subprocess; fifo = {str(fifo)!r}\n"
        "release = subprocess.Popen(['sh', '-c', f'sleep 0.5; : > {fifo}'])\n"
        "held = b'x' * 60_000_000\n"
        "opened = [(os.POSIX_SPAWN_OPEN, 0, fifo, os.O_RDONLY, 0)]\n"
        "os.posix_spawn('/bin/true', ['true'], {}, file_actions=opened), os.wait(), release.wait()\n"
    )
    seen = talk.ask(sys.executable, "-I", "-S", "-c", code, sample=True)
    assert seen["status"] == 0
    assert 60_000_000 < seen["tree_bytes"] < 100_000_000


def test_nobody_asking_any_more_ends_the_command(talk: Talk) -> None:
    """When the asking side goes in the middle of a run, command and spawner end."""
    talk.send("sh", "-c", "sleep 87.7 & sleep 87.7")
    deadline = time.monotonic() + 60
    while not [c for c in psutil.Process(talk.process.pid).children(recursive=True) if c.name() == "sleep"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    children = psutil.Process(talk.process.pid).children(recursive=True)
    assert talk.process.stdin is not None
    talk.process.stdin.close()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == []
