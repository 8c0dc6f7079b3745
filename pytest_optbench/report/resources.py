"""What the arms used beside time, as rows of display strings: memory and custom numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..core.wording import change, quantity, short_percent
from .figures import (
    Doc,
    part,
)
from .rows import Row
from .units import (
    UNKNOWN,
    percent,
    shortened,
    size,
)

METRIC_WORDS: Final = {"within": "kept", "worse": "exceeded", "open": "open", "reported": "not asked for"}


def metrics(doc: Doc) -> list[Row]:
    """Return memory and custom numbers: (name, baseline, optimized, change, may change by, margin kept?)."""
    rows: list[Row] = []
    for name, value in (doc["metrics"] or {}).items():
        if isinstance(value, Mapping):
            old, new = value.get("baseline"), value.get("optimized")
            unit, verdict = value.get("unit"), value.get("verdict")
            kept = METRIC_WORDS.get(str(verdict), UNKNOWN)
            if value.get("message"):
                kept += f": {value['message']}"
            rows.append(
                (name, _quantity(old, unit), _quantity(new, unit), _change(value), _allowed(value), kept)
            )
        else:
            rows.append((name, "", shortened(value), "", "", ""))
    return rows


def memory(doc: Doc) -> list[Row]:
    """Return the memory of both arms: (what, baseline, optimized, optimized / baseline)."""
    rows: list[Row] = []
    for label, key in (("Peak", "peak_bytes"), ("Above the state before", "extra_bytes")):
        old, new = part(doc, "memory", "baseline", key), part(doc, "memory", "optimized", key)
        if old is not None or new is not None:
            share = percent(new / old) if old and new is not None else UNKNOWN
            rows.append((label, size(old), size(new), share))
    return rows


def _quantity(value: Any, unit: Any) -> str:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return quantity(value, unit if isinstance(unit, str) else None) if known else shortened(value)


def _change(metric: Mapping[str, Any]) -> str:
    """Return the change of the optimized arm with its interval: ``+3.10 % [+2.80 %, +3.40 %]``."""
    found, low, high = (metric.get(key) for key in ("ratio", "ci_low", "ci_high"))
    if not isinstance(found, int | float) or not found:
        return UNKNOWN
    text = change(1.0 / found - 1.0)
    if isinstance(low, int | float) and isinstance(high, int | float) and low and high:
        text += f" [{change(1.0 / high - 1.0)}, {change(1.0 / low - 1.0)}]"
    return text


def _allowed(metric: Mapping[str, Any]) -> str:
    """Return by how much a metric may change: ``at most +5 %``, ``not at all``."""
    margin, better = metric.get("margin"), metric.get("better")
    if not isinstance(margin, int | float):
        return "any"
    if better == "same":
        return "not at all" if metric.get("exact") or not margin else f"at most ±{short_percent(margin)}"
    return f"at most {'-' if better == 'higher' else '+'}{short_percent(margin)}"
