"""The build step."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil
import pytest

from pytest_optbench.revisions.building import build
from pytest_optbench.revisions.errors import RevisionError


def test_a_build_runs_in_the_tree(tmp_path: Path) -> None:
    """The command sees the tree as its working directory and the lane's environment."""
    code = "import os; open('built', 'w').write(os.environ['MARK'] + os.environ['PWD'])"
    build(f'{sys.executable} -c "{code}"', tmp_path, {**os.environ, "MARK": "x"}, "baseline")
    assert (tmp_path / "built").read_text() == f"x{tmp_path}"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("sh -c 'echo compiler says no; exit 3'", r"status 3 in the baseline tree:\ncompiler says no"),
        ("no-such-program", "received 'no-such-program'.*sh -c"),
        ("'", "must be a command line"),
        (" ", "must name a command"),
    ],
)
def test_a_build_that_fails_is_an_error(tmp_path: Path, command: str, words: str) -> None:
    """A command that fails or cannot be run shows why."""
    with pytest.raises(RevisionError, match=words):
        build(command, tmp_path, os.environ, "baseline")


def test_what_a_build_leaves_running_is_ended(tmp_path: Path) -> None:
    """A daemon of the build, in a session of its own and with the output open, neither delays it nor outlives it."""
    build(
        "sh -c 'setsid -f sh -c \"echo \\$\\$ > pid; exec sleep 600\"; while ! test -s pid; do :; done'",
        tmp_path,
        os.environ,
        "baseline",
    )
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
