"""The report as SARIF 2.1.0 (OASIS Standard, 27 March 2020), within the limits that GitHub code scanning
sets.

Each rule once in ``tool.driver.rules``; one result per finding; rules that could not be judged are also
listed as notifications, and then the invocation is not marked as successful. Paths are URIs relative to the
root.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from optengine.rules import digest
from optengine.rules.evidence import clean_text
from optengine.rules.formats.places import Place, places
from optengine.rules.formats.text import visible
from optengine.rules.model import Rule, RuleResult, Severity, Status
from optengine.rules.report import Report
from optengine.rules.ruleset import RuleSet

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
MAX_RESULTS = 25_000
MAX_TEXT = 1_000
_LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}
_SCORES = {
    Severity.CRITICAL: "9.5",
    Severity.HIGH: "8.0",
    Severity.MEDIUM: "5.0",
    Severity.LOW: "2.0",
    Severity.INFO: "0.1",
}


def sarif(report: Report, rules: RuleSet) -> dict[str, Any]:
    """The report as a SARIF log with one run."""
    from optengine import __version__

    numbers = {rule.id: number for number, rule in enumerate(rules)}
    findings = report.findings()[:MAX_RESULTS]
    unjudged = [one for one in report.results if one.status in (Status.ERROR, Status.TIMEOUT, Status.CRASH)]
    driver = {
        "name": "optengine-rules",
        "version": __version__,
        "rules": [_descriptor(rule) for rule in rules],
    }
    invocation = {
        "executionSuccessful": not unjudged,
        "toolExecutionNotifications": [
            {
                "level": "error",
                "message": {"text": _text(f"{one.status}: {one.message or one.rule_id}\n{one.reason or ''}")},
                "associatedRule": {"id": one.rule_id, "index": numbers[one.rule_id]},
            }
            for one in unjudged
        ],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [invocation],
        "results": [_result(one, numbers[one.rule_id]) for one in findings],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def sarif_text(report: Report, rules: RuleSet) -> str:
    """:func:`sarif` as text."""
    return json.dumps(sarif(report, rules), indent=2, allow_nan=False) + "\n"


def _descriptor(rule: Rule) -> dict[str, Any]:
    short = _text(rule.title or rule.id)
    return {
        "id": rule.id,
        "shortDescription": {"text": short},
        "fullDescription": {"text": _text(rule.help) or short},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": sorted(rule.tags), "security-severity": _SCORES[rule.severity]},
    }


def _result(result: RuleResult, number: int) -> dict[str, Any]:
    found = places(result.evidence) or [Place(".")]
    said = result.message or result.title or result.rule_id
    return {
        "ruleId": result.rule_id,
        "ruleIndex": number,
        "kind": "fail",
        "level": _LEVELS[result.severity],
        "message": {"text": _text(said if result.status is Status.FAIL else f"{result.status}: {said}")},
        "locations": [_location(found[0])],
        "relatedLocations": [{"id": place, **_location(one)} for place, one in enumerate(found[1:], start=1)],
        "partialFingerprints": {"ruleAndPlace/v1": digest.of_json([result.rule_id, found[0].path, said])},
    }


def _location(place: Place) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": quote(place.path), "uriBaseId": "%SRCROOT%"}}
    physical["region"] = {"startLine": place.line or 1}
    return {"physicalLocation": physical}


def _text(text: str) -> str:
    return clean_text(visible(text).strip(), MAX_TEXT)
