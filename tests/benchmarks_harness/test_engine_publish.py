"""The engine's figures: every measurement can be run by name, and its page tells how it was made."""

from __future__ import annotations

import contextlib
import io
import json
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # appended, so that an installed package is never hidden by the checkout

from benchmarks.engine import publish  # noqa: E402


def help_of(head: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what ``python HEAD --help`` prints, run here: the imports of one script serve the next."""
    module = head[0] == "-m"
    monkeypatch.setattr(sys, "argv", [*head[1 if module else 0 :], "--help"])
    monkeypatch.syspath_prepend(ROOT if module else (ROOT / head[0]).parent)
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), pytest.raises(SystemExit) as end:  # noqa: PT012
        if module:
            runpy.run_module(head[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(str(ROOT / head[0]), run_name="__main__")
    assert end.value.code in (0, None)
    return shown.getvalue()


def test_every_measurement_takes_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is run exists: each script prints its help with the options that are passed to it."""
    for name, (_, arguments) in publish.MEASUREMENTS.items():
        head = arguments[:3] if arguments[0] == "-m" else arguments[:1]
        with monkeypatch.context() as here:
            shown = help_of(head, here)
        missing = [word for word in arguments if word.startswith("--") and word not in shown]
        assert missing == [], name


def test_a_page_holds_command_output_and_status(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The page repeats what was printed under the command that printed it; a failure is kept and returned."""
    program = "import sys; print('| a | b |'); open(sys.argv[1], 'w').write('{}'); sys.exit(3)"
    monkeypatch.setattr(publish, "ROOT", tmp_path)
    monkeypatch.setattr(publish, "FOLDER", tmp_path / "figures")
    monkeypatch.setitem(publish.MEASUREMENTS, "small", ("A small one", ("-c", program, publish.JSON)))
    assert publish.main(["small"]) == 1
    page = (tmp_path / "figures/small.md").read_text()
    assert page.startswith("# A small one\n\n- command: `python -c import sys;")
    assert "- exit status: 3\n\n| a | b |\n" in page
    assert json.loads((tmp_path / "figures/small.json").read_text()) == {}


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt measurement is an error that lists the known ones."""
    with pytest.raises(SystemExit) as stop:
        publish.main(["dispatsch"])
    assert stop.value.code == 2
    assert "no such measurement: dispatsch; choose of dispatch, sharing" in capsys.readouterr().err
