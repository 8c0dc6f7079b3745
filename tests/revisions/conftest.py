"""Fixtures of the tests of revisions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from repositories import IDENTITY, Repo


@pytest.fixture(autouse=True)
def own_temporary_folder(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Give each test its own folder for temporary files and a git without the user's configuration."""
    folder = tmp_path_factory.mktemp("system-temporary")
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)
    yield folder
    tempfile.tempdir = None


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """Return a repository with one commit of a small package in ``src``."""
    made = Repo(tmp_path / "project")
    made.file("src/pkg/__init__.py", "from pkg.work import run\n")
    made.file("src/pkg/work.py", "def run():\n    return sum(i for i in range(2000))\n")
    made.file("tests/test_speed.py", "import pkg\n\ndef test_speed(benchmark):\n    benchmark(pkg.run)\n")
    made.file(
        "pyproject.toml",
        "[project]\nname = 'pkg'\nversion = '1'\n[tool.pytest.ini_options]\npythonpath = 'src'\n",
    )
    made.file(".gitignore", "__pycache__/\nreports/\n.pytest_cache/\n*.so\n")
    made.commit("first")
    return made
