"""The verdict as properties of a test case, for JUnit XML and whatever else reads ``user_properties``."""

from __future__ import annotations

from .escape import plain
from .family import Doc
from .rows import part


def properties(doc: Doc, prefix: str = "optbench_") -> list[tuple[str, str]]:
    """Return (name, value) pairs of decision ``doc``, plain text both; values that are unknown are left out.

    Ratios and p-values keep all their digits: machines read them.
    """
    values = [
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
    return [(prefix + name, _text(value)) for name, value in values if value is not None]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else plain(value)
