"""Suites across two revisions that do the same, with all their pairs: recorded one by one, kept as JSON lines.

Measured is what `--optbench-base` measures, by its own driver: the base checked out by git, one fresh process per side
and pair, benchmarks in turn, the orders of the default plan. Only no benchmark leaves early, since which ones would
depends on the labels that are drawn again later. A file grows by one line per suite, so an interrupted recording
keeps all complete suites and the next one goes on behind them.
"""

from __future__ import annotations

import json
import random
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.harness.figure import environment, progress
from benchmarks.harness.neighbour import neighbour
from benchmarks.harness.pytest_runs import FOREIGN, OURS, blocked
from benchmarks.harness.relabelled import RecordedPair, Suite
from benchmarks.harness.revision_runs import iterations_of, make_repository
from pytest_optbench.core import Trial
from pytest_optbench.core.sequential import planned_looks
from pytest_optbench.measure.lock import measuring_lock
from pytest_optbench.measure.process import ProcessPairs
from pytest_optbench.measure.terminated import terminable
from pytest_optbench.options import Settings
from pytest_optbench.revisions.git import Repository
from pytest_optbench.revisions.sides import BASELINE, OPTIMIZED, Invocation, Side
from pytest_optbench.revisions.worktree import worktree

_CHANGED = "shop.work"
"""The module that differs between the two commits."""


@dataclass(frozen=True)
class RecordedSuite:
    """One suite: whether the other CPU was loaded, what it ran on, its seconds, and its pairs by benchmark."""

    loaded: bool
    facts: Mapping[str, str]
    seconds: float
    suite: Suite

    @property
    def pairs(self) -> int:
        """The number of pairs every benchmark has."""
        return min(len(pairs) for pairs in self.suite.values())

    def line(self) -> str:
        """Return the suite as one line of JSON."""
        rows = {name: [pair.row() for pair in pairs] for name, pairs in self.suite.items()}
        values = {
            "loaded": self.loaded,
            "facts": dict(self.facts),
            "seconds": round(self.seconds, 1),
            "suite": rows,
        }
        return json.dumps(values, separators=(",", ":")) + "\n"

    @classmethod
    def from_line(cls, line: str) -> RecordedSuite:
        """Return the suite of a line."""
        found = json.loads(line)
        suite = {name: [RecordedPair.from_row(row) for row in rows] for name, rows in found["suite"].items()}
        return cls(found["loaded"], found["facts"], found["seconds"], suite)


def read(path: Path) -> list[RecordedSuite]:
    """Return the complete suites of a file; a last line that an interruption cut off is none.

    Raises:
        ValueError: a complete line is no suite, or the suites differ in their benchmarks or number of pairs.
    """
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    suites = []
    for number, line in enumerate(lines, 1):
        if not line.endswith("\n"):
            continue
        try:
            suites.append(RecordedSuite.from_line(line))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"line {number} of {path.name} must be a recorded suite: {error!r}") from error
    shapes = {(*sorted(each.suite), *{len(pairs) for pairs in each.suite.values()}) for each in suites}
    if len(shapes) > 1:
        raise ValueError(
            f"all suites of {path.name} must have the same benchmarks and number of pairs, received {shapes!r}; "
            "record them into another file"
        )
    return suites


def append(path: Path, suite: RecordedSuite) -> None:
    """Add a suite to the file, in place of a line that was cut off."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(suite.line().encode())


def record(path: Path, suites: int, pairs: int, benchmarks: int, loaded: bool, minutes: float) -> int:
    """Record suites until the file has as many as asked for or the time is over; return how many it has.

    A suite that would last beyond ``minutes``, judged by the longest one so far, is not begun.
    """
    done = len(read(path)) if path.exists() else 0
    iterations = iterations_of(benchmarks)
    end, longest = time.monotonic() + 60 * minutes, 0.0
    while done < suites and time.monotonic() + longest <= end:
        began = time.monotonic()
        with terminable(), tempfile.TemporaryDirectory() as name, neighbour(loaded):
            folder = Path(name).resolve() / "repository"
            make_repository(folder, iterations, None)
            measured = measure(folder, pairs, random.randrange(2**31))
        longest = max(longest, time.monotonic() - began)
        append(path, RecordedSuite(loaded, environment(), time.monotonic() - began, measured))
        done += 1
        progress(f"{done}/{suites} suites, the last in {time.monotonic() - began:.0f} s")
    return done


def measure(folder: Path, pairs: int, seed: int) -> dict[str, list[RecordedPair]]:
    """Return all pairs of all benchmarks between HEAD~1 and the working tree of a repository.

    Raises:
        RuntimeError: a benchmark failed on a side, or both sides ran the same code.
    """
    repository, defaults = Repository.of(folder), Settings()
    looks = planned_looks(defaults.trials, max(pairs, defaults.max_trials))
    invocation = Invocation(
        top=folder, rootdir=folder, folder=folder, configuration=folder / "pytest.ini",
        arguments=("-q", *blocked([OURS])), paths=(), testpaths=("tests",),
    )  # fmt: skip
    with measuring_lock(progress), worktree(repository, repository.resolve("HEAD~1")) as base:
        sides = (Side(BASELINE, base, folder), Side(OPTIMIZED, folder, base))
        lanes = [side.lane(invocation, {"shop"}, invocation.arguments) for side in sides]
        lanes = [replace(lane, environment=_own(lane.environment)) for lane in lanes]
        with ProcessPairs(lanes, looks=looks, seed=seed) as driver:
            found = driver.collect()
            names = found[BASELINE].benchmarks
            if not names or set(names) != set(found[OPTIMIZED].benchmarks):
                raise RuntimeError(f"both sides must collect the same benchmarks, received {found!r}")
            trials: dict[str, list[Trial]] = {name: [] for name in names}
            for index in range(pairs):
                result = driver.pair(index, names, compare_results=index + 1 in looks)
                if result.failures:
                    raise RuntimeError(f"every benchmark must be measured in pair {index}: {result.failures}")
                codes = [result.modules[side.name][_CHANGED] for side in sides]
                if codes[0].sha256 == codes[1].sha256:
                    raise RuntimeError(f"the sides must run different files, received {codes!r}")
                for name in names:
                    trials[name].append(result.measured[name].trials[OPTIMIZED])
    return {name.rpartition("[")[2].rstrip("]"): recorded_pairs(made) for name, made in trials.items()}


def recorded_pairs(trials: Sequence[Trial]) -> list[RecordedPair]:
    """Return what is kept of the trials of one benchmark.

    Raises:
        ValueError: a trial is a single run; its order does not cancel, so its labels cannot be drawn again.
    """
    made: list[RecordedPair] = []
    for trial in trials:
        if len(trial.runs) < 2:
            raise ValueError(f"a pair must hold several runs to be relabelled, received {trial!r}")
        baseline, optimized = (statistics.median(run[side] for run in trial.runs) for side in (1, 2))
        label = 0
        if trial.control:
            label = 1 if trial.control[0] * (baseline - made[-1].baseline_median_s) >= 0 else -1
        made.append(
            RecordedPair(
                trial.order,
                trial.baseline_s,
                trial.optimized_s,
                trial.log_ratio,
                baseline,
                optimized,
                label,
            )
        )
    return made


def _own(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return an environment free of what the surroundings set for Python, but for the side's own import path."""
    return {
        name: value
        for name, value in inherited.items()
        if name == "PYTHONPATH" or not name.startswith(FOREIGN)
    }
