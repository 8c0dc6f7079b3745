"""One benchmark in one pair of children: calibrate, warm up, then short samples in balanced random order.

All children stand in front of the same timed region. The driver lets one at a time run a sample; the others
wait on their channels. In a micro-pair all of them start on the CPU the first one happened to be on (see
`affinity`). Loop count and number of micro-pairs are settled in the first pair from the readings of
all lanes and stay fixed: they are part of what is compared.
"""

from __future__ import annotations

import math
import statistics
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..core.equivalence import Equivalence
from ..core.findings import Finding, Level
from ..core.orders import PROCESSES, micro_orders, micro_pairs
from ..core.pairs import Trial
from .arm import Reading
from .arrival import STARTED
from .calibrate import calibrate
from .children import Child
from .clock import SYSTEM_CLOCK, Clock
from .lanes import Sampled
from .memory import MemoryUse
from .record import from_wire
from .schedule import Plan, draw_plan, order_in

MIN_RUN_S: Final = 1e-3
"""Shorter than the slice of a process that shares the CPU, so that most runs are whole."""
MAX_RUN_S: Final = 0.05


@dataclass(frozen=True)
class Settled:
    """What the first pair settled for one benchmark, the same for all pairs."""

    loops: int
    micro_pairs: int
    plan: Plan
    findings: tuple[Finding, ...]
    control_labels: tuple[int, ...]


class Ended(Exception):
    """A test ended while it was measured; ``message`` is what its child said."""

    def __init__(self, child: Child, message: Mapping[str, Any]) -> None:
        """Take the child and its message."""
        super().__init__(child, message)
        self.child = child
        self.message = message


class RemoteArm:
    """The timed region of a child, called through its channel."""

    def __init__(self, child: Child, at: Mapping[str, Any], timeout_s: float) -> None:
        """Take the child and what it said of the region; every answer has to come within ``timeout_s``."""
        self.name = child.lane
        self.setup = True if at.get("setup") else None
        self.elapsed_s = 0.0
        self.cpu: int | None = None
        self._child = child
        self._timeout_s = timeout_s

    def run(self, loops: int, _clock: Clock = SYSTEM_CLOCK, *, cpu: int | None = None) -> Reading:
        """Return the times of ``loops`` calls, read by the child; raises `ChildLost` and `Ended`.

        The run starts on ``cpu``, None: wherever the system has put the child. `cpu` says where it did.
        """
        said = self.ask("sample", "reading", loops=loops, cpu=cpu)
        try:
            numbers = [said[key] for key in ("loops", "wall_ns", "cpu_ns", "elapsed_ns")]
        except KeyError as error:
            raise self._child.nonsense(f"a reading without {error}") from error
        if not all(type(n) is int and 0 <= n < 2**63 for n in numbers) or not numbers[0] or not numbers[1]:
            raise self._child.nonsense(f"a reading of {numbers}")
        where = said.get("cpu")
        self.cpu = where if type(where) is int else None
        reading = Reading(*numbers)
        self.elapsed_s = reading.elapsed_ns / 1e9
        return reading

    def ask(self, do: str, event: str, **rest: Any) -> dict[str, Any]:
        """Send a command and return the answer; raises `ChildLost` and `Ended`."""
        self._child.send(do, **rest)
        said = self._child.receive(self._timeout_s, event, "ended")
        if said["event"] != event:
            raise Ended(self._child, said)
        return said


class Interleaver:
    """Measures regions; keeps what was settled for each between pairs."""

    def __init__(self, looks: Sequence[int], seed: int, timeout_s: float) -> None:
        """Nothing is settled yet."""
        self._looks = tuple(looks)
        self._seed = seed
        self._timeout_s = timeout_s
        self._settled: dict[str, Settled] = {}
        self._earlier: dict[str, tuple[int, float]] = {}

    def measure(
        self, index: int, key: str, children: Sequence[Child], at: Sequence[Mapping[str, Any]], *, compare: bool,
        started_s: float,
    ) -> Sampled:  # fmt: skip
        """Return what pair ``index`` shows of the benchmark ``key``; raises `ChildLost` and `Ended`.

        With ``compare``, results are compared before timing in the first pair and after it in later ones.
        """
        arms = [RemoteArm(child, said, self._timeout_s) for child, said in zip(children, at, strict=True)]
        once = any(said.get("once") for said in at)
        equality: dict[str, Equivalence] = {}
        if compare and index == 0 and not once:
            equality = self._compare(arms)
        settled = self._settle(key, arms, once=once)
        if settled.micro_pairs > 1:
            for arm in arms:
                arm.run(settled.loops)  # discarded; of a long call, the untimed one before was warm-up enough
        rounds = settled.plan.rounds[index]
        readings: list[list[Reading]] = [_micro_pair(arms, order, settled.loops) for order in rounds]
        if compare and index and not once:
            equality = self._compare(arms)
        control = self._control(key, index, [row[0].seconds_per_call for row in readings])
        finished = [arm.ask("finish", "finished") for arm in arms]
        return Sampled(
            loops=settled.loops,
            micro_pairs=len(rounds),
            trials={
                arm.name: _trial(index, lane, settled.plan, rounds, readings, control, started_s)
                for lane, arm in enumerate(arms)
                if lane
            },
            shortest_run_s=min(reading.wall_s for row in readings for reading in row),
            timed_s=sum(reading.wall_s for row in readings for reading in row),
            memory={
                arm.name: _memory(said, here.get(STARTED, 0))
                for arm, said, here in zip(arms, finished, at, strict=True)
            },
            equality=equality,
            metrics={
                arm.name: from_wire(said.get("recorded")) for arm, said in zip(arms, finished, strict=True)
            },
            info={arm.name: _object(said.get("info")) for arm, said in zip(arms, finished, strict=True)},
            findings=(*settled.findings, *_findings(finished)),
        )

    def _settle(self, key: str, arms: Sequence[RemoteArm], *, once: bool) -> Settled:
        """Return what was settled for ``key``, calibrating when it is new."""
        if key not in self._settled:
            loops, count = 1, 1
            findings: tuple[Finding, ...] = ()
            if not once:
                found = calibrate(arms, SYSTEM_CLOCK, min_run_s=MIN_RUN_S, max_run_s=MAX_RUN_S)
                loops, findings = found.loops, found.findings
                costs = [arm.elapsed_s for arm in arms]
                count = micro_pairs(sum(costs), max(costs), PROCESSES)
            # A seed of its own: benchmarks of one pair must not all run in the same order.
            own = zlib.crc32(key.encode("utf-8", "surrogatepass"))  # a file name need not be UTF-8
            plan = draw_plan(self._looks, count, len(arms) - 1, self._seed ^ own)
            rng = np.random.default_rng([self._seed, own])
            labels = micro_orders(max(1, self._looks[-1] // 2), rng)
            self._settled[key] = Settled(loops, count, plan, findings, tuple(map(int, labels)))
        return self._settled[key]

    def labels(self, key: str, lane: int) -> tuple[int, ...]:
        """Return the planned order labels of a settled benchmark for ``lane`` (from 1)."""
        return self._settled[key].plan.labels(lane)

    def _control(self, key: str, index: int, baseline: Sequence[float]) -> tuple[float, ...]:
        """Return the A/A log ratio of this pair's baseline and that of the pair before; () every other pair.

        Two processes, as in the comparison itself: within one, what differs from process to process would not show.
        Medians, because a pair's mean holds every interruption. A seeded label says which one plays which arm.
        """
        median = statistics.median(baseline)
        before = self._earlier.get(key)
        self._earlier[key] = (index, median)
        if index % 2 == 0 or before is None or before[0] != index - 1:
            return ()
        label = self._settled[key].control_labels[index // 2 % len(self._settled[key].control_labels)]
        return (label * math.log(median / before[1]),)

    def _compare(self, arms: Sequence[RemoteArm]) -> dict[str, Equivalence]:
        """Return, by lane, how the results compare with the baseline's, which passes through unopened."""
        baseline, *others = arms
        result = baseline.ask("result", "result")
        data = result.get("data")
        if not isinstance(data, str):
            why = str(result.get("why"))[:500]
            return {arm.name: Equivalence(False, None, "not checked", why) for arm in others}
        return {arm.name: _equivalence(arm.ask("compare", "compared", data=data)) for arm in others}


def _micro_pair(arms: Sequence[RemoteArm], order: Sequence[int], loops: int) -> list[Reading]:
    """Return one reading of every lane, taken in this order, all started on the CPU of the first."""
    found: dict[int, Reading] = {}
    for lane in order:
        found[lane] = arms[lane].run(loops, cpu=arms[order[0]].cpu if found else None)
    return [found[lane] for lane in range(len(arms))]


def _trial(
    index: int,
    lane: int,
    plan: Plan,
    rounds: Sequence[tuple[int, ...]],
    readings: Sequence[Sequence[Reading]],
    control: tuple[float, ...],
    started_s: float,
) -> Trial:
    """Return the trial of one lane."""
    runs = [
        (order_in(order, lane), row[0].seconds_per_call, row[lane].seconds_per_call)
        for order, row in zip(rounds, readings, strict=True)
    ]
    return Trial.from_runs(
        index,
        plan.label(index, lane),
        runs,
        control=control,
        baseline_cpu_s=sum(row[0].cpu_seconds_per_call for row in readings) / len(readings),
        optimized_cpu_s=sum(row[lane].cpu_seconds_per_call for row in readings) / len(readings),
        started_s=started_s,
    )


def _equivalence(said: Mapping[str, Any]) -> Equivalence:
    """Return the child's judgement; anything but a plain yes or no is a comparison that failed."""
    passed = said.get("passed")
    message = said.get("message")
    return Equivalence(
        checked=said.get("checked") is True,
        passed=passed if isinstance(passed, bool) else None,
        how=str(said.get("how"))[:200],
        message=None if message is None else str(message)[:2000],
    )


def _memory(said: Mapping[str, Any], started: int) -> MemoryUse:
    """Return the peak of a child and of what it started: at most ``started`` bytes in its first call."""
    found = _object(said.get("memory"))
    own, before, children = (found.get(key) for key in ("peak", "before", "children"))
    how = str(found.get("how") or "not measured")[:200]
    if type(own) is not int or type(before) is not int or type(children) is not int:
        return MemoryUse(None, None, how, 0)
    others = max(children, started)
    if others:
        how += ", with what its children held at most in the first call, or at the end (PSS)"
    return MemoryUse(own + others, max(0, own + others - before), how, 1)


def _findings(finished: Sequence[Mapping[str, Any]]) -> tuple[Finding, ...]:
    """Return what the children noticed; the same remark of several children counts once."""
    found: dict[str, Finding] = {}
    for said in finished:
        for each in said.get("findings") or ():
            if isinstance(each, list) and len(each) == 3 and all(isinstance(part, str) for part in each):
                code, level, message = each
                known: Level = level if level in ("error", "warn") else "info"
                found[code] = Finding(code, known, message[:500])
    return tuple(found.values())


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
