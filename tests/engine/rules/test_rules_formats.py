"""Reports in every format: complete, valid, and harmless whatever rules put into them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from optengine.rules import Report, RuleResult, RuleSet, Severity, Stats, Status
from optengine.rules.formats import FORMATS, render
from optengine.rules.formats.document import SCHEMA
from optengine.rules.formats.places import Place, places
from optengine.rules.formats.text import markdown_text, one_line, visible, xml_text
from optengine.rules.report import Batch, WorkerReport

SARIF = Path(__file__).parent / "data" / "sarif-2.1.0-rtm.5.schema.json"
NASTY = "a|b\n<script>x</script> `c` [l](u) \x1b[31mred\x07 \u202e @all ]]> & \"q\" 'p' \ud7ff \ufffe # *x*"


def nasty_report(text: str = NASTY) -> tuple[Report, RuleSet]:
    """One result of every status with hostile texts everywhere."""
    rules = RuleSet()
    results = []
    for number, status in enumerate(Status):
        severity = list(Severity)[number % 5]
        rules.add(f"R{number}", len, severity=severity, title=text, help=text * 3, tags=["t"])
        evidence = [
            {"path": f"dir/{text}", "line": 3},
            {"locations": [{"path": "a b.py", "line": 0}, "c.py"]},
            text,
        ]
        results.append(
            RuleResult(
                f"R{number}",
                status,
                severity,
                text,
                evidence[number % 3],
                0.25,
                "main",
                reason=text,
                title=text,
            )
        )
    stats = Stats(
        reason=text, fallback_reasons=[text], uncached={"R0": text}, vacuous=["R1"], changed_since=text
    )
    stats.worker_reports.append(WorkerReport("pid-1", False, why=text))
    return Report(text, results, [Batch(0, [one.rule_id for one in results])], stats), rules


@pytest.fixture(scope="module")
def schema() -> Any:
    return json.loads(SARIF.read_text(encoding="utf-8"))


def test_sarif_is_valid_and_complete(schema: Any) -> None:
    """The SARIF log satisfies the published schema; each rule stands once, each finding once, at its
    severity's level."""
    report, rules = nasty_report()
    log = json.loads(render(report, rules, "sarif"))
    jsonschema.Draft4Validator(schema).validate(log)
    (run,) = log["runs"]
    assert [one["id"] for one in run["tool"]["driver"]["rules"]] == [f"R{n}" for n in range(6)]
    found = {one["ruleId"]: one for one in run["results"]}
    assert sorted(found) == ["R1", "R3", "R4", "R5"]
    assert {name: one["level"] for name, one in found.items()} == {
        "R1": "error",
        "R3": "note",
        "R4": "note",
        "R5": "error",
    }
    assert all(
        run["tool"]["driver"]["rules"][one["ruleIndex"]]["id"] == one["ruleId"] for one in run["results"]
    )
    assert run["invocations"][0]["executionSuccessful"] is False
    assert len(run["invocations"][0]["toolExecutionNotifications"]) == 3
    uris = [one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in run["results"]]
    assert all(not uri.startswith("/") and " " not in uri and "\n" not in uri for uri in uris)
    assert found["R1"]["partialFingerprints"] != found["R4"]["partialFingerprints"]


def test_a_clean_sarif_log_says_success(schema: Any) -> None:
    """Without findings there are no results and the invocation was successful."""
    rules = RuleSet()
    rules.add("R", len)
    report = Report("x", [RuleResult("R", Status.PASS, Severity.LOW)], [], Stats())
    log = json.loads(render(report, rules, "sarif"))
    jsonschema.Draft4Validator(schema).validate(log)
    assert log["runs"][0]["results"] == []
    assert log["runs"][0]["invocations"][0]["executionSuccessful"] is True


def test_junit_counts_and_names_every_rule() -> None:
    """JUnit has one case per rule with failures, errors and skips told apart, and its counts add up."""
    report, rules = nasty_report()
    root = ElementTree.fromstring(render(report, rules, "junit"))
    suite = root[0]
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "6",
        "failures": "1",
        "errors": "3",
        "skipped": "1",
    }
    assert [[child.tag for child in case] for case in suite] == [
        [],
        ["failure"],
        ["skipped"],
        ["error"],
        ["error"],
        ["error"],
    ]


def test_json_names_its_schema_and_holds_everything() -> None:
    """The JSON report holds all results, batches and statistics under a versioned schema name."""
    report, rules = nasty_report()
    data = json.loads(render(report, rules, "json"))
    assert data["schema"] == SCHEMA == "optengine/rules-report/1"
    assert [one["rule_id"] for one in data["results"]] == [f"R{n}" for n in range(6)]
    assert data["results"][0]["message"] == NASTY
    assert data["counts"] == dict.fromkeys(("PASS", "FAIL", "SKIP", "ERROR", "TIMEOUT", "CRASH"), 1)
    assert {
        "crashes",
        "timeouts",
        "fallbacks",
        "serialisation_s",
        "startup_s",
        "transfer_s",
        "peak_memory",
    } <= set(data["stats"])


def test_markdown_shows_text_and_no_markup() -> None:
    """Whatever a rule says, the markdown has the same tables and no link, image, code or HTML of the rule's
    making."""
    report, rules = nasty_report()
    text = render(report, rules, "markdown", everything=True)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    kinds = {child.type for token in tokens for child in token.children or [token]}
    assert kinds.isdisjoint(
        {"html_block", "html_inline", "link_open", "image", "code_inline", "fence", "em_open"}
    )
    assert sum(token.type == "table_open" for token in tokens) == 3
    assert sum(token.type == "tr_open" for token in tokens) == 2 + 7 + 2


def test_the_terminal_never_obeys_a_rule() -> None:
    """Control characters are written out, every result has one line, and lines keep to the width."""
    report, rules = nasty_report()
    text = render(report, rules, "table", width=90, everything=True)
    assert not any(ord(letter) < 32 and letter != "\n" for letter in text)
    assert "\u202e" not in text
    rows = text.split("\n\n")[0].split("\n")
    assert len(rows) == 7
    assert all(len(row) <= 90 for row in rows)


def test_half_letters_are_written_out() -> None:
    """A lone surrogate, as in a file name that is not UTF-8, is shown by its number, which every stream takes."""
    assert one_line("a\udcff") == "a\\xdcff"
    assert "xdcff" in markdown_text("a\udcff")


@given(st.text())
def test_texts_are_made_harmless(text: str) -> None:
    """Any text can be shown, put into markdown and into XML."""
    assert "\n" not in one_line(text)
    assert "\x1b" not in visible(text)
    safe = xml_text(text.encode("utf-8", "backslashreplace").decode())
    assert (
        ElementTree.fromstring(f"<a>{safe.replace('&', '&amp;').replace('<', '&lt;')}</a>").text or ""
    ) is not None
    assert "|" not in markdown_text(text).replace("\\|", "")


def test_only_findings_are_listed_unless_all_are_asked_for() -> None:
    """The table leaves out what passed, and a clean report still says how many rules there were."""
    report, rules = nasty_report("plain")
    assert "R0" not in render(report, rules, "table").split("\n\n")[0]
    clean = Report("x", [RuleResult("R0", Status.PASS, Severity.LOW)], [], Stats())
    assert "1 rules: 1 PASS" in render(clean, rules, "table")


def test_places_come_from_evidence() -> None:
    """Evidence with path and line, or a list of such, gives places; anything else gives none."""
    assert places({"path": "a", "line": 2}) == [Place("a", 2)]
    assert places({"locations": [{"path": "a", "line": True}, "b", 3, {"line": 1}]}) == [
        Place("a"),
        Place("b"),
    ]
    assert places("a") == places(None) == places({"path": 3}) == []


def test_unknown_formats_are_refused() -> None:
    """Asking for a format that does not exist names those that do."""
    report, rules = nasty_report()
    assert len(FORMATS) == 5
    with pytest.raises(ValueError, match="one of table, json, markdown, sarif, junit; received 'pdf'"):
        render(report, rules, "pdf")


def test_reports_are_read_by_field_or_name() -> None:
    """Statistics and results can be read as attributes and by name, and unknown names are errors."""
    report, _ = nasty_report("x")
    assert report.stats["crashes"] == report.stats.crashes == 0
    with pytest.raises(KeyError, match="nothing"):
        report.stats["nothing"]
    with pytest.raises(KeyError, match="R99"):
        report.result("R99")
    assert [one.rule_id for one in report.findings("HIGH")] == ["R1", "R5"]
