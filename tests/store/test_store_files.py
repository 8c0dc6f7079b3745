"""Files are replaced whole or not at all, inside their folder, by one writer at a time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_optbench.store import StoreError, check_writable
from pytest_optbench.store.files import LOCK_NAME, STALE_S, folder_lock, read, replace


def run(code: str, *args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(".tmp")]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder every user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="optbench-test-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def without_privileges(action: str, folder: Path) -> str:
    """Return the error of ``action`` on ``folder`` run by an ordinary user, "" when there is none."""
    code = f"""
import fcntl, os, sys
from pathlib import Path
from pytest_optbench.store import StoreError, check_writable
from pytest_optbench.store.files import replace
from pytest_optbench.store.folder import stem_for
folder = Path(sys.argv[1])
if os.geteuid() == 0:
    os.setuid(65534)
try:
    {action}
except StoreError as error:
    print(error)
"""
    done = run(code, folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_file_is_created_and_replaced(tmp_path: Path) -> None:
    """The new contents stand in the old file's place and nothing else is left in the folder."""
    replace(tmp_path, "a.md", b"one")
    path = replace(tmp_path, "a.md", b"two")
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.md"]


def test_files_follow_the_umask(tmp_path: Path) -> None:
    """Reports are as readable as any other file, not private as temporary files are."""
    old = os.umask(0o022)
    try:
        assert replace(tmp_path, "a.md", b"").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(old)


@pytest.mark.parametrize("name", ["", ".", "..", "../a.md", "/tmp/a.md", "a/b.md", "a\\b.md", "a\0.md"])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    """Only a plain file name is written."""
    with pytest.raises(StoreError, match="must be a plain file name inside"):
        replace(tmp_path, name, b"x")


def test_a_link_in_a_reports_place_is_refused(tmp_path: Path) -> None:
    """What a link points at is neither overwritten nor replaced."""
    outside = tmp_path / "outside"
    outside.write_text("precious")
    folder = tmp_path / "reports"
    folder.mkdir()
    (folder / "a.md").symlink_to(outside)
    with pytest.raises(StoreError, match=r"a\.md is a symbolic link; remove the link"):
        replace(folder, "a.md", b"x")
    with pytest.raises(StoreError, match=r"a\.md is a symbolic link"):
        check_writable(folder)
    assert outside.read_text() == "precious"
    assert (folder / "a.md").is_symlink()


def test_a_link_in_the_locks_place_is_refused(tmp_path: Path) -> None:
    """The lock file cannot be made to create or open a file elsewhere."""
    (tmp_path / LOCK_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="cannot be written"), folder_lock(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_links_and_devices_are_not_read(tmp_path: Path) -> None:
    """Reading follows no link and never waits for a pipe."""
    (tmp_path / "real").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match="link cannot be read: it is a symbolic link"):
        read(tmp_path / "link")
    with pytest.raises(StoreError, match="pipe is not a regular file"):
        read(tmp_path / "pipe")
    with pytest.raises(StoreError, match="gone cannot be read: No such file"):
        read(tmp_path / "gone")


def test_the_folder_is_created(tmp_path: Path) -> None:
    """A folder that does not exist yet is made, with its parents, and left empty but for the lock."""
    folder = tmp_path / "a" / "b"
    check_writable(folder)
    check_writable(folder)
    assert [path.name for path in folder.iterdir()] == [LOCK_NAME]


def test_a_file_in_the_folders_place_is_an_error(tmp_path: Path) -> None:
    """The message names the folder and the option that changes it."""
    (tmp_path / "reports").write_text("a file")
    for folder in (tmp_path / "reports", tmp_path / "reports" / "deeper"):
        with pytest.raises(
            StoreError, match=r"report folder .*reports.* cannot be created: .*--optbench-report-dir"
        ):
            check_writable(folder)
    assert (tmp_path / "reports").read_text() == "a file"


def test_a_folder_that_is_not_writable_is_an_error(open_folder: Path) -> None:
    """Without write permission the check fails before anything is measured, naming folder and cure."""
    open_folder.chmod(0o555)
    message = without_privileges("check_writable(folder)", open_folder)
    assert f"the report folder {open_folder} cannot be written" in message
    assert "Permission denied" in message
    assert "--optbench-report-dir=DIR" in message
    message = without_privileges("check_writable(folder)", open_folder / "new")
    assert f"the report folder {open_folder / 'new'} cannot be created: Permission denied" in message


def test_a_decision_that_cannot_be_read_is_not_taken_for_another(open_folder: Path) -> None:
    """Its attempts have to count, so the run stops instead of writing the decision under another name."""
    replace(open_folder, "t.json", b"{}")
    open_folder.chmod(0o777)
    assert without_privileges("stem_for(folder, 't')", open_folder) == ""
    (open_folder / "t.json").chmod(0o000)
    message = without_privileges("stem_for(folder, 't')", open_folder)
    assert "t.json cannot be read: Permission denied" in message


def test_losing_the_permission_later_keeps_the_old_file(open_folder: Path) -> None:
    """A write that fails leaves the earlier report as it was."""
    replace(open_folder, "a.md", b"old")
    open_folder.chmod(0o555)
    message = without_privileges("replace(folder, 'a.md', b'new')", open_folder)
    assert "a.md cannot be written: Permission denied" in message
    assert (open_folder / "a.md").read_bytes() == b"old"


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    """When the system refuses half-way through, the old contents stay and no temporary file is left."""
    replace(tmp_path, "a.md", b"old")
    code = """
import resource, sys
from pathlib import Path
from pytest_optbench.store.files import replace
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    replace(Path(sys.argv[1]), "a.md", b"x" * 1_000_000)
except Exception as error:
    print(type(error).__name__, error)
"""
    done = run(code, tmp_path)
    assert done.stdout.startswith("StoreError"), done
    assert "a.md cannot be written: File too large" in done.stdout
    assert (tmp_path / "a.md").read_bytes() == b"old"
    assert leftovers(tmp_path) == []


def test_a_killed_writer_never_leaves_half_a_file(tmp_path: Path) -> None:
    """Killed at any moment, a writer leaves one whole version of the file and no lasting lock."""
    code = """
import sys
from pathlib import Path
from pytest_optbench.store.files import folder_lock, replace
print("ready", flush=True)
for index in range(10**9):
    with folder_lock(Path(sys.argv[1])):
        replace(Path(sys.argv[1]), "a.md", bytes([97 + index % 26]) * 300_000)
"""
    for attempt in range(4):
        writer = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + 60
        while not (tmp_path / "a.md").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.03 + 0.011 * attempt)
        writer.kill()
        writer.wait()
        writer.stdout.close()
        data = (tmp_path / "a.md").read_bytes()
        assert len(data) == 300_000
        assert len(set(data)) == 1
        with folder_lock(tmp_path, timeout_s=30):
            pass


def test_stale_temporary_files_are_swept(tmp_path: Path) -> None:
    """What a killed writer left behind goes away later; a file that may still be in use does not."""
    stale, fresh = tmp_path / ".optbench-1-a.tmp", tmp_path / ".optbench-2-b.tmp"
    stale.write_text("")
    fresh.write_text("")
    old = time.time() - 2 * STALE_S
    os.utime(stale, (old, old))
    with folder_lock(tmp_path):
        pass
    assert leftovers(tmp_path) == [fresh.name]


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    """A second writer waits for the first, and says who it waited for when its patience ends."""
    with (
        folder_lock(tmp_path),
        pytest.raises(
            StoreError, match=r"must be free within 0\.05 s, but another run holds .*optbench\.lock"
        ),
        folder_lock(tmp_path, timeout_s=0.05),
    ):
        pass
    entered = threading.Event()

    def second() -> None:
        with folder_lock(tmp_path, timeout_s=60):
            entered.set()

    thread = threading.Thread(target=second)
    with folder_lock(tmp_path):
        thread.start()
        assert not entered.wait(0.1)
    thread.join(60)
    assert entered.is_set()


def test_the_lock_is_released_when_the_work_fails(tmp_path: Path) -> None:
    """An exception inside does not keep the folder locked."""
    with pytest.raises(ZeroDivisionError), folder_lock(tmp_path):
        raise ZeroDivisionError
    with folder_lock(tmp_path, timeout_s=0):
        pass
