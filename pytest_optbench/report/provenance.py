"""How a decision came about, as rows of display strings: code, settings, earlier decisions, time spent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .figures import (
    Doc,
    part,
)
from .rows import Row
from .units import (
    UNKNOWN,
    both,
    both_interval,
    number,
    percent,
    seconds,
    shortened,
)


def overhead(doc: Doc) -> list[Row]:
    """Return where the time of the decision went: (what, seconds, share of the total)."""
    spent = {key: value for key, value in (doc["overhead"] or {}).items() if value is not None}
    total = spent.get("total_s")
    return [
        (
            key.removesuffix("_s").replace("_", " ").capitalize(),
            seconds(value),
            percent(value / total, 1) if total else UNKNOWN,
        )
        for key, value in spent.items()
    ]


def settings(values: Mapping[str, Any] | None) -> list[Row]:
    """Return configuration, protocol or environment: (key, value as compact JSON, shortened)."""
    return [
        (key, _order_text(value) if key == "plan" else shortened(value))
        for key, value in (values or {}).items()
    ]


def code(doc: Doc) -> list[Row]:
    """Return which code each arm was: (arm, name, file and line, SHA-256)."""
    rows: list[Row] = []
    for arm in ("baseline", "optimized"):
        source = part(doc, "code", arm) or {}
        place = source.get("file") or UNKNOWN
        if source.get("file") and source.get("line") is not None:
            place += f":{source['line']}"
        rows.append((arm, source.get("name") or doc[arm]["name"], place, source.get("sha256") or UNKNOWN))
    return rows


def earlier(doc: Doc) -> list[Row]:
    """Return earlier decisions: (attempt, when, verdict, reasons, time saved, interval, pairs)."""
    return [
        (
            number(each.get("attempt")),
            each.get("started") or UNKNOWN,
            each["verdict"],
            ", ".join(each.get("reasons") or ()),
            both(each.get("ratio")),
            both_interval(each.get("ci_low"), each.get("ci_high")),
            number(each.get("n")),
        )
        for each in doc["earlier"]
    ]


def _order_text(plan: Any) -> str:
    if not isinstance(plan, list):
        return shortened(plan)
    return "".join({1: "+", -1: "-"}.get(each, "?") for each in plan)
