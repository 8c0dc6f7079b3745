"""Paths and names with every kind of odd character, on both sides of a comparison of revisions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from repositories import Repo
from runs import QUICK, run

# pytest cannot remember ids that are not UTF-8 itself
QUIET = (*QUICK, "--optbench-gate=off", "--optbench-no-progress", "-p", "no:cacheprovider")
SUITE = """
import pkg
import pytest

@pytest.mark.parametrize("x", ["$HOME %s [x]::y/../z 'q' \\"d\\" -é\\n\\0\\ud800"])
def test_speed(benchmark, x):
    benchmark(pkg.run)
"""


@pytest.mark.parametrize(
    ("folder", "file"),
    [
        ("a$HOME/pri$ce ${PATH} ~", "tests/test_$HOME.py"),
        ("a [x]%s{y} 'q' \"d\" é雪\n-", "tests/-test [x]::y%s 'q' \"d\" é雪\n.py"),
        ("-a::[x]:c", "tests/test_speed.py"),
        ("a\udce9", "tests/test_\udce9.py"),
    ],
    ids=["variables", "punctuation", "pytest's own", "not UTF-8"],
)
def test_odd_characters_are_no_obstacle(tmp_path: Path, folder: str, file: str) -> None:
    """In the project's path, the name of the test file and the id of the test: it is measured on both sides."""
    repo = Repo(tmp_path / folder)
    repo.file("src/pkg/__init__.py", "def run():\n    return sum(i for i in range(2000))\n")
    repo.file(file, SUITE)
    repo.file("pytest.ini", "[pytest]\npythonpath = src\npython_files = *.py\n")
    repo.file(".gitignore", "__pycache__/\nreports/\n.pytest_cache/\n")
    repo.commit()
    repo.file("src/pkg/__init__.py", "def run():\n    return sum(range(2000))\n")
    done = run(repo, "tests", *QUIET)
    assert done.code == 0, done.output
    (document,) = json.loads((done.reports / "index.json").read_text())
    assert document["id"].startswith(f"{file}::test_speed[")
    assert len(document["pairs"]) == 4
