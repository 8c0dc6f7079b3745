"""What is written can be published: no home folder, no name of a machine, no place of the project on the disk."""

from __future__ import annotations

import json
import shlex
import socket
import sys
from pathlib import Path

import pytest
from plugin_bench import ARMS, Bench

FAILING = (
    "import os, socket, sys\nfrom pathlib import Path\n"
    + ARMS
    + """
def failing():
    if WHERE:
        print(f"printed from {Path.home()}/out")
        raise OSError(f"cannot read {Path.home()}/secret on {socket.gethostname()}, asked by {__file__}")
    return slow()

def dying():
    if WHERE:
        os.write(2, f"lost {Path.home()}/secret on {socket.gethostname()}, asked by {__file__}".encode())
        os._exit(3)
    return slow()

def test_failing(optbench):
    optbench.compare(baseline=slow, optimized=failing, notes=f"see {Path.home()}/notes")

def test_dying(optbench):
    optbench.compare(baseline=slow, optimized=dying)
"""
)
IN_CHILD = "'OPTBENCH_PADDING' in os.environ"


def written(folder: Path) -> dict[str, str]:
    """Return the text of every file below ``folder``."""
    return {str(path): path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()}


def check(folder: Path, reports: Path) -> None:
    """Fail when any file of the reports names a place of this machine."""
    found = written(reports)
    assert {".json", ".md", ".html"} <= {Path(name).suffix for name in found}
    for name, text in found.items():
        for place in (f"{Path.home()}/", f"on {socket.gethostname()}", str(folder)):
            assert place not in text, name


def check_outlets(folder: Path, result: pytest.RunResult) -> None:
    """Fail when what the plugin said on the terminal or in the JUnit file names a place of this machine."""
    said = result.stdout.str().partition("= FAILURES =")[
        2
    ]  # above is pytest's own header with the root folder
    junit = (folder / "junit.xml").read_text("utf-8").partition("<testcase")[2]  # and its host name
    assert "asked by test_bench.py" in said
    for text in (said, junit):
        for place in (f"{Path.home()}/", f"on {socket.gethostname()}", str(folder)):
            assert place not in "\n".join(line for line in text.splitlines() if "generated xml" not in line)


@pytest.mark.parametrize(("isolation", "where"), [("inline", "True"), ("process", IN_CHILD)])
def test_a_failing_arm_names_no_place(
    bench: Bench,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    isolation: str,
    where: str,
) -> None:
    """What an arm raises, here or in a process of its own, is told without home, host and project folder."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("ada")))  # that of pytester is the project itself
    bench.file(FAILING.replace("WHERE", where))
    tests = ["-k", "failing"] if isolation == "inline" else []
    options = ["-p", "pytest_optbench.plugin", f"--optbench-isolation={isolation}", "--optbench-quick"]
    result = bench.run(*options, "--junitxml=junit.xml", "-o", "junit_logging=all", *tests)
    check_outlets(bench.folder, result)
    documents = bench.index()
    assert len(documents) == (1 if tests else 2)
    for document in documents:
        (said,) = [each["message"] for each in document["diagnostics"] if each["level"] == "error"]
        assert "~/secret on (host), asked by test_bench.py" in said
    assert bench.index()[-1]["notes"] in ("see ~/notes", None)
    check(bench.folder, bench.folder / "reports")


def test_a_failing_command_names_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command writes to its standard error is told without home, host and project folder."""
    from pytest_optbench import cli

    monkeypatch.chdir(tmp_path)
    code = (
        "import os, pathlib, socket; "
        "words = f'{pathlib.Path.home()}/secret on {socket.gethostname()}, {os.getcwd()}/x'; "
        "raise SystemExit(words)"
    )
    status = cli.run(
        ["run", "--baseline=true", f"--optimized={shlex.join([sys.executable, '-c', code])}"],
        sys.stdout,
        sys.stderr,
    )
    assert status == 1
    (document,) = json.loads((tmp_path / "reports" / "index.json").read_text())
    assert "it said: ~/secret on (host), x" in document["diagnostics"][0]["message"]
    check(tmp_path, tmp_path / "reports")


def test_the_names_of_settings_are_cleaned_and_none_is_lost(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home folder in a key becomes ``~``, and keys that become alike as text are kept apart by a number."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("ada")))  # that of pytester is the project itself
    config = '{1: "number", "1": "text", f"{Path.home()}/data": [{None: 1, "None": 2}]}'
    bench.body(f"from pathlib import Path\noptbench.compare(baseline=slow, optimized=same, config={config})")
    bench.run("--optbench-quick", "--optbench-gate=off")
    assert bench.only()["config"] == {
        "1 (2)": "number", "1": "text", "~/data": [{"None (2)": 1, "None": 2}],
    }  # fmt: skip
