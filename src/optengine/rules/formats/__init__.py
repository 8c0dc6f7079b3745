"""A report as text: terminal table, JSON, markdown, SARIF 2.1.0 or JUnit. Pure functions of report and rule
set."""

from __future__ import annotations

from optengine.rules.report import Report
from optengine.rules.ruleset import RuleSet

FORMATS = ("table", "json", "markdown", "sarif", "junit")


def render(report: Report, rules: RuleSet, kind: str, *, width: int = 100, everything: bool = False) -> str:
    """*report* in the format *kind*, ending with a newline.

    Args:
        report: what a validation gave.
        rules: the rule set it ran, for titles and help texts.
        kind: one of :data:`FORMATS`.
        width: columns of the terminal table.
        everything: also list rules that passed (table and markdown).

    Raises:
        ValueError: *kind* is not a format.
    """
    if kind == "table":
        from optengine.rules.formats.table import table

        return table(report, width=width, everything=everything)
    if kind == "json":
        from optengine.rules.formats.document import json_text

        return json_text(report)
    if kind == "markdown":
        from optengine.rules.formats.markdown import markdown

        return markdown(report, everything=everything)
    if kind == "sarif":
        from optengine.rules.formats.sarif import sarif_text

        return sarif_text(report, rules)
    if kind == "junit":
        from optengine.rules.formats.junit import junit

        return junit(report)
    raise ValueError(f"A format must be one of {', '.join(FORMATS)}; received {kind!r}.")
