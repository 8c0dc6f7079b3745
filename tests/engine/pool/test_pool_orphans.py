"""Nothing outlives a parent that was killed, whatever its workers and its fork server were busy with."""

import fcntl
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes_seen import wait_until

PARENT = Path(__file__).with_name("orphan_parent.py")
MARK = "OPTENGINE_TEST_MARK"
METHODS = ["preload", "fork", "forkserver", "spawn"]

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="processes are found by their /proc"
)


def marked(mark):
    """Living processes that inherited ``mark`` in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            if state not in "ZX" and mark.encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def kill_parent(waits_in, method, folder, *, group=False, after_s=0.0):
    """Start the program, kill it when it says where it is, and wait until nothing of it is left."""
    mark = secrets.token_hex(8)
    in_memory = set(Path("/dev/shm").glob("optengine*"))
    parent = subprocess.Popen(
        [sys.executable, str(PARENT), waits_in, method],
        env={**os.environ, MARK: mark, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        word = b"begun" if after_s else b"here"
        for line in parent.stdout:
            if line.strip() == word:
                break
        else:
            pytest.fail(f"the program must say {word!r}; it ended")
        time.sleep(after_s)
        (os.killpg if group else os.kill)(parent.pid, signal.SIGKILL)
        parent.wait()
        wait_until(lambda: not marked(mark))
    finally:
        for pid in marked(mark):
            os.kill(pid, signal.SIGKILL)
        parent.wait()
        parent.stdout.close()
    assert list(folder.iterdir()) == []
    assert set(Path("/dev/shm").glob("optengine*")) <= in_memory


@pytest.mark.parametrize("method", METHODS)
def test_a_hanging_initializer_ends_with_the_parent(method, tmp_path):
    """Workers that hang in their initializer leave when parent and forked server are killed together."""
    kill_parent("initializer", method, tmp_path, group=True)


@pytest.mark.parametrize("method", ["preload", "forkserver", "spawn"])
def test_a_hanging_import_ends_with_the_parent(method, tmp_path):
    """A fork server or worker that hangs in importing the main module leaves when the parent is killed."""
    kill_parent("import", method, tmp_path)


@pytest.mark.skipif(
    not hasattr(fcntl, "F_SETSIG"), reason="only Linux sends a chosen signal when a socket closes"
)
@pytest.mark.parametrize("group", [False, True], ids=["parent", "parent and forked server"])
@pytest.mark.parametrize("method", METHODS)
def test_a_task_in_c_code_ends_with_the_parent(method, group, tmp_path):
    """A worker that keeps the interpreter lock, and what its task started, are gone when the parent is killed."""
    kill_parent("c code", method, tmp_path, group=group)


@pytest.mark.parametrize("method", METHODS)
def test_what_a_task_left_behind_ends_with_the_parent(method, tmp_path):
    """A process that an ended task started, and whose worker idles, is gone when the parent is killed."""
    kill_parent("idle", method, tmp_path)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_left_whenever_the_parent_is_killed(method, tmp_path):
    """Killed at a seeded moment while pools start, replace workers or end, a program leaves no process and no file."""
    moments = random.Random(f"orphans {method}")
    for _ in range(2):
        kill_parent(
            "restarts", method, tmp_path, group=moments.random() < 0.3, after_s=moments.uniform(0.01, 0.4)
        )
