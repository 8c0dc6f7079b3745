"""What each reason code means, as a sentence: for reports, terminal, annotations and documentation."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ..core.verdicts import EXPLANATION

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {reason.value: f"{clause[0].upper()}{clause[1:]}." for reason, clause in EXPLANATION.items()}
)
"""Sentences by code, in the order ACCEPT, REJECT, INCONCLUSIVE."""


def explain(code: str) -> str:
    """Return what reason ``code`` means; a code without a sentence says so."""
    return REASONS.get(code, "No description of this code is known to this version.")
