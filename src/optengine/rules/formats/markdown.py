"""The report as GitHub-flavoured markdown."""

from __future__ import annotations

from optengine.rules.formats.places import places
from optengine.rules.formats.table import run_lines
from optengine.rules.formats.text import markdown_text
from optengine.rules.model import RuleResult, Status
from optengine.rules.report import Report


def markdown(report: Report, *, everything: bool = False) -> str:
    """Counts, a table of findings and skipped rules (all rules with *everything*), batches, and notes on the
    run."""
    lines = [f"# Rules on {markdown_text(report.root)}", ""]
    lines.append("| " + " | ".join(report.counts) + " |")
    lines.append("|" + " ---: |" * len(report.counts))
    lines.append("| " + " | ".join(map(str, report.counts.values())) + " |")
    shown = [one for one in report.results if everything or one.status is not Status.PASS]
    if shown:
        lines += ["", "| status | severity | rule | where | message |", "| --- | --- | --- | --- | --- |"]
        lines += [_row(one) for one in shown]
    lines += [
        "",
        "| batch | rules | ran | cached | skipped | mode | seconds |",
        "| ---: | ---: | ---: | ---: | ---: | --- | ---: |",
    ]
    for one in report.batches:
        numbers = (
            one.index,
            len(one.rules),
            one.ran,
            one.cached,
            one.skipped,
            one.mode,
            f"{one.seconds:.3f}",
        )
        lines.append("| " + " | ".join(map(str, numbers)) + " |")
    lines += ["", *(f"- {markdown_text(line)}" for line in run_lines(report))]
    return "\n".join(lines) + "\n"


def _row(result: RuleResult) -> str:
    found = places(result.evidence)
    where = f"{found[0].path}:{found[0].line}" if found and found[0].line else found[0].path if found else ""
    cells = (result.status, result.severity, result.rule_id, where, result.message or result.title)
    return "| " + " | ".join(markdown_text(cell) for cell in cells) + " |"
