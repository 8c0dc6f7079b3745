"""Earlier decisions on one subject: a measurement repeated until it passes must say how often it was tried.

The ledger lives in the decision documents themselves: each carries the short entries of those it replaced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import schema
from .files import read
from .folder import stem_for

Entry = dict[str, Any]


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

    Quick decisions and those that measured no pair do not count: neither could have been accepted.
    """
    attempt = 1
    for each in reversed(entries):
        if each.get("quick") or "quick" in each.get("reasons", ()) or not each.get("n"):
            continue
        if each["verdict"] == "ACCEPT":
            break
        attempt += 1
    return attempt
