"""One comparison while it is measured: trials of every candidate, the looks at them, what forbids a verdict.

    add(trials of one pair) -> look() when one is due -> ... until stopped -> decide(candidate)

It does not know how trials come about: in this process, in pairs of processes, or at two revisions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .core.decision import Decision, decide
from .core.equivalence import Equivalence
from .core.findings import Finding
from .core.goal import Goal
from .core.judge import LookResult, look_candidates
from .core.metrics import Metric, Samples, judge
from .core.pairs import Pairs, Trial
from .core.sequential import Schedule
from .measure.memory import MemoryUse


@dataclass(frozen=True)
class Measured:
    """How the trials of a comparison were measured.

    ``protocol`` maps a candidate to its part of the document; ``load`` and ``steal`` are fractions of the
    machine's time used elsewhere and taken by the host; ``shortest_run_s`` is the shortest timed run in
    seconds. None where unknown.
    """

    protocol: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    load: float | None = None
    steal: float | None = None
    clock_resolution_s: float | None = None
    shortest_run_s: float | None = None

    @property
    def clock_resolution(self) -> float | None:
        """Clock resolution as a fraction of the shortest timed run."""
        if self.clock_resolution_s is None or not self.shortest_run_s:
            return None
        return self.clock_resolution_s / self.shortest_run_s


@dataclass
class Record:
    """What was measured of one candidate so far."""

    trials: list[Trial] = field(default_factory=list)
    looks: list[LookResult] = field(default_factory=list)
    equivalence: Equivalence = field(default_factory=Equivalence)
    findings: list[Finding] = field(default_factory=list)
    metrics: list[tuple[Metric, Samples]] = field(default_factory=list)

    @property
    def stopped(self) -> bool:
        """Whether a look has settled it."""
        return bool(self.looks) and self.looks[-1].stop

    def check(self, found: Equivalence, findings: tuple[Finding, ...] = ()) -> None:
        """Note the outcome of comparing results; what differed once stays different."""
        if self.equivalence.passed is not False:
            self.equivalence = found
            self.findings = [f for f in self.findings if f.code != "same-object"] + list(findings)


@dataclass
class Comparison:
    """One baseline against its candidates.

    ``reasons`` are codes that forbid a verdict for all candidates; ``memory`` is by arm name, ``overhead`` in
    seconds by phase; ``interrupted`` says that the checks after the last trial may be missing.
    """

    plan: Schedule
    goal: Goal
    records: dict[str, Record]
    reasons: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    memory: dict[str, MemoryUse] = field(default_factory=dict)
    overhead: dict[str, float] = field(default_factory=dict)
    traceback: str | None = None
    measured: Measured = field(default_factory=Measured)
    pairs_done: int = 0
    interrupted: bool = False

    @property
    def stopped(self) -> bool:
        """Whether every candidate is settled."""
        return all(record.stopped for record in self.records.values())

    @property
    def different(self) -> bool:
        """Whether every candidate was seen to return something else than the baseline."""
        return all(record.equivalence.passed is False for record in self.records.values())

    def forbid(self, reason: str, message: str) -> None:
        """Note why no verdict can be reached; never undoes what differing results settle."""
        self.interrupted = True
        self.reasons.append(reason)
        self.findings.append(Finding(reason, "error", message))

    def add(self, trials: Mapping[str, Trial]) -> None:
        """Take one more pair, with the trial of every candidate; those already settled ignore theirs."""
        self.pairs_done += 1
        for name, record in self.records.items():
            if not record.stopped:
                record.trials.append(trials[name])

    def look(self) -> None:
        """Judge when the pairs done are those of a planned look, else do nothing."""
        if self.pairs_done not in self.plan.looks or self.stopped:
            return
        k = self.plan.looks.index(self.pairs_done)
        accepted = {n for n, r in self.records.items() if r.looks and r.looks[-1].verdict.value == "ACCEPT"}
        with self.timed("analysis_s"):
            open_ = {n: Pairs.from_trials(r.trials) for n, r in self.records.items() if not r.stopped}
            seen = look_candidates(open_, self.plan, k, self.goal, accepted)
        for name, result in seen.items():
            self.records[name].looks.append(result)

    def decide(self, candidate: str) -> Decision:
        """Return the decision on one candidate.

        Time that ran out between two runs does not undo a look that stopped before. An arm that had to be
        interrupted does: the results were not compared again, and it may be this candidate's.
        """
        record = self.records[candidate]
        settled = record.stopped and not self.interrupted
        return decide(
            Pairs.from_trials(record.trials),
            self.plan,
            record.looks,
            self.goal,
            equivalence=record.equivalence,
            reasons=[r for r in self.reasons if not (r == "time-limit" and settled)],
            load=self.measured.load,
            steal=self.measured.steal,
            clock_resolution=self.measured.clock_resolution,
            metrics=[judge(metric, samples) for metric, samples in record.metrics],
        )

    def estimate(self) -> str:
        """Return the current estimate of the first open candidate, for the progress line."""
        for record in self.records.values():
            ratios = sorted(trial.log_ratio for trial in record.trials)
            if ratios and not record.stopped:
                return f"about {-100 * math.expm1(ratios[len(ratios) // 2]):+.1f} % time saved"
        return ""

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the seconds of the body to the overhead of ``phase``."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.overhead[phase] = self.overhead.get(phase, 0.0) + time.perf_counter() - began
