"""Process pairs: one trial is one fresh child process per lane, interleaved sample by sample.

Children of a pair start together and go through the same benchmarks in the same order. Inside a benchmark
only one of them runs at a time: the others are blocked on their channels. What varies from pair to pair is
what one process cannot vary: hash seed, place in memory (both the same in all children of a pair), environment size.

A child that dies, hangs or speaks nonsense costs the benchmark it was at; for those after it the pair starts
again with fresh children. Nothing here knows pytest or git.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from . import temporary
from .address_space import PAGES, drawn_address_space
from .arrival import arrive
from .channel import ARM, CPUS, NAMES, PADDING, SEED, TEMP, TREE
from .children import Child, ChildLost
from .interleave import Ended, Interleaver
from .lanes import Collected, Failure, FailureKind, Lane, Module, PairResult, Sampled

PLUGIN: Final = "pytest_optbench.child.plugin"
MOST_PADDING: Final = 4096
START_S: Final = 300.0  # generous: importing and collecting a large suite on a busy machine
LEAVE_S: Final = 15.0

_OUTCOMES: Final[dict[str, FailureKind]] = {
    "failed": "failed",
    "skipped": "skipped",
    "no-benchmark": "no-benchmark",
}


@dataclass
class _Pair:
    """What one pair gathered so far."""

    index: int
    measured: dict[str, Sampled] = field(default_factory=dict)
    failures: dict[str, tuple[Failure, ...]] = field(default_factory=dict)
    modules: dict[str, Mapping[str, Module]] = field(default_factory=dict)

    def fail(self, benchmark: str, *failures: Failure) -> None:
        """Note the failures and forget what the benchmark's regions showed."""
        self.failures[benchmark] = self.failures.get(benchmark, ()) + failures
        for key in [k for k in self.measured if k == benchmark or k.startswith(f"{benchmark}::")]:
            del self.measured[key]


class ProcessPairs:
    """Runs pairs of children; a context manager that ends every process it started, whatever happens.

    ``lanes`` begins with the baseline. ``looks`` are the numbers of pairs at which decisions may fall; their
    last one is how many pairs there may be. ``seed`` draws orders, hash seeds and paddings, ``cpus`` pins the
    children. A child that gives no answer within 1.5 times ``max_time_s`` plus a second is ended. ``progress``
    receives the id of each benchmark when its turn comes.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        *,
        looks: Sequence[int],
        seed: int,
        cpus: Sequence[int] = (),
        max_time_s: float = 60.0,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        """Start nothing yet; raises `ValueError` when two lanes have one name. One lane can only `collect`."""
        self.lanes = tuple(lanes)
        if len({lane.name for lane in self.lanes}) < len(self.lanes):
            raise ValueError(f"lanes need different names, received {[lane.name for lane in self.lanes]!r}")
        self._seed = seed
        self._cpus = tuple(cpus)
        self._answer_s = 1.5 * max_time_s + 1
        self._progress = progress
        self._interleaver = Interleaver(looks, seed, self._answer_s)
        self._children: list[Child] = []
        self._waiting = False
        self._began = time.monotonic()
        self._folder = Path()
        self._placed = False

    def __enter__(self) -> Self:
        """Make the folder for temporary files of children; return the driver."""
        self._folder = temporary.make()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill and reap what still runs, remove temporary files."""
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def collect(self) -> Mapping[str, Collected]:
        """Start the first pair's children and return, by lane, what they found.

        The children stay and wait for ``pair(0, ...)``. A child that is lost leaves no benchmarks and one error.
        """
        found: dict[str, Collected] = {}
        self._start(0)
        for child in self._children:
            self._tell_to_collect(child, None)
        for child in list(self._children):
            try:
                found[child.lane] = self._collected(child)
            except ChildLost as lost:
                found[child.lane] = Collected(child.lane, (), (str(lost.failure),), {})
        self._waiting = all(not each.errors or each.benchmarks for each in found.values())
        if not self._waiting:
            self._end()
        return found

    def pair(self, index: int, benchmarks: Sequence[str], *, compare_results: bool = False) -> PairResult:
        """Measure pair ``index`` (from 0) of these benchmarks (node ids), in this order.

        With ``compare_results`` the result of each further lane is compared with the baseline's: before timing
        in the first pair, after it in later ones. Never raises for what a child does.
        """
        pair = _Pair(index)
        left = list(dict.fromkeys(benchmarks))
        while left:
            collected = self._waiting and index == 0
            if not collected and not self._ready(pair, left):
                break
            self._waiting = False
            left = self._go_through(pair, left, compare_results)
        hash_seed, padding, page = self._drawn(index)
        return PairResult(
            index=index,
            hash_seed=None if sys.flags.ignore_environment else hash_seed,
            padding=padding,
            place=page if self._placed else None,
            measured=pair.measured,
            failures=pair.failures,
            modules=pair.modules,
        )

    def labels(self, benchmark: str, lane: str) -> tuple[int, ...]:
        """Return the planned order labels (+1 baseline first) of a benchmark measured before, for ``lane``."""
        return self._interleaver.labels(benchmark, [each.name for each in self.lanes].index(lane))

    def _ready(self, pair: _Pair, left: Sequence[str]) -> bool:
        """Start children that found ``left``; on failure note it for all of them and return False."""
        try:
            self._start(pair.index)
            for child in self._children:
                self._tell_to_collect(child, left)
            for child in self._children:
                found = self._collected(child)
                for each in left:
                    if each not in found.benchmarks:
                        why = "\n".join(found.errors) or "it was not collected"
                        pair.fail(each, Failure(child.lane, "failed", why))
        except ChildLost as lost:
            self._end()
            for each in left:
                pair.fail(each, lost.failure)
            return False
        return True

    def _go_through(self, pair: _Pair, left: Sequence[str], compare: bool) -> list[str]:
        """Measure what can be measured with the children there are; return what needs new ones."""
        todo = [each for each in left if each not in pair.failures]
        for position, benchmark in enumerate(todo):
            if self._progress is not None:
                self._progress(benchmark)
            after = todo[position + 1 :]
            try:
                self._benchmark(pair, benchmark, after[0] if after else None, compare)
            except ChildLost as lost:
                self._end()
                pair.fail(benchmark, lost.failure)
                return after
        self._leave(pair)
        return []

    def _benchmark(self, pair: _Pair, benchmark: str, following: str | None, compare: bool) -> None:
        """Run one test in all children, region by region; raises `ChildLost`."""
        for child in self._children:
            child.send("run", id=benchmark, next=following)
        keys: list[str] = []
        while True:
            said = arrive(self._children, self._answer_s)
            arrived = [message["event"] == "at" for message in said]
            regions = {str(message.get("region") or "") for message in said}
            if not all(arrived) or len(regions) > 1:
                break
            region = regions.pop()
            key = f"{benchmark}::{region}" if region else benchmark
            started_s = time.monotonic() - self._began
            try:
                pair.measured[key] = self._interleaver.measure(
                    pair.index, key, self._children, said, compare=compare, started_s=started_s
                )
            except Ended as early:
                said = [dict(early.message) if child is early.child else {} for child in self._children]
                break
            keys.append(key)
        ended = []
        for child, message in zip(self._children, said, strict=True):
            while message.get("event") != "ended":  # it waits in front of a region nobody will measure
                if message.get("event") != "calling":
                    child.send("abandon")
                message = child.receive(self._answer_s, "calling", "at", "ended")
            child.bound_output()
            ended.append(message)
        self._conclude(pair, benchmark, keys, ended, met=not any(arrived))

    def _conclude(
        self,
        pair: _Pair,
        benchmark: str,
        keys: Sequence[str],
        ended: Sequence[Mapping[str, Any]],
        *,
        met: bool,
    ) -> None:
        """Note how the test ended in every child."""
        failures = []
        for child, message in zip(self._children, ended, strict=True):
            outcome = str(message.get("outcome"))
            if outcome not in ("passed", "abandoned"):
                kind = _OUTCOMES.get(outcome, "nonsense")
                failures.append(Failure(child.lane, kind, str(message.get("message") or "")[-4000:]))
        if not failures and not (met and keys):
            failures = [Failure(child.lane, "mismatch", "") for child in self._children]
        if failures:
            pair.fail(benchmark, *failures)
            return
        late = {c.lane: m.get("info") for c, m in zip(self._children, ended, strict=True)}
        for key in keys:
            info = {lane: {**known, **_object(late[lane])} for lane, known in pair.measured[key].info.items()}
            pair.measured[key] = replace(pair.measured[key], info=info)

    def _leave(self, pair: _Pair) -> None:
        """Let the children finish their sessions and end; what they measured stands, however they end."""
        for child in self._children:
            try:
                child.send("leave")
                said = child.receive(self._answer_s, "bye")
                pair.modules[child.lane] = _modules(said.get("modules"))
            except ChildLost:
                continue
        for child in self._children:
            child.leave(LEAVE_S)
        self._children = []

    def _start(self, index: int) -> None:
        """Start one child per lane."""
        self._end()
        hash_seed, padding, page = self._drawn(index)
        for number, lane in enumerate(self.lanes):
            environment = {
                **lane.environment,
                "PYTHONHASHSEED": str(hash_seed),
                PADDING: "x" * padding[lane.name],
                ARM: lane.arm or "",
                CPUS: ",".join(map(str, self._cpus)),
                SEED: str(self._seed + index),
                **({} if lane.tree is None else {TREE: str(lane.tree)}),
                NAMES: ",".join(lane.names),
                TEMP: str(self._folder / f"{index}-{number}"),
            }
            command = (*lane.interpreter, "-p", PLUGIN, *lane.arguments)
            with drawn_address_space(page) as told:
                self._placed = bool(told)
                self._children.append(Child(lane.name, command, {**environment, **told}, lane.cwd))

    def _drawn(self, index: int) -> tuple[int, dict[str, int], int]:
        """Return hash seed, paddings and place in memory of a pair; they depend on the seed and the index alone."""
        rng = np.random.default_rng([self._seed, index])
        hash_seed = int(rng.integers(2**32, dtype=np.uint64))
        padding = {lane.name: int(rng.integers(MOST_PADDING)) for lane in self.lanes}
        return hash_seed, padding, int(rng.integers(PAGES))

    def _tell_to_collect(self, child: Child, benchmarks: Sequence[str] | None) -> None:
        with contextlib.suppress(ChildLost):  # whoever asks for the answer gets to know
            child.send("collect", benchmarks=None if benchmarks is None else list(benchmarks))

    def _collected(self, child: Child) -> Collected:
        said = child.receive(START_S, "collected")
        benchmarks, errors = said.get("benchmarks"), said.get("errors")
        if not isinstance(benchmarks, list) or not isinstance(errors, list):
            raise child.nonsense(f"collected {str(said)[:200]}")
        return Collected(
            child.lane, tuple(map(str, benchmarks)), tuple(map(str, errors)), _modules(said.get("modules"))
        )

    def _end(self) -> None:
        children, self._children = self._children, []
        self._waiting = False
        for child in children:
            child.end()


def _modules(said: Any) -> dict[str, Module]:
    """Return the modules a child reported; entries of another shape are left out."""
    if not isinstance(said, dict):
        return {}
    return {
        str(name): Module(*map(str, each))
        for name, each in said.items()
        if isinstance(each, list) and len(each) == 2
    }


def _object(said: Any) -> dict[str, Any]:
    return said if isinstance(said, dict) else {}
