"""The verdict as properties of a test case, for JUnit XML and whatever else reads ``user_properties``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .escape import plain
from .family import Doc
from .rows import part


def properties(doc: Doc, prefix: str = "optbench_") -> list[tuple[str, str]]:
    """Return (name, value) pairs of decision ``doc``, plain text both; values that are unknown are left out.

    Ratios and p-values keep all their digits: machines read them.
    """
    values: list[tuple[str, Any]] = [
        ("verdict", doc["verdict"]),
        ("reasons", ",".join(doc["reasons"])),
        ("title", doc["title"]),
        ("goal", doc["goal"]),
        ("margin", doc["margin"]),
        ("ratio", part(doc, "ratio", "estimate")),
        ("ci_low", part(doc, "ratio", "ci_low")),
        ("ci_high", part(doc, "ratio", "ci_high")),
        ("time_saved", part(doc, "time_saved", "estimate")),
        ("p", part(doc, "tests", "margin", "p")),
        ("pairs", len(doc["pairs"])),
        ("noise_floor", part(doc, "control", "noise_floor")),
        ("equivalent", part(doc, "equivalence", "passed")),
        ("attempt", doc["attempt"]),
        ("seed", doc["seed"]),
        ("report", f"{doc['slug']}.md"),
    ]
    values += _metrics(doc)
    return [(prefix + name, _text(value)) for name, value in values if value is not None]


def _metrics(doc: Doc) -> list[tuple[str, Any]]:
    """Return what a metric came to, and whether it kept its margin: ``metric:rows`` and ``metric:rows:ratio``."""
    found: list[tuple[str, Any]] = []
    for name, value in (doc["metrics"] or {}).items():
        if isinstance(value, Mapping) and value.get("verdict") is not None:
            found += [
                (f"metric:{plain(name)}", value["verdict"]),
                (f"metric:{plain(name)}:ratio", value.get("ratio")),
            ]
    return found


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else plain(value)
