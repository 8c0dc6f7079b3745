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
        **codes(doc["code"] or {}),
    }


def codes(code: Mapping[str, Mapping[str, Any] | None]) -> dict[str, str]:
    """Return which two codes a decision compared, for its entry, from the ``code`` of its document.

    ``code`` names the SHA-256 of what either side ran, ``trees`` what git held of either side as a whole. What is not
    known of both sides is left out.
    """
    sides = [code.get(side) or {} for side in ("baseline", "optimized")]
    ran = [side.get("sha256") for side in sides]
    held = [
        side.get("tree") and "+".join(filter(None, (side["tree"], side.get("dirt_sha256")))) for side in sides
    ]
    return {name: " ".join(map(str, both)) for name, both in (("code", ran), ("trees", held)) if all(both)}


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


def attempt_on(entries: Sequence[Mapping[str, Any]], of: Mapping[str, str]) -> int:
    """Return which attempt the next decision on the two codes ``of`` is: decisions on other codes do not count.

    ``of`` is what `codes` returns. The codes are the same when what ran is, or when what git holds is: another
    selection of tests imports other files of the same tree. An entry that does not say which codes it is about
    counts as an attempt, and never as the ACCEPT that ends the count.
    """
    same = [each for each in entries if _same(each, of) or (_unknown(each) and each["verdict"] != "ACCEPT")]
    return attempt_number(same)


def _same(entry: Mapping[str, Any], of: Mapping[str, str]) -> bool:
    return any(entry.get(name) == known for name, known in of.items())


def _unknown(entry: Mapping[str, Any]) -> bool:
    return entry.get("code") is None
