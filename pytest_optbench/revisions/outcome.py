"""What a comparison of revisions is given, and what it gives back: the task, how each test ended, what was left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..options import Settings
from .benchmark import Question, Wanted
from .git import Commit, Repository
from .sides import Invocation

Asked = Callable[[Wanted, Mapping[str, Any]], Question]


@dataclass(frozen=True)
class Task:
    """What to compare. ``settings`` are those of the run, ``ask`` turns what a test says of itself into a question."""

    repository: Repository
    base: Commit
    invocation: Invocation
    wanted: Sequence[Wanted]
    settings: Settings
    seed: int
    ask: Asked
    held: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Ended:
    """How one test ended: what its own test report says. ``documents`` are decision documents as JSON text."""

    wanted: Wanted
    outcome: Literal["passed", "failed", "skipped"]
    message: str = ""
    documents: tuple[str, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass
class Lists:
    """What a reader must know beside the decisions; node ids, with the reason where there is one."""

    new: dict[str, str] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    incomparable: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    compared: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    overlay: tuple[str, ...] = ()
