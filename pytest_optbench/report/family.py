"""What holds over many decisions at once: counts, and verdicts corrected for how many there are.

Ratios of different subjects are never added or multiplied here: they compose only along a campaign.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from .figures import Doc, part
from .units import UNKNOWN

VERDICTS: Final = ("ACCEPT", "REJECT", "INCONCLUSIVE")

_ROUNDING: Final = 1e-9
"""Relative; equal up to rounding is not above."""


def family_limit(doc: Doc) -> float:
    """Return what the adjusted p must not exceed: the one-sided error rate asked for, 0.025 for 5 %.

    Not that of the interval, which is wider at a repeated attempt: the p-value of one is scaled up instead.
    """
    asked = part(doc, "protocol", "alpha")
    return float(asked) / 2.0 if isinstance(asked, int | float) else (1.0 - float(doc["confidence"])) / 2.0


def verdict_alone(doc: Doc) -> str:
    """Return the verdict before any correction: a decision demoted for multiplicity was an ACCEPT alone."""
    return "ACCEPT" if "multiplicity" in doc["reasons"] else str(doc["verdict"])


def family_verdict(doc: Doc) -> str:
    """Return the verdict that holds over all decisions of the run.

    An ACCEPT of a gain needs its Holm-adjusted p within `family_limit`. Verdicts of the no-regression goal
    need no correction: "nothing regressed" is accepted only when every single one is.
    """
    adjusted = doc["p_adjusted"]
    if doc["verdict"] != "ACCEPT" or doc["goal"] == "no-regression":
        return str(doc["verdict"])
    if adjusted is None:
        return UNKNOWN
    return "ACCEPT" if adjusted <= family_limit(doc) * (1.0 + _ROUNDING) else "INCONCLUSIVE"


def counts(docs: Iterable[Doc]) -> dict[str, int]:
    """Return how many decisions carry each verdict."""
    verdicts = [doc["verdict"] for doc in docs]
    return {verdict: verdicts.count(verdict) for verdict in VERDICTS}


def counts_text(docs: Sequence[Doc]) -> str:
    """Return the counts in words: ``3 decisions: 1 ACCEPT, 1 REJECT, 1 INCONCLUSIVE``."""
    noun = "decision" if len(docs) == 1 else "decisions"
    found = [f"{count} {verdict}" for verdict, count in counts(docs).items() if count]
    return f"{len(docs)} {noun}" + (f": {', '.join(found)}" if found else "")
