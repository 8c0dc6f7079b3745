"""One benchmark of a test: check, measure, decide, record.

    arms -> equivalence -> trials until a look decides -> equivalence again -> Decision -> document on disk

Measuring is serialised machine-wide by a lock, so benchmarks of other workers and runs wait their turn.
Whatever goes wrong after the arms are known ends in a document with a verdict, never in an ACCEPT.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .comparison import Comparison, Measured
from .core.equivalence import Equivalence
from .document import code_of, function_name
from .isolation import Invocation, trials_in_processes
from .measure.arm import Arms
from .measure.equivalence import check
from .measure.errors import ArmRaised, MeasureError, TimeLimitReached
from .measure.garbage import heap_set_aside
from .measure.inline import InlineRunner
from .measure.lock import measuring_lock
from .measure.memory import MemoryWatch
from .measure.observe import memory_again, observe, record_pairs
from .measured_metrics import (
    MEMORY_ROUNDS,
    memory,
    memory_of_processes,
    much_more_memory,
    recorded,
    recorded_in_pairs,
)
from .options import Settings
from .progress import Progress
from .results import Outcome, Result, conclude, prepare
from .store.ledger import Entry
from .subject import Side, Subject

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
    invocation: Invocation
    held: Mapping[str, Sequence[Entry]] | None = None  # earlier decisions by id, of the history

    @property
    def title(self) -> str:
        """The title given, or the test's name."""
        return str(self.description.get("title") or self.node_id.rpartition("::")[2])

    def subjects(self) -> dict[str, Subject]:
        """Return what is decided, by candidate; ids and titles name the candidate when there are several."""
        baseline = Side(function_name(self.baseline), code_of(self.baseline, self.root))
        return {
            name: Subject(
                identity=self.node_id if self.single else f"{self.node_id}::{name}",
                title=self.title if self.single else f"{self.title}: {name}",
                root=self.root,
                command=self.command,
                settings=self.settings,
                baseline=baseline,
                optimized=Side(function_name(call) if self.single else name, code_of(call, self.root)),
                description=self.description,
                config=self.config,
            )
            for name, call in self.candidates.items()
        }


def run_benchmark(benchmark: Benchmark, progress: Progress) -> Outcome:
    """Measure and decide ``benchmark``, write its documents and return them.

    Raises `StoreError` before measuring when the report folder cannot be written, and `InvalidArm` for an
    arm that cannot be measured as written; an arm that fails is a verdict, not an exception.
    """
    settings = benchmark.settings
    arms = Arms(benchmark.baseline, dict(benchmark.candidates), benchmark.setup, max_time_s=settings.max_time)
    # Earlier decisions are read and this one is written under the lock: a session waited for may decide the same
    # subject, and its decision counts as an attempt.
    with measuring_lock(progress.waiting):
        prepared = prepare(benchmark.subjects(), settings, benchmark.root, benchmark.held)
        run = prepared.comparison()
        with arms:
            started = datetime.now(UTC)
            began = time.perf_counter()
            _measure(benchmark, arms, prepared.seed, run, progress)
        return conclude(prepared, run, started, began)


def _measure(benchmark: Benchmark, arms: Arms, seed: int, run: Comparison, progress: Progress) -> None:
    """Fill ``run``; an arm that raises or never returns ends measuring with its reason."""
    runner: InlineRunner | None = None
    inline = benchmark.settings.isolation == "inline"
    try:
        progress.phase("checking results")
        with run.timed("equivalence_s"), MemoryWatch() as watch, heap_set_aside():
            for arm in arms:  # first of all: what an arm changes once it would not change again
                seen = observe(arm, watch)
                run.memory[arm.name] = seen.memory
                run.findings += seen.findings
            _check(benchmark, arms, run, "before timing")
            if inline:
                _memory(benchmark.settings.max_memory, arms, watch, run)
        if run.different:
            return
        progress.phase("calibrating" if inline else "starting processes")
        if inline:
            with InlineRunner(arms, looks=run.plan.looks, seed=seed, cpus=benchmark.settings.cpus) as runner:
                _trials(runner, run, progress)
        else:
            _isolated(benchmark, arms, seed, run, progress)
            if run.traceback is not None:
                return
        with run.timed("equivalence_s"):
            if inline and arms.recordings.noisy:
                progress.phase("recording metrics")
                record_pairs(arms, run.plan.looks[0], seed)
            progress.phase("checking results again")
            _check(benchmark, arms, run, "after timing")
    except ArmRaised as error:
        run.forbid("arm-raised", str(error))
        run.traceback = "".join(traceback.format_exception(error.original))
    except TimeLimitReached as error:
        run.forbid("time-limit", str(error))
    if inline:
        for name, record in run.records.items():
            record.metrics += recorded(arms.recordings, name)
    if runner is not None:
        run.findings += runner.findings
        run.overhead |= runner.overhead
        if any(f.level == "error" for f in runner.findings):
            run.reasons.append("invalid-measurement")
        run.measured = _measured(runner, list(run.records))


def _isolated(benchmark: Benchmark, arms: Arms, seed: int, run: Comparison, progress: Progress) -> None:
    """Measure in pairs of fresh processes; memory and recorded numbers that count are then those of the processes."""
    margin = benchmark.settings.max_memory
    pairs = trials_in_processes(
        benchmark.node_id,
        benchmark.invocation,
        benchmark.settings,
        seed,
        run,
        arms.limit,
        progress,
        is_async=any(arm.needs_event_loop for arm in arms),
    )
    for arm in arms:
        run.memory[arm.name] = pairs.memory(arm.name) or run.memory[arm.name]
    for name, record in run.records.items():
        if margin is not None:
            record.metrics.append(memory_of_processes(margin, pairs.peaks(name)))
        record.metrics += recorded_in_pairs([each.metrics for each in pairs.sampled], "baseline", name)


def _memory(margin: float | None, arms: Arms, watch: MemoryWatch, run: Comparison) -> None:
    """Look at the memory of further calls where it is judged, else warn of much more of it."""
    later = memory_again(arms, watch, MEMORY_ROUNDS) if margin is not None else {}
    for name, record in run.records.items():
        first = run.memory["baseline"], run.memory[name]
        if margin is None:
            record.findings += much_more_memory(*first)
        else:
            record.metrics += memory(margin, first, (later["baseline"], later[name]))


def _check(benchmark: Benchmark, arms: Arms, run: Comparison, when: str) -> None:
    """Compare results on fresh calls."""
    for name, found in check(arms, benchmark.equal).items():
        seen = Equivalence(found.checked, found.passed, f"{found.how}, {when}", found.message)
        run.records[name].check(seen, found.findings)


def _trials(runner: InlineRunner, run: Comparison, progress: Progress) -> None:
    """Measure look by look until every candidate is decided or the time is over."""
    for stop in run.plan.looks:
        for trials in runner.trials(run.pairs_done, stop):
            run.add(dict(zip(run.records, trials, strict=True)))
            progress.pairs(run.pairs_done, run.plan.looks[-1], run.estimate())
        if runner.out_of_time:
            run.reasons.append("time-limit")
            return
        run.look()
        if run.stopped:
            return


def _measured(runner: InlineRunner, candidates: Sequence[str]) -> Measured:
    """Return how was measured, as far as the runner came."""
    load = getattr(runner, "load", None)
    calibration = getattr(runner, "calibration", None)
    return Measured(
        protocol={name: runner.protocol(c) for c, name in enumerate(candidates, start=1)}
        if hasattr(runner, "plan")
        else {},
        load=None if load is None else load.elsewhere,
        steal=None if load is None else load.steal,
        clock_resolution_s=None if calibration is None else calibration.resolution_s,
        shortest_run_s=None if calibration is None else min(calibration.run_s.values()),
    )


__all__ = ["Benchmark", "MeasureError", "Outcome", "Result", "run_benchmark"]
