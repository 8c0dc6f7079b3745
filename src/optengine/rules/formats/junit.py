"""The report as JUnit XML: one test case per rule, so that a CI system shows every rule by name."""

from __future__ import annotations

import json
from xml.etree import ElementTree

from optengine.rules.formats.text import one_line, xml_text
from optengine.rules.model import RuleResult, Status
from optengine.rules.report import Report


def junit(report: Report) -> str:
    """One test suite: FAIL is a failure, ERROR, TIMEOUT and CRASH are errors, SKIP is skipped."""
    counts = report.counts
    errors = counts["ERROR"] + counts["TIMEOUT"] + counts["CRASH"]
    numbers = {
        "tests": str(len(report.results)),
        "failures": str(counts["FAIL"]),
        "errors": str(errors),
        "skipped": str(counts["SKIP"]),
        "time": f"{report.stats.wall_s:.6f}",
    }
    suites = ElementTree.Element("testsuites", numbers)
    suite = ElementTree.SubElement(
        suites, "testsuite", {"name": xml_text(f"rules on {report.root}"), **numbers}
    )
    for result in report.results:
        _case(suite, result)
    ElementTree.indent(suites)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"
    )


def _case(suite: ElementTree.Element, result: RuleResult) -> None:
    attributes = {
        "classname": f"rules.{result.severity}",
        "name": xml_text(result.rule_id),
        "time": f"{result.seconds:.6f}",
    }
    case = ElementTree.SubElement(suite, "testcase", attributes)
    said = xml_text(one_line(result.message or result.title or result.rule_id, 1000))
    if result.status is Status.SKIP:
        ElementTree.SubElement(case, "skipped", {"message": said})
    elif result.status.is_finding:
        kind = "failure" if result.status is Status.FAIL else "error"
        found = ElementTree.SubElement(case, kind, {"message": said, "type": result.status.value})
        parts = [result.message, result.reason or ""]
        if result.evidence is not None:
            parts.append(json.dumps(result.evidence, indent=1, ensure_ascii=False))
        found.text = xml_text("\n\n".join(part for part in parts if part))
