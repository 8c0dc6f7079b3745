"""Which code a child says it runs."""

from __future__ import annotations

import hashlib
import importlib
import sys
import zipfile
from pathlib import Path

import pytest

from pytest_optbench.child.modules import imported
from pytest_optbench.measure.channel import UNREADABLE


def test_what_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module whose file is gone is reported without a hash, one inside an archive with that of its source."""
    (tmp_path / "optbench_gone.py").write_text("x = 1")
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("optbench_zipped.py", "x = 2")
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "archive.zip"), *sys.path])
    for name in ("optbench_gone", "optbench_zipped"):
        monkeypatch.setitem(sys.modules, name, importlib.import_module(name))
    (tmp_path / "optbench_gone.py").unlink()
    assert {name: sha for name, (_, sha) in imported([tmp_path], []).items()} == {
        "optbench_gone": UNREADABLE,
        "optbench_zipped": hashlib.sha256(b"x = 2").hexdigest(),
    }
