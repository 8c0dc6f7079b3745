"""Terminal, GitHub and JUnit: the verdict reaches each, hostile text reaches none as a command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import samples
from markdown_it import MarkdownIt

from pytest_optbench.report import github, junit, terminal
from pytest_optbench.report.escape import width

DOCS = [samples.decision(), samples.not_equivalent(), samples.inconclusive()]


def test_the_terminal_table() -> None:
    """One aligned line per decision with verdict, title, gain, interval, pairs, noise floor and report."""
    lines = terminal.table(DOCS, "reports", columns=200)
    assert [str(line).split() for line in lines[:1]] == [
        ["verdict", "decision", "saved", "=", "ratio", "interval", "pairs", "noise", "report"]
    ]
    assert re.split(r"  +", lines[1]) == [
        "ACCEPT", "Persistent worker pool", "74.91 % = 3.986x", "74.81 to 75.01 %", "10", "±0.48 %",
        "reports/benchmarks-test_01_persistent_pool-test_fair.md",
    ]  # fmt: skip
    assert re.split(r"  +", lines[2])[:6] == ["REJECT", "Cached parser", "n/a", "n/a", "0", "n/a"]
    assert [line.verdict for line in lines] == [None, "ACCEPT", "REJECT", "INCONCLUSIVE"]
    assert len({line.index("n/a") if "n/a" in line else line.index("7") for line in lines[1:3]}) == 1


@pytest.mark.parametrize("columns", [160, 140])
def test_titles_are_cut_to_fit(columns: int) -> None:
    """A long or wide title gives way; the lines fit and the figures stay."""
    docs = [samples.decision(title="漢" * 100), samples.decision(title="x" * 300)]
    lines = terminal.table(docs, "reports", columns)
    assert all(width(line) <= columns for line in lines)
    assert all("…" in line and "75.01 %" in line and line.endswith(".md") for line in lines[1:])


def test_a_usual_terminal_shows_the_report_below() -> None:
    """At 80 columns every figure fits on the decision's line and the file of its report follows."""
    lines = terminal.table([*DOCS, samples.decision(title="x" * 300)], "reports", columns=80)
    assert len(lines) == 9
    assert all(width(line) <= 80 for line in lines)
    assert lines[1].startswith("ACCEPT        Persistent")
    assert lines[2] == "  reports/benchmarks-test_01_persistent_pool-test_fair.md"
    assert [line.verdict for line in lines[:3]] == [None, "ACCEPT", "ACCEPT"]


def test_a_narrow_terminal_loses_nothing() -> None:
    """Where even the figures do not fit, the line is longer than the terminal rather than cut."""
    line = terminal.table([samples.decision(title="x" * 300)], "reports", columns=20)[1]
    assert line.startswith("ACCEPT   xxxxxxxxxxx…  74.91 % = 3.986x")


def test_the_width_of_the_terminal_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a width the terminal's own is used."""
    monkeypatch.setenv("COLUMNS", "150")
    assert terminal.table([samples.decision(title="x" * 300)], "r") == terminal.table(
        [samples.decision(title="x" * 300)], "r", columns=150
    )


def test_an_ascii_terminal_gets_ascii() -> None:
    """No line holds what the encoding of the terminal cannot print."""
    lines = terminal.table([samples.nasty(), *DOCS], "reports", columns=140, encoding="ascii")
    assert all(line.isascii() for line in lines)
    assert "+/-0.48 %" in lines[2]
    assert "..." in lines[1]


def test_hostile_titles_stay_on_their_line() -> None:
    """No control sequence, line break or workflow command of a title reaches the terminal."""
    lines = terminal.table([samples.nasty()], "reports", columns=400)
    assert len(lines) == 2
    assert all(line.isprintable() and "##[" not in line and not line.startswith("::") for line in lines)


def test_reports_inside_the_working_directory_are_shown_relative() -> None:
    """A path that can be clicked is shown short; one elsewhere whole."""
    assert " reports/" in terminal.table(DOCS, Path.cwd() / "reports", columns=200)[1]
    assert " /elsewhere/reports/" in terminal.table(DOCS, Path("/elsewhere/reports"), columns=200)[1]


def test_no_decision_no_table() -> None:
    """Without decisions nothing is printed."""
    assert terminal.table([], "reports") == []


@pytest.mark.parametrize(("doc", "level"), [(DOCS[0], "notice"), (DOCS[1], "error"), (DOCS[2], "warning")])
def test_the_level_of_an_annotation_is_the_verdict(doc: samples.Doc, level: str) -> None:
    """REJECT is an error, INCONCLUSIVE a warning, ACCEPT a notice."""
    assert github.annotation(doc).startswith(f"::{level} file=benchmarks/test_0")


def test_annotations_name_file_line_and_title() -> None:
    """The annotation stands at the optimized arm and carries the summary."""
    assert github.annotation(DOCS[0]) == (
        "::notice file=benchmarks/test_01_persistent_pool.py,line=52,title=ACCEPT%3A Persistent worker pool::"
        "ACCEPT: 74.97 %25 time saved = 3.995x, 95 %25 interval [74.87 %25, 75.07 %25], needed 5.00 %25"
    )
    assert github.annotation(DOCS[1]).startswith(
        "::error file=benchmarks/test_02_cache.py,title=REJECT%3A Cached parser::REJECT: not-equivalent"
    )


@pytest.mark.parametrize(
    "file", ["/opt/someone/x.py", "../x.py", "a/../../x.py", "C:/x.py", "C:\\x.py", "json.decoder", None, ""]
)
def test_annotations_leak_no_path_outside_the_checkout(file: str | None) -> None:
    """A file that does not lie in the checkout is not named; the test is, if it does."""
    source = {"name": "f", "file": file, "line": 3, "sha256": None}
    doc = samples.decision(code={"baseline": source, "optimized": source})
    assert github.annotation(doc).startswith("::notice file=benchmarks/test_01_persistent_pool.py,title=")
    doc["id"] = "/abs/test_x.py::test"
    assert github.annotation(doc).startswith("::notice title=")


def test_a_hostile_decision_is_one_annotation() -> None:
    """Titles and summaries cannot add a command, a property or a line."""
    doc = samples.nasty()
    doc["code"]["optimized"]["file"] = f"{samples.NASTY}.py"
    command = github.annotation(doc)
    assert len(command.splitlines()) == 1
    assert re.fullmatch(r"::error file=[^:,]*,line=1,title=[^:,]*::[^\n\r]*", command)


def test_the_step_summary() -> None:
    """Counts and a table with the reasons in words."""
    text = github.step_summary(DOCS)
    assert "3 decisions: 1 ACCEPT, 1 REJECT, 1 INCONCLUSIVE." in text
    assert "| REJECT | Cached parser |" in text
    assert "not-equivalent: The arms return different results; a wrong answer is no gain." in text
    tokens = MarkdownIt("commonmark").enable("table").parse(github.step_summary([samples.nasty(), *DOCS]))
    assert [token.type for token in tokens].count("tr_open") == 5
    assert not [t for t in tokens for c in t.children or () if c.type not in ("text",)]


def test_the_step_summary_is_bounded() -> None:
    """GitHub drops a summary above 1 MiB, so the rows are capped and the rest is counted."""
    text = github.step_summary([samples.nasty()] * 1000)
    assert len(text.encode()) < 2**20
    assert "900 more are in index.md of the report folder." in text
    assert github.step_summary([]).strip().endswith("0 decisions.")


def test_junit_properties() -> None:
    """Verdict and figures are plain text with all their digits; unknown ones are left out."""
    found = dict(junit.properties(DOCS[0]))
    assert found["optbench_verdict"] == "ACCEPT"
    assert found["optbench_reasons"] == ""
    assert float(found["optbench_ratio"]) == DOCS[0]["ratio"]["estimate"]
    assert float(found["optbench_ci_low"]) == DOCS[0]["ratio"]["ci_low"]
    assert found["optbench_pairs"] == "10"
    assert found["optbench_equivalent"] == "true"
    assert found["optbench_report"] == "benchmarks-test_01_persistent_pool-test_fair.md"
    nothing = dict(junit.properties(DOCS[1]))
    assert nothing["optbench_reasons"] == "not-equivalent"
    assert nothing["optbench_equivalent"] == "false"
    assert "optbench_ratio" not in nothing
    assert all(value.isprintable() for _, value in junit.properties(samples.nasty()))


def test_junit_properties_in_a_real_file(pytester: pytest.Pytester) -> None:
    """pytest writes the properties of a hostile decision into a well-formed JUnit file."""
    from xml.etree import ElementTree

    values = junit.properties(samples.nasty())
    pytester.makepyfile(f"def test_x(record_property):\n    for pair in {values!r}: record_property(*pair)")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--junitxml=out.xml")
    result.assert_outcomes(passed=1)
    root = ElementTree.parse(pytester.path / "out.xml").getroot()
    assert {p.get("name"): p.get("value") for p in root.iter("property")} == dict(values)
