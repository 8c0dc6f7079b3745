"""Test files for the plugin's end-to-end tests, and a runner that reads back what a run left."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# pytester forgets modules that a run in this process loaded; numpy cannot be loaded twice, and the rest takes time.
import jinja2  # noqa: F401
import pytest

import pytest_optbench.fixture
import pytest_optbench.session
import pytest_optbench.suite  # noqa: F401

ARMS = """
import time

def slow():
    return sum(i for i in range(4000))

def fast():
    return sum(range(4000))

def same():
    return sum(i for i in range(4000))

def wrong():
    return 1
"""

FASTER = ARMS + "\ndef test_gain(optbench):\n    optbench.compare(baseline=slow, optimized=fast)\n"
UNCHANGED = ARMS + "\ndef test_claim(optbench):\n    optbench.compare(baseline=slow, optimized=same)\n"
WRONG = ARMS + "\ndef test_claim(optbench):\n    optbench.compare(baseline=slow, optimized=wrong)\n"


HANG_S = 500
"""Longer than any run takes that waits for another one to measure, on a busy machine."""

# Plugins that would act on this very process, and one that loads much at the end of every run.
_HERE = tuple(
    word
    for name in ("codspeed", "asyncio", "timeout", "faulthandler", "hypothesispytest")
    for word in ("-p", f"no:{name}")
)


class Bench:
    """Writes test files into a pytester folder, runs pytest there and reads the documents."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.folder = pytester.path

    def file(self, text: str, name: str = "test_bench.py") -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def body(self, body: str) -> None:
        """Write a test file with the usual arms and these lines as the test's body."""
        lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
        self.file(f"import pytest\n{ARMS}\ndef test_claim(optbench):\n{lines}\n")

    def run(self, *args: str) -> pytest.RunResult:
        """Run with --optbench in a process of its own."""
        words = ("--optbench", "--optbench-seed=7", *args)
        return self._measured(lambda: self.pytester.runpytest_subprocess(*words, timeout=HANG_S))

    def run_here(self, *args: str) -> pytest.RunResult:
        """Run with --optbench in this process, for what does not depend on how pytest was started."""
        words = (*_HERE, "--optbench", "--optbench-seed=7", *args)
        return self._measured(lambda: self.pytester.runpytest_inprocess(*words))

    def _measured(self, run: Callable[[], pytest.RunResult]) -> pytest.RunResult:
        """Return what a run gives; with the folder as it was, run again where the A/A control alone decided.

        By design it stands out by chance in one run of a few thousand, on every machine.
        """
        before = self._decided()
        with tempfile.TemporaryDirectory() as spare:
            shutil.copytree(self.folder, spare, symlinks=True, dirs_exist_ok=True)
            result = run()
            chance = [
                one for one in self._decided() if one not in before and one["reasons"] == ["noisy-control"]
            ]
            if not chance:
                return result
            for path in self.folder.iterdir():
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            shutil.copytree(spare, self.folder, symlinks=True, dirs_exist_ok=True)
        return run()

    def _decided(self) -> list[dict[str, Any]]:
        """Return the decisions of all report folders."""
        indexes = [json.loads(path.read_text()) for path in self.folder.glob("*/index.json")]
        return [one for index in indexes if isinstance(index, list) for one in index]

    def plain(self, *args: str) -> pytest.RunResult:
        """Run without --optbench in a process of its own."""
        return self.pytester.runpytest_subprocess(*args, timeout=HANG_S)

    def plain_here(self, *args: str) -> pytest.RunResult:
        """Run without --optbench in this process."""
        return self.pytester.runpytest_inprocess(*_HERE, *args)

    def index(self, folder: str = "reports") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads((self.folder / folder / "index.json").read_text())
        return found

    def only(self, folder: str = "reports") -> dict[str, Any]:
        (document,) = self.index(folder)
        return document

    def reports(self, folder: str = "reports") -> list[Path]:
        return sorted((self.folder / folder).glob("*"))
