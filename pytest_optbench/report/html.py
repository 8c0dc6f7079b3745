"""The HTML report: all decisions of a folder in one file that needs nothing else and asks for nothing.

The page holds every decision as text, tables and inline SVG, so it can be read without scripts; its one script
only sorts, filters and shows one decision at a time. A content security policy forbids the network, and every
script and style but the shipped ones, by their digests: text that slipped through the escaping could not run.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from . import charts, escape, family, figures, markdown, provenance, rows, templating, units
from .charts import svg
from .figures import Doc

SCHEMA: Final = "optbench/report/1"
"""The version of the data embedded in the page."""

SIGNIFICANT: Final = 6
"""Digits kept of the numbers in the embedded data; the JSON file of a decision holds all of them."""

FIGURES: Final = (
    "id", "slug", "title", "group", "rank", "goal", "verdict", "reasons", "margin", "confidence", "expected",
    "baseline", "optimized", "ratio", "tests", "total_time", "looks", "control", "p_sequential", "p_adjusted",
    "attempt", "started",
)  # fmt: skip
"""Keys of a decision in the embedded data; what else it says is in the page as text."""

PAIR: Final = ("index", "order", "baseline_s", "optimized_s", "log_ratio", "weight", "started_s")
"""Columns of the pairs in the embedded data; the JSON file of a decision holds the single runs as well."""


def html_report(docs: Sequence[Doc], warnings: Sequence[str] = (), templates: Path | None = None) -> str:
    """Return the page of ``docs`` in the order given; ``warnings`` name files that are not in it.

    ``templates`` is a folder that may replace the shipped templates. Raises TemplateError.
    """
    style = _embedded(templating.STYLE, "style", templates)
    script = _embedded(templating.SCRIPT, "script", templates)
    forest = charts.Forest(docs)
    index = markdown.index_context(docs, warnings)
    decisions = []
    for position, (doc, row) in enumerate(zip(docs, index["decisions"], strict=True)):
        near = {
            "previous": docs[position - 1] if position else None,
            "next": docs[position + 1] if position + 1 < len(docs) else None,
        }
        page = templating.render_html(templating.PAGE_DECISION, decision_context(doc) | near, templates)
        decisions.append({**row, "forest": _safe(forest.row(doc)), "page": _safe(page)})
    context = {
        **index,
        "decisions": decisions,
        "counts_by_verdict": family.counts(docs),
        "groups": groups(docs),
        "scale": _safe(forest.scale()),
        "definitions": _safe(svg.DEFINITIONS),
        "policy": policy(style, script),
        "style": _safe(style),
        "script": _safe(script),
        "data": _safe(escape.script_data(data_text(docs))),
    }
    return templating.render_html(templating.PAGE, context, templates)


def decision_context(doc: Doc) -> dict[str, Any]:
    """Return what the template of one decision may use: the names of the markdown report, and the charts."""
    drawn = {name: make(doc) for name, make in charts.CHARTS.items()}
    shares = [(*row, _share(row[2])) for row in provenance.overhead(doc)]
    return markdown.decision_context(doc) | {
        "charts": {
            name: {"figure": _safe(chart.markup), "legend": _safe(svg.legend(chart.legend))}
            for name, chart in drawn.items()
            if chart is not None
        },
        "overhead_shares": shares,
        "facts_shown": _shown_first(rows.facts(doc)),
        "noise_floor": figures.noise_floor(doc),
        "estimated": units.time_saved(figures.part(doc, "ratio", "estimate")) is not None,
    }


def policy(style: str, script: str) -> str:
    """Return the content security policy: no network, and no script or style but these two texts."""
    return (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def data_text(docs: Sequence[Doc]) -> str:
    """Return the embedded data as ASCII JSON: the figures of the decisions, pairs as columns, numbers shortened."""
    decisions = [
        {key: doc[key] for key in FIGURES}
        | {"pairs": {key: [pair.get(key) for pair in doc["pairs"]] for key in PAIR}}
        for doc in docs
    ]
    data = {
        "schema": SCHEMA,
        "groups": groups(docs),
        "decisions": [_shortened(each) for each in decisions],
    }
    return json.dumps(data, allow_nan=False, separators=(",", ":"))


def groups(docs: Sequence[Doc]) -> list[str]:
    """Return the groups of ``docs``, each once."""
    return sorted({doc["group"] for doc in docs if doc["group"]})


def _shortened(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT}g}")
    if isinstance(value, Mapping):
        return {key: _shortened(inner) for key, inner in value.items()}
    return [_shortened(inner) for inner in value] if isinstance(value, list) else value


def _shown_first(facts: Sequence[rows.Row]) -> list[rows.Row]:
    """Return the facts under the title: the gain first, without what the title line says already."""
    left = [row for row in facts if row[0] not in ("Verdict", "Attempt")]
    return sorted(left, key=lambda row: row[0] != "Time saved")


def _share(text: str) -> str:
    """Return a display percentage as the length of a bar: ``88.3%``, ``0%`` when unknown."""
    number = text.removesuffix(" %")
    return f"{number}%" if number.replace(".", "", 1).isdigit() else "0%"


def _digest(text: str) -> str:
    return "sha256-" + b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _embedded(name: str, element: str, templates: Path | None) -> str:
    """Return the text of ``name`` as it goes into its element."""
    text = templating.source(name, templates).replace("\r\n", "\n").replace("\r", "\n")
    if f"</{element}" in text.lower() or "<!--" in text:
        raise templating.TemplateError(
            f"the report template {name} must not hold '</{element}' or '<!--', which would end it early; "
            "write it in two parts"
        )
    return text


def _safe(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)
