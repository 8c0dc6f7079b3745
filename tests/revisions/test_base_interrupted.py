"""A run that is ended from outside leaves nothing behind: no worktree, no process, no summary to be mistaken."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from repositories import Repo
from runs import command


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_kill(repo: Repo, own_temporary_folder: Path, number: signal.Signals) -> None:
    """Ended in the middle of measuring, the run removes worktree and children and never looks complete.

    What it will cost is on the pipe before it measures, buffered as a CI log is.
    """
    repo.file("src/pkg/work.py", "import time\n\ndef run():\n    time.sleep(0.3)\n")
    repo.file("reports/summary.json", '{"verdict": "ACCEPT"}')
    before = repo.state()
    process = subprocess.Popen(
        command(),
        cwd=repo.root,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONUNBUFFERED": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "pairs of processes" in line:
                break
        else:
            raise AssertionError(said)
        running = psutil.Process(process.pid)
        while len(running.children(recursive=True)) < 2:  # it may wait for the machine to be free
            assert process.poll() is None, said
            time.sleep(0.1)
        time.sleep(1)
        children = running.children(recursive=True)
        process.send_signal(number)
        process.stdout.read()
        code = process.wait(240)
    assert code == (pytest.ExitCode.INTERRUPTED if number == signal.SIGINT else -number)
    assert len(children) >= 2
    _, alive = psutil.wait_procs(children, timeout=120)
    assert alive == []
    assert list(own_temporary_folder.glob("optbench-*")) == []
    after = repo.state()
    assert {**after, "status": ""} == {**before, "status": ""}
    summary = repo.root / "reports/summary.json"
    assert not summary.exists() or '"verdict": "ERROR"' in summary.read_text()
