"""What every reader makes of a file: benchmarks with their times, grouped by the process they were taken in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Summary:
    """What a file says of values it does not hold: seconds per call over ``n`` of them, None where it is silent."""

    mean_s: float
    sd_s: float | None
    median_s: float | None
    min_s: float | None
    n: int | None


@dataclass(frozen=True)
class Recorded:
    """One benchmark of one file.

    ``processes`` holds seconds per call in the order they were taken, one inner tuple for each process; it is
    empty when the file keeps a summary only. ``control`` is the same for the unchanged code measured beside it,
    where the file has such an arm; ``control_code`` identifies that code. ``failed_runs`` counts runs that
    ended badly, ``peak_bytes`` is the memory of each process where it was recorded. ``note`` says
    what is special about the values.
    """

    name: str
    processes: tuple[tuple[float, ...], ...] = ()
    summary: Summary | None = None
    control: tuple[tuple[float, ...], ...] = ()
    control_code: str | None = None
    failed_runs: int = 0
    peak_bytes: tuple[float, ...] = ()
    note: str | None = None
    summary_of_one_process: bool = False

    @property
    def one_process(self) -> bool:
        """Whether all values come from one process."""
        return len(self.processes) == 1 or self.summary_of_one_process

    @property
    def values(self) -> int | None:
        """How many values the file holds, or says it was summarised from; None where it does not say."""
        if self.processes:
            return sum(len(process) for process in self.processes)
        return self.summary.n if self.summary else None


@dataclass(frozen=True)
class File:
    """One file: the tool that wrote it, its benchmarks in their order, and where they were recorded.

    ``machine`` holds what must be equal for two files to be comparable, None where the file is silent;
    ``facts`` what is shown only. ``skipped`` says in words what was left out.
    """

    name: str
    sha256: str
    tool: str
    version: str
    benchmarks: Sequence[Recorded]
    machine: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Tool and version: ``pyperf 2.10.0``."""
        return f"{self.tool} {self.version}".strip()
