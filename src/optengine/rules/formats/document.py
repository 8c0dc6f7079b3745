"""The report as JSON, with a schema name that changes whenever a reader would have to."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from optengine.rules.report import Report

SCHEMA = "optengine/rules-report/1"


def document(report: Report) -> dict[str, Any]:
    """The report as JSON data: ``schema, root, counts, results, batches, stats``. Times in seconds, sizes in
    bytes."""
    return {
        "schema": SCHEMA,
        "root": report.root,
        "counts": report.counts,
        "results": [
            {**asdict(one), "status": one.status.value, "severity": one.severity.value}
            for one in report.results
        ],
        "batches": [asdict(one) for one in report.batches],
        "stats": {**asdict(report.stats), "overhead": report.stats.overhead},
    }


def json_text(report: Report) -> str:
    """:func:`document` as text."""
    return json.dumps(document(report), indent=2, allow_nan=False) + "\n"
