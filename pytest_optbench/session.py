"""One benchmark: check, measure, decide, record.

    arms -> equivalence -> trials until a look decides -> equivalence again -> Decision -> document on disk

Measuring is serialised machine-wide by a lock, so benchmarks of other workers and runs wait their turn.
Whatever goes wrong after the arms are known ends in a document with a verdict, never in an ACCEPT.
"""

from __future__ import annotations

import json
import secrets
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .core.criteria import Equivalence
from .core.decision import Decision, decide
from .core.goal import Goal
from .core.judge import LookResult, look_candidates
from .core.pairs import Pairs, Trial
from .core.sequential import Schedule, schedule
from .document import Context, document
from .measure.arm import Arms
from .measure.equivalence import check
from .measure.errors import ArmRaised, MeasureError, TimeLimitReached
from .measure.findings import Finding
from .measure.inline import InlineRunner
from .measure.lock import measuring_lock
from .measure.memory import MemoryUse
from .measure.observe import observe
from .options import Settings
from .progress import Progress
from .report import junit, write_decision
from .report.templating import check_templates
from .store import ledger
from .store.files import check_writable

Call = Callable[..., Any]


@dataclass(frozen=True)
class Benchmark:
    """What a test asked for: the arms, how they are called and compared, and how they are judged."""

    node_id: str
    root: Path
    command: Sequence[str]
    baseline: Call
    candidates: Mapping[str, Call]
    single: bool
    setup: Call | None
    equal: Callable[[Any, Any], Any] | None
    config: Mapping[str, Any]
    description: Mapping[str, Any]
    settings: Settings

    @property
    def title(self) -> str:
        """The title given, or the test's name."""
        return str(self.description.get("title") or self.node_id.rpartition("::")[2])

    def identity(self, candidate: str) -> str:
        """The id of one decision: the node id, with the candidate when there are several."""
        return self.node_id if self.single else f"{self.node_id}::{candidate}"

    def name(self, candidate: str) -> str:
        """The title of one decision."""
        return self.title if self.single else f"{self.title}: {candidate}"

    @property
    def goal(self) -> Goal:
        """The question to decide."""
        if self.settings.goal == "no-regression":
            return Goal("no-regression", self.settings.max_slowdown)
        return Goal("speedup", self.settings.min_speedup)


@dataclass(frozen=True)
class Result:
    """One decision, as an object for the test and as a document for everybody else."""

    candidate: str
    decision: Decision
    document: str
    line: str
    properties: list[tuple[str, str]]
    traceback: str | None


@dataclass(frozen=True)
class Outcome:
    """The results of one benchmark, one per candidate."""

    results: tuple[Result, ...]

    @property
    def lines(self) -> dict[str, str]:
        """The line of every verdict that is not ACCEPT, by candidate."""
        return {r.candidate: r.line for r in self.results if not r.decision.accepted}


@dataclass
class _Record:
    """What was measured of one candidate so far."""

    schedule: Schedule
    trials: list[Trial] = field(default_factory=list)
    looks: list[LookResult] = field(default_factory=list)
    equivalence: Equivalence = field(default_factory=Equivalence)
    findings: list[Finding] = field(default_factory=list)

    @property
    def stopped(self) -> bool:
        return bool(self.looks) and self.looks[-1].stop


@dataclass
class _Run:
    """What was measured of a whole benchmark so far, and what forbids a verdict."""

    records: dict[str, _Record]
    reasons: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    memory: dict[str, MemoryUse] = field(default_factory=dict)
    traceback: str | None = None
    runner: InlineRunner | None = None
    overhead: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the seconds of the body to the overhead of ``phase``."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.overhead[phase] = self.overhead.get(phase, 0.0) + time.perf_counter() - began


def run_benchmark(benchmark: Benchmark, progress: Progress) -> Outcome:
    """Measure and decide ``benchmark``, write its documents and return them.

    Raises `StoreError` before measuring when the report folder cannot be written, and `InvalidArm` for an
    arm that cannot be measured as written; an arm that fails is a verdict, not an exception.
    """
    settings = benchmark.settings
    folder = Path(benchmark.root, settings.report_dir)
    check_writable(folder)
    check_templates(_templates(benchmark))
    seed = settings.seed if settings.seed is not None else secrets.randbelow(2**31)
    earlier = {name: ledger.earlier(folder, benchmark.identity(name)) for name in benchmark.candidates}
    attempt = max(ledger.attempt_number(entries) for entries in earlier.values())
    plan = schedule(
        settings.trials,
        settings.max_trials,
        benchmark.goal.one_sided(settings.alpha),
        attempt=attempt,
        candidates=len(benchmark.candidates),
    )
    run = _Run({name: _Record(plan) for name in benchmark.candidates})
    if settings.quick:
        run.reasons.append("quick")
    arms = Arms(benchmark.baseline, dict(benchmark.candidates), benchmark.setup, max_time_s=settings.max_time)
    with measuring_lock(progress.phase), arms:
        started = datetime.now(UTC)
        began = time.perf_counter()
        _measure(benchmark, arms, plan, seed, run, progress)
    with run.timed("analysis_s"):
        decisions = {name: _decide(record, run, benchmark.goal) for name, record in run.records.items()}
    results = []
    for name, decision in decisions.items():
        context = Context(
            benchmark=benchmark,
            candidate=name,
            seed=seed,
            started=started,
            seconds=time.perf_counter() - began,
            attempt=attempt,
            earlier=earlier[name],
            findings=(*run.findings, *run.records[name].findings),
            memory=run.memory,
            overhead=run.overhead,
            runner=run.runner,
        )
        written = write_decision(folder, document(decision, context), _templates(benchmark))
        results.append(_result(name, decision, written.json, run.traceback))
    return Outcome(tuple(results))


def _measure(
    benchmark: Benchmark, arms: Arms, plan: Schedule, seed: int, run: _Run, progress: Progress
) -> None:
    """Fill ``run``; an arm that raises or never returns ends measuring with its reason."""
    try:
        progress.phase("checking results")
        with run.timed("equivalence_s"):
            for arm in arms:  # first of all: what an arm changes once it would not change again
                seen = observe(arm)
                run.memory[arm.name] = seen.memory
                run.findings += seen.findings
            _check(benchmark, arms, run, "before timing")
        if all(r.equivalence.passed is False for r in run.records.values()):
            return
        progress.phase("calibrating")
        with InlineRunner(arms, looks=plan.looks, seed=seed, cpus=benchmark.settings.cpus) as runner:
            run.runner = runner
            _trials(benchmark, runner, plan, run, progress)
        progress.phase("checking results again")
        with run.timed("equivalence_s"):
            _check(benchmark, arms, run, "after timing")
    except ArmRaised as error:
        run.reasons.append("arm-raised")
        run.traceback = "".join(traceback.format_exception(error.original))
        run.findings.append(Finding("arm-raised", "error", str(error)))
    except TimeLimitReached as error:
        run.reasons.append("time-limit")
        run.findings.append(Finding("time-limit", "error", str(error)))
    if run.runner is not None:
        run.findings += run.runner.findings
        run.overhead |= run.runner.overhead
        if any(f.level == "error" for f in run.runner.findings):
            run.reasons.append("invalid-measurement")


def _check(benchmark: Benchmark, arms: Arms, run: _Run, when: str) -> None:
    """Compare results on fresh calls; what differed once stays different."""
    for name, found in check(arms, benchmark.equal).items():
        record = run.records[name]
        if record.equivalence.passed is not False:
            record.equivalence = Equivalence(
                found.checked, found.passed, f"{found.how}, {when}", found.message
            )
            record.findings = [f for f in record.findings if f.code != "same-object"] + list(found.findings)


def _trials(
    benchmark: Benchmark, runner: InlineRunner, plan: Schedule, run: _Run, progress: Progress
) -> None:
    """Measure look by look until every candidate is decided or the time is over."""
    start = 0
    accepted: set[str] = set()
    names = list(run.records)
    for k, stop in enumerate(plan.looks):
        for trials in runner.trials(start, stop):
            for name, trial in zip(names, trials, strict=True):
                if not run.records[name].stopped:
                    run.records[name].trials.append(trial)
            progress.pairs(trials[0].index + 1, plan.looks[-1], _estimate(run))
        if runner.out_of_time:
            run.reasons.append("time-limit")
            return
        start = stop
        with run.timed("analysis_s"):
            open_ = {n: Pairs.from_trials(r.trials) for n, r in run.records.items() if not r.stopped}
            seen = look_candidates(open_, plan, k, benchmark.goal, accepted)
        for name, result in seen.items():
            run.records[name].looks.append(result)
            if result.verdict.value == "ACCEPT":
                accepted.add(name)
        if all(record.stopped for record in run.records.values()):
            return


def _estimate(run: _Run) -> str:
    """Return the current estimate of the first open candidate for the progress line."""
    for record in run.records.values():
        ratios = sorted(trial.log_ratio for trial in record.trials)
        if ratios and not record.stopped:
            middle = ratios[len(ratios) // 2]
            return f"about {100 * (1 - 2.718281828459045**middle):+.1f} % time saved"
    return ""


def _decide(record: _Record, run: _Run, goal: Goal) -> Decision:
    """Return the decision on one candidate; reasons of the run do not undo a look that stopped before."""
    runner = run.runner
    reasons = [r for r in run.reasons if not (r == "time-limit" and record.stopped)]
    load = getattr(runner, "load", None)
    clock = None
    if runner is not None and hasattr(runner, "calibration"):
        clock = runner.calibration.resolution_s / min(runner.calibration.run_s.values())
    return decide(
        Pairs.from_trials(record.trials),
        record.schedule,
        record.looks,
        goal,
        equivalence=record.equivalence,
        reasons=reasons,
        load=None if load is None else load.elsewhere,
        steal=None if load is None else load.steal,
        clock_resolution=clock,
    )


def _result(candidate: str, decision: Decision, path: Path, trace: str | None) -> Result:
    text = path.read_text(encoding="utf-8")
    written = json.loads(text)
    return Result(
        candidate=candidate,
        decision=decision,
        document=text,
        line=written["summary"],
        properties=junit.properties(written),
        traceback=trace,
    )


def _templates(benchmark: Benchmark) -> Path | None:
    given = benchmark.settings.templates
    return Path(benchmark.root, given) if given else None


__all__ = ["Benchmark", "MeasureError", "Outcome", "Result", "run_benchmark"]
