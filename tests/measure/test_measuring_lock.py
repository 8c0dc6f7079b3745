"""The measuring lock between real processes and threads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pytest_optbench.measure import MeasureError, measuring_lock
from pytest_optbench.measure.lock import lock_path

HOLDER = """
import pathlib, sys
from pytest_optbench.measure import measuring_lock
with measuring_lock(path=pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
print("released", flush=True)
"""


def holder(path: Path, code: str = HOLDER) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.stdin.close()
    process.stdout.close()
    process.wait(timeout=120)


def test_two_processes_take_turns(tmp_path):
    """While one process holds the lock another waits, is told who holds it, and gets it afterwards."""
    path = tmp_path / "lock"
    other = holder(path)
    messages: list[str] = []

    def let_go(message: str) -> None:
        messages.append(message)
        other.stdin.write("\n")
        other.stdin.flush()

    try:
        with measuring_lock(let_go, path):
            assert other.stdout.readline() == "released\n"
    finally:
        end(other)
    assert messages == [f"waiting for another measuring session on this machine (process {other.pid})"]


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    """The operating system frees the lock when its holder dies."""
    path = tmp_path / "lock"
    other = holder(path)
    other.kill()
    end(other)
    messages: list[str] = []
    with measuring_lock(messages.append, path):
        pass
    assert messages == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_worker_that_outlives_its_session_does_not_keep_the_lock(tmp_path):
    """A forked child left behind by a killed session does not hold the lock."""
    path = tmp_path / "lock"
    code = HOLDER.replace(
        'print("held", flush=True)',
        "import os\n    if os.fork() == 0:\n        sys.stdin.read()\n        os._exit(0)\n"
        '    print("held", flush=True)',
    )
    other = holder(path, code)
    other.kill()
    other.wait(timeout=120)
    messages: list[str] = []
    with measuring_lock(messages.append, path):
        pass
    other.stdin.close()
    other.stdout.close()
    assert messages == []


def test_threads_of_one_process_take_turns(tmp_path):
    """A second thread waits until the first one leaves."""
    order: list[str] = []
    inside = threading.Event()

    def second() -> None:
        inside.wait()
        with measuring_lock(path=tmp_path / "lock"):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with measuring_lock(path=tmp_path / "lock"):
        inside.set()
        time.sleep(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_the_lock_may_be_nested(tmp_path):
    """Taking it again in the same thread does not wait, and leaving the inner one keeps the outer one."""
    path = tmp_path / "lock"
    with measuring_lock(path=path):
        with measuring_lock(path=path):
            pass
        code = HOLDER.replace(
            "measuring_lock(", "measuring_lock(lambda message: print('waits', flush=True), "
        )
        other = subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert other.stdout.readline() == "waits\n"
    assert other.stdout.readline() == "held\n"
    end(other)


def test_the_lock_is_released_when_the_body_raises(tmp_path):
    """An exception in the body frees the lock for other processes."""
    path = tmp_path / "lock"
    with pytest.raises(ValueError, match="body"), measuring_lock(path=path):
        raise ValueError("body")
    end(holder(path))


def test_the_file_is_private_and_stays(tmp_path):
    """The file belongs to the user alone and is not deleted."""
    path = tmp_path / "lock"
    with measuring_lock(path=path):
        pass
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(sys.platform == "win32", reason="needs links")
def test_links_are_not_followed(tmp_path):
    """A symbolic link in the place of the file is refused, not followed."""
    target = tmp_path / "precious"
    target.write_text("data")
    (tmp_path / "lock").symlink_to(target)
    lock = measuring_lock(path=tmp_path / "lock")
    with pytest.raises(MeasureError, match=r"a file this user can open, received 'lock'.*remove it"), lock:
        pass
    (tmp_path / "lock").unlink()
    (tmp_path / "lock").hardlink_to(target)
    lock = measuring_lock(path=tmp_path / "lock")
    with pytest.raises(MeasureError, match="must be a plain file of this user, received 'lock'"), lock:
        pass
    assert target.read_text() == "data"


def test_the_default_file_is_one_per_user(tmp_path):
    """All sessions of a user on a machine use the same file, whatever their TMPDIR says."""
    code = "from pytest_optbench.measure.lock import lock_path; print(lock_path())"
    paths = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **extra},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for extra in ({}, {"TMPDIR": str(tmp_path)})
    }
    assert len(paths) == 1
    assert lock_path().name.startswith("pytest-optbench")
