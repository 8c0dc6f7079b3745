"""A log in CI takes some lines for commands: nothing an author writes becomes one, in the output of a real run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from pytest_optbench.report.escape import console_lines

TEST = r"""
HOSTILE = "t\n::error::boom ##[error]z \x1b[31m\u202e"

def slow():
    return sum(range(1000))

def raising():
    raise ValueError(HOSTILE)

def test_different(optbench):
    optbench.compare(slow, lambda: 3, title=HOSTILE, group=HOSTILE)

def test_raising(optbench):
    optbench.compare(slow, raising, title=HOSTILE + "2")
"""


def test_no_line_of_a_run_is_a_command(tmp_path: Path) -> None:
    """Titles and messages of exceptions with line breaks and control characters are shown as text, also in JUnit."""
    (tmp_path / "test_hostile.py").write_text(TEST)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("GITHUB_", "CI"))}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--optbench",
        "--junitxml=j.xml",
        "-p",
        "no:cacheprovider",
    ]
    run = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )
    assert run.returncode == 1, run.stdout + run.stderr
    assert "REJECT t ::error::boom ## [error]z" in run.stdout
    assert "ValueError: t\n: :error::boom ## [error]z" in run.stdout  # the traceback keeps its lines
    commands = [line for line in run.stdout.splitlines() if line.lstrip().startswith("::") or "##[" in line]
    assert commands == []
    assert "\x1b[31m" not in run.stdout
    assert "\u202e" not in run.stdout
    cases = list(ElementTree.parse(tmp_path / "j.xml").getroot().iter("testcase"))
    assert [case.get("name") for case in cases] == ["test_different", "test_raising"]
    assert [
        each.get("value") for each in cases[0].iter("property") if each.get("name") == "optbench_title"
    ] == ["t ::error::boom ##[error]z \ufffd[31m\ufffd"]


def test_lines_stay_lines() -> None:
    """Each line of a longer text is made safe by itself."""
    assert console_lines("a\n  ::set-output x\r\nb") == "a\n: :set-output x\nb"
    assert console_lines("") == ""
    assert console_lines("µ\n…", "ascii") == "u\n..."
