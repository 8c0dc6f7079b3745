"""Folders for temporary files: made with their owner's record, removed by the next run when the owner is gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pytest_optbench.measure import temporary
from pytest_optbench.measure.process import ProcessPairs

HOLDER = """
import time
from pytest_optbench.measure import temporary
print(temporary.make(), flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of its own, here and in processes."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def holder() -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGQUIT])
def test_what_a_killed_run_left_is_removed_by_the_next(folder: Path, number: signal.Signals) -> None:
    """The next driver of pairs removes the folder of a dead one, and leaves that of a living one alone."""
    living, used = holder()
    killed, left = holder()
    with living, killed:
        (left / "inside").mkdir()
        killed.send_signal(number)
        assert killed.wait(30) == -number
        assert left.exists()
        with ProcessPairs([], looks=(4,), seed=1):
            assert not left.exists()
            assert used.exists()
            assert len(list(folder.glob("optbench-*"))) == 2
        living.kill()
    assert list(folder.glob("optbench-*")) == [used]


def test_a_number_given_to_another_process_is_a_dead_owner(folder: Path) -> None:
    """A process that started at another time than the record says is not the owner."""
    home = temporary.make()
    record = json.loads((home / temporary.OWNER).read_text())
    assert temporary.prune() == []
    (home / temporary.OWNER).write_text(json.dumps({**record, "started": record["started"] - 60}))
    assert temporary.prune() == [home]
    assert not home.exists()


def test_nothing_is_removed_on_a_guess(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Links, files, folders without a record, with a linked, broken or foreign one stay as they are."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    dead = temporary.make()
    record = json.loads((dead / temporary.OWNER).read_text())
    gone = json.dumps({**record, "started": 0.0})
    (dead / temporary.OWNER).unlink()
    dead.rmdir()
    (elsewhere / temporary.OWNER).write_text(gone)
    (folder / "optbench-link").symlink_to(elsewhere)
    (folder / "optbench-file").write_text("x")
    for name, text in {
        "none": None, "broken": "{", "list": "[]", "foreign": json.dumps({**record, "started": 0.0, "namespace": "?"}),
    }.items():  # fmt: skip
        (folder / f"optbench-{name}").mkdir()
        if text is not None:
            (folder / f"optbench-{name}" / temporary.OWNER).write_text(text)
    (folder / "optbench-linked").mkdir()
    (folder / "optbench-linked" / temporary.OWNER).symlink_to(elsewhere / temporary.OWNER)
    (folder / "optbench-pipe").mkdir()
    os.mkfifo(folder / "optbench-pipe" / temporary.OWNER)
    before = sorted(folder.rglob("*"))
    assert temporary.prune() == []
    assert sorted(folder.rglob("*")) == before
    assert (elsewhere / temporary.OWNER).read_text() == gone


def test_links_inside_are_removed_and_not_followed(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Removing a dead owner's folder leaves alone what its links lead to."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "kept").write_text("x")
    home = temporary.make()
    record = json.loads((home / temporary.OWNER).read_text())
    (home / temporary.OWNER).write_text(json.dumps({**record, "started": 0.0}))
    (home / "link").symlink_to(elsewhere)
    assert temporary.prune() == [home]
    assert (elsewhere / "kept").exists()
