"""What a validation gave: results, batches, statistics and findings about the run itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from optengine.rules.model import RuleResult, Severity, Status


class _ByName:
    """Lets the fields of a dataclass be read as ``record["name"]`` too, and ``dict(record)`` work."""

    def __getitem__(self, name: str) -> Any:
        if name not in self.keys():
            raise KeyError(name)
        return getattr(self, name)

    def keys(self) -> list[str]:
        """Names of the fields."""
        return [one.name for one in fields(self)]  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())


@dataclass
class WorkerReport(_ByName):
    """One worker as it reported itself.

    ``attached`` is False when it had to read files from the disk; ``why`` then says so.
    """

    worker: str
    attached: bool
    mapped_bytes: int = 0
    attach_s: float = 0.0
    rules: int = 0
    busy_s: float = 0.0
    peak_bytes: int = 0
    why: str | None = None


@dataclass
class Batch(_ByName):
    """One batch: its rules by id, how they were run, and the wall time.

    In worker processes a rule starts once its own requirements are done, so batches overlap there.

    Attributes:
        seconds: from the end of the batch before it to its own; all batches add up to the run.
        units: units that rules of the batch ran in, second attempts included.
        ran, cached, skipped: rules by where their result came from.
        rule_s: time inside its own rules, summed over workers.
        overhead_s: *seconds* less the share per worker of all rules that finished in them.
    """

    index: int
    rules: list[str]
    seconds: float = 0.0
    units: int = 0
    ran: int = 0
    cached: int = 0
    skipped: int = 0
    mode: str = "sequential"
    rule_s: float = 0.0
    overhead_s: float = 0.0


@dataclass
class Stats(_ByName):
    """Counts and times of one run. Seconds are wall time unless said otherwise.

    Attributes:
        mode: how rules were run: sequential (in mode auto in a forked child), threads, processes; several joined by
            ``+``, such as ``sequential+processes`` when auto changed over or ``processes+threads`` when the pool was
            lost. Single rules that no worker could take are not in it, but in *fallbacks* and *ran*.
        requested_mode: what was asked for.
        ran: how many rules have a result from each mode; see :attr:`RuleResult.mode`.
        reason: why mode auto did what it did; empty in other modes.
        workers: workers used at most.
        worker_reason: why so many.
        crashes: rules whose final status is CRASH.
        timeouts: rules whose final status is TIMEOUT.
        retries: rules that were started a second time.
        fallbacks: times a batch or a rule had to run in threads instead of processes.
        fallback_reasons: why, one line each.
        wall_s: whole run.
        index_s: listing the tree, reading and hashing what the shared segment needs.
        startup_s: from asking for the pool to its first unit running.
        serialisation_s: pickling and unpickling units, summed over parent and workers.
        transfer_s: units under way to an idle worker and results under way back, summed over units.
        rule_s: time inside rules, summed over workers.
        segment_bytes: size of the shared segment; 0 when none was made.
        peak_memory: peak bytes of this process and its workers; see ``memory_how``.
        memory_how: how that was measured.
        cache_hits: results taken from the store.
        uncached: rule id to why its result was not stored.
        vacuous: rules that passed without having looked at anything that exists.
        hashed_files: files read to be hashed.
        changed_since: what the git pre-filter did; None when not asked for.
        worker_reports: one per worker process.
    """

    mode: str = "sequential"
    requested_mode: str = "auto"
    ran: dict[str, int] = field(default_factory=dict)
    reason: str = ""
    workers: int = 1
    worker_reason: str = ""
    crashes: int = 0
    timeouts: int = 0
    retries: int = 0
    fallbacks: int = 0
    fallback_reasons: list[str] = field(default_factory=list)
    wall_s: float = 0.0
    index_s: float = 0.0
    startup_s: float = 0.0
    serialisation_s: float = 0.0
    transfer_s: float = 0.0
    rule_s: float = 0.0
    segment_bytes: int = 0
    peak_memory: int = 0
    memory_how: str = ""
    cache_hits: int = 0
    uncached: dict[str, str] = field(default_factory=dict)
    vacuous: list[str] = field(default_factory=list)
    hashed_files: int = 0
    changed_since: str | None = None
    worker_reports: list[WorkerReport] = field(default_factory=list)

    @property
    def overhead(self) -> float:
        """Share of the wall time spent on start-up, serialisation and transfer (the last two per worker)."""
        spent = self.startup_s + (self.serialisation_s + self.transfer_s) / max(self.workers, 1)
        return spent / self.wall_s if self.wall_s else 0.0


@dataclass
class Report:
    """Results in the order of the rule set, exactly one per rule."""

    root: str
    results: list[RuleResult]
    batches: list[Batch]
    stats: Stats

    @property
    def counts(self) -> dict[str, int]:
        """How many results per status; every status is present."""
        counts: dict[str, int] = {status.value: 0 for status in Status}
        for result in self.results:
            counts[result.status.value] += 1
        return counts

    def findings(self, min_severity: str | Severity = Severity.INFO) -> list[RuleResult]:
        """Results that need attention (FAIL, ERROR, TIMEOUT, CRASH) at or above a severity."""
        floor = Severity.of(min_severity).rank
        return [one for one in self.results if one.status.is_finding and one.severity.rank >= floor]

    def result(self, rule_id: str) -> RuleResult:
        """The result of one rule. Raises KeyError."""
        for one in self.results:
            if one.rule_id == rule_id:
                return one
        raise KeyError(rule_id)

    @property
    def verdicts(self) -> list[tuple[str, str, str, str]]:
        """What must be equal in every mode; see :attr:`RuleResult.verdict`."""
        return [one.verdict for one in self.results]
