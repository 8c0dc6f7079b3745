"""What is source: neither what runs write nor what builds make."""

from __future__ import annotations

import pytest
from repositories import Repo
from runs import QUICK, run

from pytest_optbench.options import Settings
from pytest_optbench.revisions.benchmark import Question
from pytest_optbench.revisions.git import Repository
from pytest_optbench.revisions.outcome import Task
from pytest_optbench.revisions.sides import Invocation
from pytest_optbench.revisions.sources import written

MAKE = """
import secrets
from pathlib import Path
Path("src/pkg/made.py").write_text(f"# {secrets.token_hex()}\\n")
Path("src/pkg/made.bin").write_bytes(secrets.token_bytes(8))
"""


@pytest.fixture
def built(repo: Repo) -> Repo:
    """A project whose build makes other files every time, none of which git ignores."""
    repo.file("make.py", MAKE)
    repo.file("src/pkg/__init__.py", "from pkg.made import *\nfrom pkg.work import run\n")
    repo.file(".gitignore", "__pycache__/\n.pytest_cache/\n")
    repo.commit()
    return repo


def test_the_same_source_built_twice_is_an_error(built: Repo) -> None:
    """What the build of an earlier run and its reports left untracked in the working tree is no change."""
    built.git("commit", "--quiet", "--allow-empty", "-m", "nothing")
    built.file("src/pkg/made.py", "# of an earlier build")
    built.file("src/pkg/made.bin", "1")
    built.file("reports/index.json", "[]")
    done = run(built, *QUICK, "--optbench-build=python make.py", base="HEAD~1")
    assert done.code == 4
    assert (
        "the two sides must differ, but the working tree and the base revision hold the same files"
        in done.output
    )
    assert not (built.root / "reports" / "tests-test_speed-test_speed.json").exists()


def test_a_change_of_the_source_is_measured_whatever_the_build_makes(built: Repo) -> None:
    """A function that has changed is compared without any remark."""
    built.file("src/pkg/made.py", "# of an earlier build")
    built.file("src/pkg/work.py", "def run():\n    return sum(range(2000))\n")
    done = run(built, *QUICK, "--optbench-gate=off", "--optbench-build=python make.py")
    assert done.code == 0, done.output
    assert done.summary["notes"] == []


@pytest.mark.parametrize(
    ("given", "folders"),
    [
        (("reports", "../history"), ["history", "sub/reports"]),
        ((".", None), []),
        (("..", "s3://bucket/x"), []),
        (("../src", "/elsewhere"), []),
    ],
)
def test_folders_that_runs_write_into(repo: Repo, given: tuple[str, str | None], folders: list[str]) -> None:
    """Folders inside the repository count, not those above the tests, one that holds code, or another place."""
    git = Repository.of(repo.root)
    invocation = Invocation(repo.root, repo.root / "sub", repo.root, None, (), ())
    settings = Settings(report_dir=given[0], history=given[1])
    task = Task(git, git.head(), invocation, (), settings, 7, lambda wanted, info: Question(settings, {}, {}))
    assert written(task) == folders
