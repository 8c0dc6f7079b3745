"""A run in pairs of processes that is ended from outside leaves nothing behind: no process, no file, no verdict."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

LONG = """
import os
import time

def wait():
    time.sleep(0.3)

if os.environ.get("OPTBENCH_PADDING"):  # in a child: leave a daemon behind, out of its group and session
    os.system("setsid -f sh -c 'echo $$ >> daemons; exec sleep 600'")

def test_wait(optbench):
    optbench.compare(baseline=wait, optimized=lambda: time.sleep(0.3))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_ctrl_c_and_kill(tmp_path: Path, number: signal.Signals) -> None:
    """Ended in the middle of measuring, the run removes children, what they started and files, and decides nothing.

    After a kill that nothing can catch the processes are gone all the same; nobody is left to remove the files.
    """
    temporary, project = tmp_path / "temporary", tmp_path / "project"
    temporary.mkdir()
    project.mkdir()
    (project / "test_wait.py").write_text(LONG)
    environment = {
        **os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONUNBUFFERED": "", "TMPDIR": str(temporary),
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "pytest_optbench.plugin", "--optbench",
         "--optbench-isolation=process"],
        cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    with process:
        running = psutil.Process(process.pid)
        daemons = project / "daemons"
        while (
            not daemons.exists() or len(daemons.read_text().split()) < 2
        ):  # it may wait for the machine to be free
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.1)
        time.sleep(1)
        children = running.children(recursive=True)
        folders = list(temporary.glob("optbench-*"))
        process.send_signal(number)
        said = process.communicate(timeout=240)[0]
    assert process.returncode == (pytest.ExitCode.INTERRUPTED if number == signal.SIGINT else -number), said
    left = []
    for pid in daemons.read_text().split():
        with contextlib.suppress(psutil.NoSuchProcess):
            left.append(psutil.Process(int(pid)))
    assert len(children) >= 2
    assert folders
    _, alive = psutil.wait_procs([*children, *left], timeout=120)
    assert alive == []
    assert number == signal.SIGKILL or list(temporary.iterdir()) == []
    assert {path.name for path in (project / "reports").iterdir()} <= {".optbench.lock"}
