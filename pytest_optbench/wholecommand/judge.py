"""One comparison of whole commands: check, measure, decide, record, as `pytest_optbench.session` does for callables."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ..comparison import Comparison, Measured
from ..core.equivalence import Equivalence
from ..core.findings import Finding
from ..core.metrics import Samples
from ..measure.affinity import pinned
from ..measure.errors import ArmRaised, TimeLimitReached
from ..measure.load import Load, load_between, sample_load
from ..measure.lock import measuring_lock
from ..measure.memory import MemoryUse
from ..measure.time_limit import TimeLimit
from ..measured_metrics import memory_of_processes
from ..options import Settings
from ..progress import Progress
from ..results import Outcome, conclude, prepare
from ..store.ledger import Entry
from ..subject import Side, Subject
from .command import Command
from .runner import CommandRunner
from .spawn import Run, Spawner

BASELINE: Final = "baseline"
_COMPARED: Final = 64 * 2**10
_NOTABLE_START_UP: Final = 0.1


@dataclass(frozen=True)
class Benchmark:
    """What is asked: the baseline, its candidates by name, and how they are run and judged.

    The commands run in ``cwd``; the report folder is relative to ``root``. ``line`` are the words of the command
    line that asked, for the record.
    """

    baseline: Command
    candidates: Mapping[str, Command]
    settings: Settings
    cwd: Path
    root: Path
    line: Sequence[str] = ()
    title: str | None = None
    setup: Command | None = None
    equal_output: bool = True
    description: Mapping[str, Any] = field(default_factory=dict)
    held: Mapping[str, Sequence[Entry]] | None = None  # earlier decisions by id, of the history

    def subjects(self) -> dict[str, Subject]:
        """Return what is decided, by candidate."""
        baseline = Side(self.baseline.shown, self.baseline.code(self.cwd))
        subjects: dict[str, Subject] = {}
        for name, command in self.candidates.items():
            title = self._title(command)
            same = sum(subject.title.partition(" (#")[0] == title for subject in subjects.values())
            title = f"{title} (#{same + 1})" if same else title
            subjects[name] = Subject(
                identity=f"command::{title}",
                title=title,
                root=self.root,
                command=self.line,
                settings=self.settings,
                baseline=baseline,
                optimized=Side(command.shown, command.code(self.cwd)),
                description=self.description,
                program="optbench",
            )
        return subjects

    def _title(self, command: Command) -> str:
        if self.title is None:
            return f"{command.shown} against {self.baseline.shown}"
        return self.title if len(self.candidates) == 1 else f"{self.title}: {command.shown}"


def run_commands(benchmark: Benchmark, progress: Progress) -> Outcome:
    """Measure and decide, write the documents and return them; a command that fails is a verdict.

    Raises `StoreError` before measuring when the report folder cannot be written, `MeasureError` when a command
    cannot be started or the lock not be had.
    """
    settings = benchmark.settings
    # Earlier decisions are read and this one is written under the lock: a run waited for may decide the same
    # commands, and its decision counts as an attempt.
    with measuring_lock(progress.waiting):
        prepared = prepare(benchmark.subjects(), settings, benchmark.root, benchmark.held)
        run = prepared.comparison()
        with pinned(settings.cpus) as cpus, Spawner(benchmark.cwd) as spawner:
            started, began = datetime.now(UTC), time.perf_counter()
            runner = CommandRunner(
                {BASELINE: benchmark.baseline, **benchmark.candidates},
                spawner,
                TimeLimit(settings.max_time),
                setup=benchmark.setup,
                looks=run.plan.looks,
                seed=prepared.seed,
            )
            before = sample_load()
            try:
                _measure(benchmark, runner, spawner, run, progress)
            except ArmRaised as error:
                run.forbid("arm-raised", str(error))
            except TimeLimitReached as error:
                run.forbid("time-limit", str(error))
            load = load_between(before, sample_load())
        run.overhead |= runner.overhead
        run.findings += _start_up(runner)
        _judge_memory(settings.max_memory, runner, run)
        run.measured = _measured(runner, load, list(run.records), cpus if settings.cpus else ())
        return conclude(prepared, run, started, began)


def _measure(
    benchmark: Benchmark, runner: CommandRunner, spawner: Spawner, run: Comparison, progress: Progress
) -> None:
    progress.phase("checking output")
    with run.timed("equivalence_s"):
        _observe(runner, spawner, run, benchmark.equal_output)
    if benchmark.equal_output and all(r.equivalence.passed is not True for r in run.records.values()):
        return
    progress.phase("calibrating")
    runner.prepare()
    for stop in run.plan.looks:
        for trials in runner.trials(run.pairs_done, stop):
            run.add(trials)
            progress.pairs(run.pairs_done, run.plan.looks[-1], run.estimate())
        if runner.out_of_time:
            run.reasons.append("time-limit")
            break
        run.look()
        if run.stopped:
            break
    if benchmark.equal_output:
        _compare_all(runner, run)


def _observe(runner: CommandRunner, spawner: Spawner, run: Comparison, equal_output: bool) -> None:
    """Run every arm untimed: memory of the tree, what it leaves running, and whether outputs are the same."""
    starts: dict[str, bytes] = {}
    for name in runner.names:
        seen = runner.check(name, 0, sample=True)
        starts[name] = spawner.output(_COMPARED)
        run.memory[name] = _memory(seen, runner.floor_bytes)
        if seen.left:
            words = (
                f"arm {name!r} leaves {seen.left} processes running when it ends; they are ended each time"
            )
            run.findings.append(Finding("left-processes", "warn", words))
    if not equal_output:
        return
    runner.check(BASELINE, 1)
    how = "stdout byte for byte and exit status, of every run"
    if len(runner.digests[BASELINE]) > 1:
        words = "two runs of the baseline write different things; compare speed alone with --no-equal-output"
        for record in run.records.values():
            record.check(Equivalence(True, None, how, words))
        return
    for name, record in run.records.items():
        same = runner.digests[name] == runner.digests[BASELINE]
        record.check(
            Equivalence(True, same, how, None if same else _difference(starts[BASELINE], starts[name]))
        )


def _compare_all(runner: CommandRunner, run: Comparison) -> None:
    """Judge the output of the timed runs as well."""
    how = "stdout byte for byte and exit status, of every run"
    for name, record in run.records.items():
        if len(runner.digests[BASELINE]) > 1:
            words = "runs of the baseline wrote different things; compare speed alone with --no-equal-output"
            record.check(Equivalence(True, None, how, words))
        elif runner.digests[name] != runner.digests[BASELINE]:
            words = f"a timed run of {name!r} wrote something else than the baseline"
            record.check(Equivalence(True, False, how, words))


def _difference(old: bytes, new: bytes) -> str:
    at = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    if old == new:
        return f"stdout differs after the first {_COMPARED} bytes"
    shown = [repr(text[at : at + 40].decode("utf-8", "backslashreplace")) for text in (old, new)]
    return f"stdout differs from byte {at} on: the baseline writes {shown[0]}, the other {shown[1]}"


def _memory(run: Run, floor: int) -> MemoryUse:
    known = [run.tree_bytes or 0, run.peak_bytes if run.peak_bytes > floor else 0]
    how = (
        "one run: PSS of the process tree, sampled about every 2 ms, and the kernel's peak of its largest process, "
        f"which cannot tell below {floor / 2**20:.0f} MiB"
    )
    return MemoryUse(max(known) or None, None, how, 1)


def _judge_memory(margin: float | None, runner: CommandRunner, run: Comparison) -> None:
    """Add the peaks of the timed runs, pair by pair; a baseline too small to be measured leaves its margin open."""
    for name, record in run.records.items():
        peaks = runner.peaks[name]
        if not peaks:
            continue
        metric, samples = memory_of_processes(margin, peaks)
        if margin is not None and any(old <= runner.floor_bytes for old, _ in peaks):
            samples = Samples(optimized=tuple(new for _, new in peaks))
            words = (
                f"max_memory cannot be judged: the baseline needs less than {runner.floor_bytes / 2**20:.0f} MiB, "
                "below which the peak of a command cannot be told; leave max_memory out, or let it do more work"
            )
            record.findings.append(Finding("memory-floor", "warn", words))
        record.metrics.append((metric, samples))


def _start_up(runner: CommandRunner) -> list[Finding]:
    if runner.start_up_s is None or not runner.shortest_s < float("inf"):
        return []
    share = runner.start_up_s / runner.shortest_s
    level = "warn" if share > _NOTABLE_START_UP else "info"
    words = (
        f"starting and ending a process that does nothing takes {1000 * runner.start_up_s:.2f} ms here, "
        f"{100 * share:.0f} % of the shortest run; it is in the times of both arms and not subtracted"
    )
    return [Finding("start-up", "warn" if level == "warn" else "info", words)]


def _measured(runner: CommandRunner, load: Load, candidates: Sequence[str], cpus: Sequence[int]) -> Measured:
    return Measured(
        protocol={
            name: {**runner.protocol(position), "cpus": list(cpus)}
            for position, name in enumerate(candidates, start=1)
        }
        if runner.plan is not None
        else {name: {"isolation": "command"} for name in candidates},
        load=load.elsewhere,
        steal=load.steal,
        clock_resolution_s=runner.resolution_s,
        shortest_run_s=runner.shortest_s if runner.shortest_s < float("inf") else None,
    )


__all__ = ["Benchmark", "run_commands"]
