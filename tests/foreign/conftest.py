from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_optbench import cli

SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture
def samples() -> Path:
    """Return the folder of files written by the tools themselves."""
    return SAMPLES


@pytest.fixture
def optbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs the command line in an empty folder: (exit status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: object) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        status = cli.run([str(each) for each in arguments], out, err)
        return status, out.getvalue(), err.getvalue()

    return run


@pytest.fixture
def written(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """Return a function that reads the decisions of the index back."""
    return lambda: json.loads((tmp_path / "reports" / "index.json").read_text())
