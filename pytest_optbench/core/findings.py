"""Findings: what a reader should know before trusting a verdict, as values that travel with the result.

Standard library only: a plain test run, which measures nothing, makes findings too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Level: TypeAlias = Literal["info", "warn", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation.

    ``code`` is a stable word such as ``"global-state"``. ``level`` is ``"info"`` (worth knowing, or already
    removed), ``"warn"`` (may bias the comparison) or ``"error"`` (the times cannot be trusted, so nothing may
    be accepted). ``message`` is a sentence with the numbers.
    """

    code: str
    level: Level
    message: str
