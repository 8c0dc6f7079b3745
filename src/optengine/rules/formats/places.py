"""Where a finding is, as its evidence tells: keys ``path`` and ``line``, or a list of such under
``locations``. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_PLACES = 10


@dataclass(frozen=True)
class Place:
    """A file below the root and, where known, a line counted from 1."""

    path: str
    line: int | None = None


def places(evidence: Any) -> list[Place]:
    """At most ten places named by *evidence*; empty when it names none."""
    if not isinstance(evidence, dict):
        return []
    listed = evidence.get("locations")
    many = listed if isinstance(listed, list) else [evidence]
    found: list[Place] = []
    for one in many:
        if isinstance(one, str):
            one = {"path": one}
        if isinstance(one, dict) and isinstance(one.get("path"), str) and one["path"]:
            line = one.get("line")
            valid = isinstance(line, int) and not isinstance(line, bool) and line >= 1
            found.append(Place(one["path"], line if valid else None))
    return found[:MAX_PLACES]
