"""Subjects: what one decision is about, without the callables that were measured.

An arm may live in this process, in a child or at another revision; what a document says of it is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .core.goal import Goal
from .options import Settings


@dataclass(frozen=True)
class Side:
    """One side of a comparison: its name in the report, and which code it is (see `code.code_of`)."""

    name: str
    code: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """One baseline against one candidate.

    ``identity`` is the id of the decision, ``root`` the folder that paths are relative to, ``command`` the
    arguments of the run and ``program`` whose they are. ``description`` holds title, group, rank, expected, notes
    and risks as the author gave them.
    """

    identity: str
    title: str
    root: Path
    command: Sequence[str]
    settings: Settings
    baseline: Side
    optimized: Side
    description: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    program: str = "pytest"


def goal_of(settings: Settings) -> Goal:
    """Return the question these settings ask: a speedup, unless no regression is to be shown."""
    if settings.goal == "no-regression":
        return Goal("no-regression", settings.max_slowdown)
    return Goal("speedup", settings.min_speedup)
