"""``isolation="process"``: the trials of one comparison as pairs of fresh processes that run the same test.

The test's own process checks results, state and memory as it does inline; only the timed runs move. Every child
runs the test again, with its fixtures, up to the one arm it measures.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest

from .child.command import interpreter
from .comparison import Comparison, Measured
from .core.findings import Finding
from .measure.clock import SYSTEM_CLOCK, resolution_s
from .measure.lanes import Failure, FailureKind, Lane, PairResult, Sampled
from .measure.load import load_between, sample_load
from .measure.memory import MemoryUse
from .measure.process import ProcessPairs
from .measure.terminated import terminable
from .measure.time_limit import TimeLimit
from .options import Settings
from .progress import Progress

# A child of a worker is no worker; which test runs is the child's own business.
_NOT_INHERITED: Final = (
    "PYTEST_CURRENT_TEST",
    "PYTEST_XDIST_TESTRUNUID",
    "PYTEST_XDIST_WORKER",
    "PYTEST_XDIST_WORKER_COUNT",
)
_REASONS: Final[dict[FailureKind, str]] = {"failed": "arm-raised", "hung": "time-limit"}


@dataclass(frozen=True)
class Invocation:
    """How pytest was started: its arguments, the folder it was started in, and the program (`sys.argv`)."""

    arguments: tuple[str, ...]
    folder: Path
    program: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: pytest.Config) -> Invocation:
        """Return how the run of ``config`` was started; a pytest-xdist worker knows what its controller got."""
        given = config.invocation_params
        main = [str(word) for word in getattr(config, "workerinput", {}).get("mainargv", ())]
        if main and Path(main[0]).name in ("pytest", "py.test", "__main__.py"):
            return cls(tuple(main[1:]), given.dir, tuple(main))
        return cls(tuple(map(str, given.args)), given.dir)


def environment() -> dict[str, str]:
    """Return the environment for children: this one, without what belongs to this process alone."""
    return {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}


@dataclass
class Pairs:
    """What the pairs of one comparison showed, beside the trials."""

    seeds: list[int | None] = field(default_factory=list)
    paddings: list[dict[str, int]] = field(default_factory=list)
    places: list[int | None] = field(default_factory=list)
    sampled: list[Sampled] = field(default_factory=list)

    def take(self, pair: PairResult, sampled: Sampled) -> None:
        """Take one more pair."""
        self.seeds.append(pair.hash_seed)
        self.paddings.append(dict(pair.padding))
        self.places.append(pair.place)
        self.sampled.append(sampled)

    @property
    def findings(self) -> list[Finding]:
        """What was noticed in any of the pairs, each remark once."""
        return list({found.code: found for sampled in self.sampled for found in sampled.findings}.values())

    def memory(self, lane: str) -> MemoryUse | None:
        """Return the median over all pairs of what one lane's processes needed."""
        known = [each.memory[lane] for each in self.sampled if each.memory[lane].peak_bytes is not None]
        if not known:
            return None
        peaks = [use.peak_bytes for use in known if use.peak_bytes is not None]
        extras = [use.extra_bytes for use in known if use.extra_bytes is not None]
        how = f"{known[0].how}, median of {len(peaks)} processes"
        return MemoryUse(int(statistics.median(peaks)), int(statistics.median(extras)), how, len(peaks))

    def peaks(self, lane: str, baseline: str = "baseline") -> list[tuple[int, int]]:
        """Return the peak memory in bytes of the baseline's and the lane's process, pair by pair."""
        both = ((each.memory[baseline].peak_bytes, each.memory[lane].peak_bytes) for each in self.sampled)
        return [(old, new) for old, new in both if old is not None and new is not None]

    def protocol(self, lane: str, plan: Sequence[int], baseline: str = "baseline") -> dict[str, Any]:
        """Return how one lane was measured, as plain JSON values."""
        first = self.sampled[0]
        return {
            "isolation": "process",
            "loops": first.loops,
            "micro_pairs": first.micro_pairs,
            "plan": list(plan),
            "warmup_pairs": int(first.micro_pairs > 1),
            "gc": first.info.get(baseline, {}).get("gc"),
            "tracers": [f.message for f in self.findings if f.code.startswith("tracer-")],
            "hash_seeds": self.seeds,
            "places": self.places,
            "padding": [[each[baseline], each[lane]] for each in self.paddings],
            "output": "stdout and stderr of timed runs go to the null device",
        }

    def measured(
        self, driver: ProcessPairs, benchmark: str, lanes: Sequence[str], rest: Mapping[str, Any]
    ) -> Measured:
        """Return how all further lanes were measured; ``rest`` is added to each one's protocol."""
        if not self.sampled:
            return Measured()
        return Measured(
            protocol={
                lane: {**self.protocol(lane, driver.labels(benchmark, lane)), **rest} for lane in lanes
            },
            clock_resolution_s=resolution_s(SYSTEM_CLOCK),
            shortest_run_s=min(each.shortest_run_s for each in self.sampled),
        )


def lanes(invocation: Invocation, candidates: Sequence[str]) -> list[Lane]:
    """Return one lane per arm, the baseline first; all run the same test in the same tree."""
    inherited = environment()
    return [
        Lane(
            name=arm,
            arguments=invocation.arguments,
            cwd=invocation.folder,
            environment=inherited,
            interpreter=interpreter(invocation.program),
            arm=arm,
        )
        for arm in ("baseline", *candidates)
    ]


def trials_in_processes(
    node_id: str,
    invocation: Invocation,
    settings: Settings,
    seed: int,
    run: Comparison,
    limit: TimeLimit,
    progress: Progress,
    *,
    is_async: bool,
) -> Pairs:
    """Fill ``run`` pair by pair until every candidate is decided, ``limit`` is reached or a child fails.

    Returns what the pairs showed beside the trials. SIGTERM ends the children and removes their files before it
    ends this process.
    """
    candidates = list(run.records)
    pairs = Pairs()
    before = sample_load()
    driver = ProcessPairs(
        lanes(invocation, candidates),
        looks=run.plan.looks,
        seed=seed,
        cpus=settings.cpus,
        max_time_s=settings.max_time,
    )
    with terminable(), driver:
        while not run.stopped and run.pairs_done < run.plan.looks[-1]:
            if limit.reached:
                run.reasons.append("time-limit")
                break
            pair = driver.pair(run.pairs_done, [node_id])
            sampled = pair.measured.get(node_id)
            if sampled is None:
                forbid(run, pair.failures.get(node_id, ()))
                break
            pairs.take(pair, sampled)
            run.overhead["timed_s"] = run.overhead.get("timed_s", 0.0) + sampled.timed_s
            run.add(sampled.trials)
            progress.pairs(run.pairs_done, run.plan.looks[-1], run.estimate())
            run.look()
        load = load_between(before, sample_load())
    rest = {"cpus": list(settings.cpus), "async": is_async}
    measured = pairs.measured(driver, node_id, candidates, rest)
    run.measured = replace(measured, load=load.elsewhere, steal=load.steal)
    run.findings += pairs.findings
    if any(found.level == "error" for found in pairs.findings):
        run.reasons.append("invalid-measurement")
    return pairs


def forbid(run: Comparison, failures: Sequence[Failure]) -> None:
    """Note why the children could not measure; no verdict follows from that, whatever was measured before."""
    for failure in failures:
        run.forbid(_REASONS.get(failure.kind, "invalid-measurement"), str(failure))
    run.traceback = "\n\n".join(map(str, failures))
