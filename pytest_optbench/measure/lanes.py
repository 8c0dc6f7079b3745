"""Lanes and what comes back from them: the values that pass between the driver of process pairs and its users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..core.equivalence import Equivalence
from ..core.findings import Finding
from ..core.pairs import Trial
from .memory import MemoryUse
from .record import Recorded


@dataclass(frozen=True)
class Lane:
    """One side of a comparison: what its children run.

    ``arguments`` are the pytest arguments of a child: those of the parent run as they were given; which
    benchmarks it runs is told over its channel. ``environment`` is complete but for what varies per pair.
    ``arm`` is the arm of ``optbench.compare`` that children of this lane measure, None for each in turn.
    Children report every module they imported from below ``tree`` (or from below the folder named by
    ``OPTBENCH_OTHER_TREE`` in their environment) and every one with a top-level name in ``names``.
    ``interpreter`` is the command line before the pytest arguments, see `child.command`.
    """

    name: str
    arguments: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str]
    interpreter: tuple[str, ...]
    arm: str | None = None
    tree: Path | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Module:
    """An imported module: its file as an absolute path, and the SHA-256 of that file, or `channel.UNREADABLE`."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Collected:
    """What the first child of a lane found: node ids of benchmarks in order, errors of collection as text."""

    lane: str
    benchmarks: tuple[str, ...]
    errors: tuple[str, ...]
    modules: Mapping[str, Module]


FailureKind = Literal["failed", "skipped", "no-benchmark", "died", "hung", "nonsense", "mismatch"]


@dataclass(frozen=True)
class Failure:
    """Why a benchmark has no trial in this pair: which lane, what happened, and the words or output that tell."""

    lane: str
    kind: FailureKind
    message: str

    def __str__(self) -> str:
        """Say it in one sentence, followed by the output."""
        return f"{self.lane}: {_WORDS[self.kind]}" + (f": {self.message}" if self.message else "")


_WORDS: dict[FailureKind, str] = {
    "failed": "the test failed",
    "skipped": "the test was skipped",
    "no-benchmark": "the test ended without measuring anything",
    "died": "the process ended before it was told to",
    "hung": "the process gave no answer in time and was ended",
    "nonsense": "the process said what is not part of the protocol and was ended",
    "mismatch": "the children did not arrive at the same measurement",
}


@dataclass(frozen=True)
class Sampled:
    """One benchmark in one pair.

    ``trials``, ``equality`` are by lane, for all lanes but the first, which is the baseline; ``memory``,
    ``metrics`` (what one untimed call recorded, by name) and ``info`` by lane for all: ``keys`` (of the test's
    optbench marker and call), ``config``, ``arm``, and what the ``benchmark`` fixture holds (``group``, ``name``,
    ``extra_info``). ``equality`` is empty where results were not to be compared. ``shortest_run_s`` is the
    shortest timed run in seconds.
    """

    loops: int
    micro_pairs: int
    trials: Mapping[str, Trial]
    shortest_run_s: float
    timed_s: float
    memory: Mapping[str, MemoryUse]
    equality: Mapping[str, Equivalence] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, Recorded]] = field(default_factory=dict)
    info: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class PairResult:
    """One pair of fresh processes that went through some benchmarks.

    ``measured`` and ``failures`` are by benchmark: the node id, with ``::`` and the name of the arm appended
    where one test measures several. ``hash_seed`` is None when the interpreter ignores the environment;
    ``padding`` is in bytes per lane; ``place`` is where in memory, in pages, the processes of the pair were put, None
    where the system does not allow it and each process has its own; ``modules`` are those imported by the end, by lane.
    """

    index: int
    hash_seed: int | None
    padding: Mapping[str, int]
    place: int | None
    measured: Mapping[str, Sampled]
    failures: Mapping[str, tuple[Failure, ...]]
    modules: Mapping[str, Mapping[str, Module]]
