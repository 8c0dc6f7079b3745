"""Earlier decisions on one subject: a measurement repeated until it passes must say how often it was tried.

The ledger lives in the decision documents themselves: each carries the short entries of those it replaced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from . import schema
from .files import read
from .folder import stem_for

Entry = dict[str, Any]

NOT_JUDGED: Final = frozenset(
    {
        "quick", "time-limit", "arm-raised", "too-few-pairs", "invalid-measurement", "clock-resolution",
        "noisy-control", "no-control", "equivalence-error", "not-equivalent",
    }
)  # fmt: skip
"""Reasons that settle a decision whatever the measured pairs say."""


def earlier(folder: Path, identity: str) -> list[Entry]:
    """Return the earlier decisions on ``identity`` in ``folder``, oldest first: what goes into ``earlier``.

    Empty when there is none, or when the file that held them cannot be read (`folder.read_folder` names it).
    """
    path = Path(folder) / f"{stem_for(Path(folder), identity)}.json"
    if not path.exists():
        return []
    doc = schema.loads(read(path).decode("utf-8"))
    return [*doc["earlier"], entry(doc)]


def entry(doc: Mapping[str, Any]) -> Entry:
    """Return the short entry of decision ``doc`` for the ledger of the decision that replaces it."""
    ratio = doc["ratio"] or {}
    return {
        "started": doc["started"],
        "verdict": doc["verdict"],
        "reasons": list(doc["reasons"]),
        "ratio": ratio.get("estimate"),
        "ci_low": ratio.get("ci_low"),
        "ci_high": ratio.get("ci_high"),
        "n": len(doc["pairs"]),
        "attempt": doc["attempt"],
        "quick": bool((doc["protocol"] or {}).get("quick")) or "quick" in doc["reasons"],
    }


def attempt_number(entries: Sequence[Mapping[str, Any]]) -> int:
    """Return which attempt the next decision is: 1 + the decisions without ACCEPT since the last ACCEPT.

    Only decisions read off the pairs count. What was settled otherwise (a quick run, a time limit, an arm
    that raised, a noisy machine) could not have been accepted, so it spent no error.
    """
    attempt = 1
    for each in reversed(entries):
        reasons = set(each.get("reasons", ()))
        if not each.get("n") or (reasons and reasons <= NOT_JUDGED):
            continue
        if each["verdict"] == "ACCEPT":
            break
        attempt += 1
    return attempt
