"""One benchmark across the two revisions: what is asked of it, what was measured, how it ends."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..comparison import Comparison
from ..core.equivalence import Equivalence
from ..core.findings import Finding
from ..core.sequential import schedule
from ..isolation import Pairs, forbid
from ..measure.lanes import Failure, PairResult, Sampled
from ..measure.load import Load
from ..measure.process import ProcessPairs
from ..measured_metrics import memory_of_processes, recorded_in_pairs
from ..options import Settings
from ..results import Outcome, Preparation, conclude, prepare
from ..store import ledger
from ..subject import Side as SubjectSide
from ..subject import Subject, goal_of
from .sides import BASELINE, OPTIMIZED


@dataclass(frozen=True)
class Wanted:
    """A benchmark of the working tree, as the parent's pytest collected it.

    ``declared`` is true for tests that use the ``optbench`` fixture: their results must agree on both sides.
    For others nobody said so, and a difference is a warning. ``line`` counts from 1.
    """

    node_id: str
    name: str
    file: str
    line: int | None
    declared: bool
    marker: Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """What is asked of one measured region: settings and the author's description."""

    settings: Settings
    description: Mapping[str, Any]
    config: Mapping[str, Any]


@dataclass
class Region:
    """One measured region of a test (the test itself, or one arm of a comparison) while pairs come in."""

    key: str
    prepared: Preparation
    run: Comparison
    pairs: Pairs = field(default_factory=Pairs)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: float = field(default_factory=time.perf_counter)

    @property
    def settled(self) -> bool:
        """Whether no further pair is needed."""
        return self.run.stopped or self.run.different or bool(set(self.run.reasons) - {"quick"})

    @property
    def last(self) -> int:
        """The largest number of pairs there may be."""
        return self.run.plan.looks[-1]

    @property
    def spent_s(self) -> float:
        """Seconds spent measuring so far, both sides together."""
        return sum(each.timed_s for each in self.pairs.sampled)

    def take(self, pair: PairResult, sampled: Sampled, *, declared: bool) -> None:
        """Add what one pair measured, and judge it when a look is due."""
        self.pairs.take(pair, sampled)
        found = sampled.equality.get(OPTIMIZED)
        if found is not None:
            self._check(found, declared)
        self.run.add({OPTIMIZED: sampled.trials[OPTIMIZED]})
        self.run.look()
        limit = self.prepared.settings.max_time
        if not self.settled and self.spent_s > limit:
            self.run.forbid("time-limit", f"{self.spent_s:.0f} s of measuring, the limit is {limit:g} s")

    def fail(self, failures: Sequence[Failure]) -> None:
        """Note that this benchmark cannot be measured any further."""
        forbid(self.run, failures)

    def conclude(self, driver: ProcessPairs, load: Load) -> Outcome:
        """Decide, write the document and return the outcome; raises `StoreError`."""
        run, record = self.run, self.run.records[OPTIMIZED]
        for lane in (BASELINE, OPTIMIZED):
            use = self.pairs.memory(lane)
            if use is not None:
                run.memory[lane] = use
        margin = self.prepared.settings.max_memory
        peaks = self.pairs.peaks(OPTIMIZED)
        if margin is not None:
            record.metrics.append(memory_of_processes(margin, peaks))
        record.metrics += recorded_in_pairs(
            [each.metrics for each in self.pairs.sampled], BASELINE, OPTIMIZED
        )
        measured = self.pairs.measured(
            driver, self.key, [OPTIMIZED], {"cpus": list(self.prepared.settings.cpus)}
        )
        run.measured = replace(measured, load=load.elsewhere, steal=load.steal)
        run.findings += self.pairs.findings
        if any(finding.level == "error" for finding in self.pairs.findings):
            run.reasons.append("invalid-measurement")
        run.overhead["timed_s"] = self.spent_s
        return conclude(self.prepared, run, self.started, self.began)

    def _check(self, found: Equivalence, declared: bool) -> None:
        """Note how the results compared; where nobody declared them equal a difference is a warning.

        Declared results that could not be compared are a comparison that failed, not one nobody asked for.
        """
        record = self.run.records[OPTIMIZED]
        if declared and not found.checked:
            record.check(Equivalence(True, None, found.how, found.message))
            return
        if declared or found.passed is not False:
            record.check(found)
            return
        message = f"the two revisions return different results: {found.message}"
        record.findings = [f for f in record.findings if f.code != "results-differ"]
        record.findings.append(Finding("results-differ", "warn", message))
        record.check(Equivalence(checked=False, how="not required by the benchmark fixture"))


def open_region(
    key: str,
    wanted: Wanted,
    question: Question,
    code: Mapping[str, Mapping[str, Any]],
    root: Path,
    command: Sequence[str],
    held: Mapping[str, Any] | None,
) -> Region:
    """Return the region ``key`` of a test with its plan; raises `StoreError`."""
    arm = key.removeprefix(wanted.node_id).removeprefix("::")
    title = str(question.description.get("title") or wanted.name)
    place = {"name": arm or wanted.name, "file": wanted.file, "line": wanted.line}
    subject = Subject(
        identity=key,
        title=f"{title}: {arm}" if arm else title,
        root=root,
        command=command,
        settings=question.settings,
        baseline=SubjectSide(
            f"{arm or wanted.name} at {code[BASELINE]['revision']}", {**place, **code[BASELINE]}
        ),
        optimized=SubjectSide(f"{arm or wanted.name} now", {**place, **code[OPTIMIZED]}),
        description=question.description,
        config=question.config,
    )
    prepared = prepare({OPTIMIZED: subject}, question.settings, root, held)
    prepared = _same_question(prepared, code)
    return Region(key, prepared, prepared.comparison())


def _same_question(prepared: Preparation, code: Mapping[str, Mapping[str, Any]]) -> Preparation:
    """Count attempts on the same two codes only: another code is another question."""
    attempt = ledger.attempt_on(prepared.earlier[OPTIMIZED], ledger.codes(code))
    if attempt == prepared.attempt:
        return prepared
    settings = prepared.settings
    plan = schedule(
        settings.trials, settings.max_trials, goal_of(settings).one_sided(settings.alpha), attempt=attempt
    )
    return replace(prepared, attempt=attempt, plan=plan)


def regions_of(node_id: str, pair: PairResult) -> dict[str, Sampled]:
    """Return what a pair measured of one test, by region."""
    return {k: v for k, v in pair.measured.items() if k == node_id or k.startswith(f"{node_id}::")}
