"""Where a verdict is told besides the exit status: GitHub, the terminal line, the header, user templates."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from plugin_bench import FASTER, HANG_S, UNCHANGED, Bench

from pytest_optbench.cli import run
from pytest_optbench.progress import TerminalLine, bar, eta
from pytest_optbench.suite import demote


def test_a_demoted_decision_says_why() -> None:
    """An ACCEPT that falls to the correction for many decisions keeps its figures and names the new reason."""
    document = {
        "verdict": "ACCEPT",
        "reasons": ["demonstrated"],
        "summary": "ACCEPT x: time saved 13%; 15 pairs, look 2 of 5; demonstrated: the whole interval clears it",
    }
    demote(document)
    assert (document["verdict"], document["reasons"]) == ("INCONCLUSIVE", ["multiplicity"])
    assert document["summary"] == (
        "INCONCLUSIVE x: time saved 13%; 15 pairs, look 2 of 5; "
        "multiplicity: shown alone, but not once the number of decisions of the run is taken into account"
    )


@pytest.mark.parametrize("options", ["-p no:terminal", "", "-q", "-n1"])
def test_github_gets_annotations_and_a_summary(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    """In a GitHub job each decision is annotated, on a line of its own, and the table goes to the step summary."""
    summary = bench.folder / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    bench.file(UNCHANGED)
    result = bench.run(*options.split())
    assert result.ret == 1
    (line,) = [line for line in result.outlines if line.startswith("::")]
    level = {"REJECT": "error", "INCONCLUSIVE": "warning"}[bench.only()["verdict"]]
    assert line.startswith(f"::{level} file=test_bench.py,line=")
    assert bench.only()["verdict"] in line
    assert r"test\_claim" in summary.read_text()


def test_a_step_summary_that_cannot_be_written_ends_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job whose container lacks the folder of the summary keeps its exit status and its files, and says so."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(bench.folder / "nowhere" / "summary.md"))
    bench.file(FASTER)
    result = bench.run("--optbench-quick", "--optbench-gate=off", "--junitxml=junit.xml")
    assert result.ret == 0
    assert (bench.folder / "junit.xml").exists()
    assert len(bench.index()) == 1
    result.stdout.fnmatch_lines(["*the step summary (GITHUB_STEP_SUMMARY) cannot be written: No such file*"])


def test_elsewhere_nothing_of_github_is_printed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside a GitHub job no workflow command is printed."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    bench.file(UNCHANGED)
    assert not [line for line in bench.run_here().outlines if line.startswith("::")]


def test_the_table_names_verdict_and_report(bench: Bench) -> None:
    """The terminal summary shows each decision with its report."""
    bench.file(FASTER)
    result = bench.run_here()
    result.stdout.fnmatch_lines(
        ["optbench: 10 to 40 pairs, minimum speedup 5 %, gate strict, reports in reports", "*optbench*"]
    )
    result.stdout.fnmatch_lines(["*ACCEPT*test_gain*", "*reports/test_bench-test_gain.md*"])
    result.stdout.fnmatch_lines(["  reports/index.html: all decisions of the folder, with charts"])
    assert 'href="#test_bench-test_gain"' in (bench.folder / "reports" / "index.html").read_text()


def test_users_templates_replace_the_shipped_ones(bench: Bench) -> None:
    """A folder with decision.md.j2 replaces the report; a broken one is said before measuring."""
    (bench.folder / "mine").mkdir()
    template = bench.folder / "mine" / "decision.md.j2"
    template.write_text("{{ doc.verdict }} only\n")
    bench.file(FASTER)
    assert bench.run_here("--optbench-templates=mine").ret == 0
    assert (bench.folder / "reports" / "test_bench-test_gain.md").read_text() == "ACCEPT only\n"
    template.write_text("{% if %}")
    result = bench.run_here("--optbench-templates=mine")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*decision.md.j2*"])


def test_reports_are_written_again_from_their_json(bench: Bench) -> None:
    """`optbench report` restores the same bytes from the JSON files alone."""
    bench.file(FASTER)
    bench.run_here()
    report = bench.folder / "reports" / "test_bench-test_gain.md"
    before = report.read_bytes()
    report.unlink()
    out, err = io.StringIO(), io.StringIO()
    assert run(["report", str(bench.folder / "reports")], out, err) == 0
    assert report.read_bytes() == before
    assert out.getvalue().startswith("1 decisions written again")
    (bench.folder / "reports" / "broken.json").write_text('{"schema": "optbench/decision/1", "id"')
    assert run(["report", str(bench.folder / "reports")], out, err) == 1
    assert "broken.json" in err.getvalue()
    assert run(["report", str(bench.folder / "nothing")], out, err) == 1
    assert "the report folder must exist" in err.getvalue()


def test_a_folder_without_decisions_is_no_report_folder(tmp_path: Path) -> None:
    """`optbench report` on a wrong folder fails and leaves nothing in it."""
    out, err = io.StringIO(), io.StringIO()
    assert run(["report", str(tmp_path)], out, err) == 1
    assert "a report folder must hold decisions" in err.getvalue()
    assert not list(tmp_path.iterdir())


def test_reason_codes_are_explained() -> None:
    """`optbench explain` says what a code means and refuses one that does not exist."""
    out, err = io.StringIO(), io.StringIO()
    assert run(["explain", "futile"], out, err) == 0
    assert "More pairs would hardly help" in out.getvalue()
    assert run(["explain", "nonsense"], out, err) == 2
    assert "no such reason code: nonsense; `optbench explain` lists them all" in err.getvalue()
    assert run(["explain"], out, err) == 0
    assert run([], out, err) == 2


@pytest.mark.parametrize(
    ("done", "planned", "expected"),
    [
        (0, 40, "[....................]"),
        (10, 40, "[#####...............]"),
        (40, 40, "[####################]"),
    ],
)
def test_the_bar_fills_with_the_pairs(done: int, planned: int, expected: str) -> None:
    """Twenty places stand for all planned pairs."""
    assert bar(done, planned) == expected


@pytest.mark.parametrize(
    ("done", "elapsed_s", "expected"), [(10, 5.0, "15 s"), (1, 10.0, "6 min"), (0, 0.0, "0 s")]
)
def test_the_time_left_extrapolates(done: int, elapsed_s: float, expected: str) -> None:
    """Equal steps are assumed for the pairs that are left of 40."""
    assert eta(done, 40, elapsed_s) == expected


class Reporter:
    """Just what the line needs of pytest's terminal reporter."""

    class _tw:  # noqa: N801 - pytest names it so
        fullwidth = 60

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str, *, flush: bool) -> None:
        self.text += text


def test_the_line_is_rewritten_and_erased() -> None:
    """Each drawing starts at the line's beginning, is cut to the width and leaves nothing behind."""
    reporter = Reporter()
    line = TerminalLine(reporter, None, "a title that is much longer than forty characters are")
    line.phase("calibrating")
    line.erase()
    first, second, _ = reporter.text.split("\r")[1:]
    assert first == "a title that is much longer than forty …: calibrating"
    assert second == " " * len(first)


def test_a_terminal_shows_progress(bench: Bench) -> None:
    """On a terminal the line shows pairs and estimate; the flag turns it off."""
    pexpect = pytest.importorskip("pexpect", reason="drives a terminal")
    bench.file(FASTER)
    for flag, shown in (("--optbench-seed=1", True), ("--optbench-no-progress", False)):
        child = pexpect.spawn(
            f"{sys.executable} -m pytest --optbench -p no:cacheprovider {flag}",
            cwd=str(bench.folder),
            timeout=HANG_S,
            encoding="utf-8",
        )
        child.expect(pexpect.EOF)
        assert ("pairs about" in child.before) is shown
        child.close()


_HOLD = """
import sys
from pytest_optbench.measure import measuring_lock
with measuring_lock():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("where", ["suite", "command"])
def test_a_log_says_what_a_run_waits_for(bench: Bench, where: str) -> None:
    """Where no terminal shows progress, waiting for another session is a line, so that it is not taken for a hang."""
    bench.file(FASTER)
    tool = "import sys; from pytest_optbench.cli import main; sys.exit(main())"
    command = {
        "suite": [sys.executable, "-m", "pytest", "--optbench", "-q", "-p", "no:cacheprovider"],
        "command": [sys.executable, "-c", tool, "run", "--baseline", "true", "--optimized", "false"],
    }[where]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": bench.folder}
    with subprocess.Popen([sys.executable, "-c", _HOLD], **pipes) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with subprocess.Popen(command, stderr=subprocess.STDOUT, **pipes) as waiting:
            assert waiting.stdout is not None
            lines = iter(waiting.stdout.readline, "")
            expected = (
                f"optbench: waiting for another measuring session on this machine (process {holder.pid})\n"
            )
            found = expected in lines
            holder.communicate()
            waiting.communicate()
    assert found
