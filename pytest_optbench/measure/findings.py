"""Findings: what measuring noticed beside the times, as values that travel with the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["info", "warn", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation.

    ``code`` is a stable word such as ``"global-state"``. ``level`` is ``"info"`` (worth knowing), ``"warn"``
    (may bias the comparison) or ``"error"`` (the times cannot be trusted, so nothing may be accepted).
    """

    code: str
    level: Level
    message: str
