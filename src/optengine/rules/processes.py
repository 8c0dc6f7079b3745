"""Units run in worker processes: one ledger per unit, results taken over as they are written, losses made
good.

    parent                         worker (of optengine's supervised pool)
    unit + ledger      ->  submit  run_unit: start, result, start, result ...
    poll ledgers       <-  file    each line is there even when the worker dies in the next one

A worker that dies costs the rule it was running and nothing else: finished rules keep their results, rules
not started go back to the queue, and the rule that ran is tried once more in a unit of its own before it is a
CRASH. A rule that was ended at its limit is a TIMEOUT at once: nobody else can be to blame. Units are handed
to free workers only, so none is queued behind a long one while another worker idles. A rule is handed out once
its own requirements are done; no worker waits for the end of a batch.

Sending, receiving and landing share the state of the units under way, so they stay in one file.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from optengine.rules.errors import RuleSetError
from optengine.rules.evidence import error_text
from optengine.rules.execute import RawResult
from optengine.rules.lanes import timed_out
from optengine.rules.ledger import STACK, LedgerReader
from optengine.rules.memory import tree_bytes
from optengine.rules.model import Rule, Status
from optengine.rules.received import NONSENSE, ReceivedResults
from optengine.rules.report import Stats, WorkerReport
from optengine.rules.run_inputs import InputBuild
from optengine.rules.segment import Segment
from optengine.rules.shared import while_building
from optengine.rules.snapshot import Snapshot
from optengine.rules.source import Source
from optengine.rules.waiting import Plan, WaitingRules
from optengine.rules.work import RunSettings, UnitOrder, dumps, light, run_unit

if TYPE_CHECKING:
    from optengine import PersistentWorkerPool

#: A rule that loses its worker is started at most this often: once with its unit, once alone.
MAX_ATTEMPTS = 2
#: Times a rule may be lost with a worker that died before starting it.
MAX_LOSSES = 3
_POLL_S = 0.05
_GRACE_S = 2.0
#: A unit is only handed to a worker that is free, so it begins at once; later than this the pool is not
# working.
START_LIMIT_S = 60.0
_runs = itertools.count(1)


#: Starts building run-wide inputs, by name, of a tree.
StartBuild = Callable[[Sequence[str], Snapshot], InputBuild]


class PoolUnavailable(RuleSetError):
    """The pool could not be started or broke for good; what is left must run in threads."""


@dataclass
class _Flight:
    """One unit under way. ``running`` is (position, start time) of the rule that was started last."""

    rules: list[Rule]
    ledger: LedgerReader
    submitted: float
    running: tuple[int, float] | None = None
    building: str | None = None
    finished: set[int] = field(default_factory=set)
    pid: int | None = None
    began: float | None = None
    ended: float | None = None
    killed_for: tuple[int, float] | None = None


class ProcessRunner:
    """A pool and a segment for one run; a context manager that closes both.

    Args:
        workers: worker processes.
        settings: what all units share.
        fill: makes the shared segment, given what builds run-wide inputs; called while the workers start.
        timeout: limit in seconds of rules without their own.
        stats: where times and worker reports are added up.
        pool: an open pool to use and leave open; None starts one.
        start_method: how workers are started when *pool* is None.
        share: False drops shared inputs after every unit.

    Raises:
        PoolUnavailable: no pool could be started.
    """

    def __init__(
        self,
        workers: int,
        settings: RunSettings,
        fill: Callable[[StartBuild], Segment],
        timeout: float | None,
        stats: Stats,
        *,
        pool: PersistentWorkerPool | None = None,
        start_method: str | None = None,
        share: bool = True,
    ) -> None:
        self.workers = workers
        self.timeout = timeout
        self.stats = stats
        self.share = share
        self.run_name = f"{os.getpid()}-{next(_runs)}"
        self._pickled: dict[str, bytes] = {}
        self._attempts: dict[str, int] = {}
        self._losses: dict[str, int] = {}
        self._received = ReceivedResults()
        self._last_end: dict[int, float] = {}
        self._reports: dict[int, WorkerReport] = {}
        self._landed: int | None = None
        self._owned = pool is None
        began = time.monotonic()
        self._settings = dumps(settings)
        stats.serialisation_s += time.monotonic() - began
        began = time.monotonic()
        try:
            self.pool = pool if pool is not None else _new_pool(workers, start_method)
            # Workers start with the first task; meanwhile the segment is filled here.
            self.pool.submit(os.getpid)
        except Exception as error:
            raise PoolUnavailable(
                f"the pool could not be started: {type(error).__name__}: {error}"
            ) from error
        filling = time.monotonic()
        builds: list[InputBuild] = []

        def start_build(names: Sequence[str], snapshot: Snapshot) -> InputBuild:
            start_limit = START_LIMIT_S if self._owned else None
            builds.append(InputBuild(self.pool, self._settings, names, timeout, start_limit, snapshot))
            return builds[-1]

        try:
            self.segment = fill(start_build)
        except BaseException:
            self.__exit__()
            raise
        #: From asking for the pool to the first unit running, without the time spent on the segment.
        self._began: float | None = began + (time.monotonic() - filling)
        for begun in (build.began for build in builds if build.began is not None):
            stats.startup_s, self._began = begun - began, None

    def __enter__(self) -> Self:
        """The runner itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None = None, *_: object) -> None:
        """Stop the pool if this runner started it; after an exception at once, so that no rule holds up Ctrl-C."""
        if self._owned and kind is None:
            self.pool.shutdown(wait=True, cancel_futures=True)
        elif self._owned:
            self.pool.terminate()

    def run(self, rules: Sequence[Rule], source: Source, plan: Plan) -> list[tuple[Rule, str]]:
        """Run *rules* and whatever becomes ready in *source* meanwhile, in units by *plan*, until nothing is.

        Returns:
            Rules that no worker can run, with the reason (they cannot be pickled or loaded there).

        Raises:
            PoolUnavailable: the pool broke; rules without a result were not delivered.
        """
        self._source = source
        self._refused: list[tuple[Rule, str]] = []
        self._waiting = WaitingRules(plan, self.workers)
        self._waiting.join(self._sendable(rules), ())
        flights: dict[Future[None], _Flight] = {}
        try:
            while True:
                self._launch_ready(flights)
                if source.settle():
                    self._measure_memory()
                if not flights:
                    break
                done, _ = wait(flights, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                received = time.monotonic()
                for future, flight in list(flights.items()):
                    self._take_events(flight)
                    if future in done:
                        del flights[future]
                        self._land(future, flight, received)
                        flight.ledger.close()
                    else:
                        self._enforce_limit(flight)
        finally:
            for future, flight in flights.items():
                future.cancel()
                flight.ledger.close()
        self._measure_memory()
        return self._refused

    def attempts(self, rule_id: str) -> int:
        """How often a worker started the rule."""
        return self._attempts.get(rule_id, 0)

    # ---- sending

    def _launch_ready(self, flights: dict[Future[None], _Flight]) -> None:
        """Give every free worker a unit, as long as there are rules that can run."""
        if self._waiting.low:
            running = [rule for flight in flights.values() for rule in flight.rules]
            self._waiting.join(self._sendable(self._source.ready()), running)
        while self._waiting and len(flights) < self.workers:
            rules = self._waiting.next(self._landed, {flight.pid for flight in flights.values()})
            self._launch(rules, flights)
            self._source.started(rules)

    def _sendable(self, rules: Sequence[Rule]) -> list[Rule]:
        fit: list[Rule] = []
        began = time.monotonic()
        for rule in rules:
            try:
                if rule.id not in self._pickled:
                    self._pickled[rule.id] = dumps(light(rule))
                fit.append(rule)
            except Exception as error:  # noqa: BLE001 - a callable's reducer may raise anything
                self._refused.append((rule, f"{rule.id} cannot be sent to a worker: {error_text(error)}"))
        self.stats.serialisation_s += time.monotonic() - began
        return fit

    def _launch(self, rules: list[Rule], flights: dict[Future[None], _Flight]) -> None:
        try:
            ledger = LedgerReader()
        except OSError as error:
            raise PoolUnavailable(f"no ledger could be made for a unit: {error}") from error
        required = {name: self._source.results[name] for rule in rules for name in rule.requires}
        order = UnitOrder(
            run=self.run_name,
            segment=self.segment.handle,
            ledger=ledger.path,
            ledger_name=ledger.scratch.name,
            settings=self._settings,
            share=self.share,
            rules=[(place, self._pickled[rule.id], self._limit(rule)) for place, rule in enumerate(rules)],
            results=required,
        )
        submitted = time.monotonic()
        try:
            future = self.pool.submit(run_unit, order)
        except Exception as error:
            ledger.close()
            raise PoolUnavailable(f"the pool takes no work: {type(error).__name__}: {error}") from error
        self.stats.serialisation_s += time.monotonic() - submitted
        flights[future] = _Flight(rules, ledger, submitted)

    def _limit(self, rule: Rule) -> float | None:
        return self.timeout if rule.timeout is None else rule.timeout

    # ---- receiving

    def _take_events(self, flight: _Flight) -> None:
        for event in flight.ledger.new_events():
            try:
                finished = self._read(flight, event)
            except NONSENSE:
                # A rule has changed what writes events: none of its worker can be believed any more.
                self._kill(flight)
                return
            if finished is not None:
                self._source.deliver(*finished)

    def _read(self, flight: _Flight, event: dict[str, Any]) -> tuple[Rule, RawResult] | None:
        """Take note of *event*; the result in it, if any. Raises NONSENSE."""
        # Should the pool run a unit a second time, what the first run wrote down stands.
        if event.get("rule") in flight.finished:
            return None
        match event["event"]:
            case "begin":
                self._begun(flight, event)
            case "start":
                rule = flight.rules[event["rule"]]
                flight.running, flight.building = (event["rule"], event["time"]), None
                self._attempts[rule.id] = self._attempts.get(rule.id, 0) + 1
            case "building":
                flight.building = event["name"]
            case "trace":
                self._received.keep_trace(event)
            case "result":
                return self._result(flight, event)
            case "unloadable":
                rule = flight.rules[event["rule"]]
                flight.finished.add(event["rule"])
                self._refused.append((rule, f"{rule.id} cannot be loaded in a worker: {event['why']}"))
            case "end":
                flight.ended = event["time"]
                self.stats.serialisation_s += event["unpickle_s"]
        return None

    def _begun(self, flight: _Flight, event: dict[str, Any]) -> None:
        pid, began = event["pid"], event["time"]
        flight.pid, flight.began = pid, began
        if flight.rules[0].group is not None and self.share:
            self._waiting.settle(flight.rules[0].group, pid)
        if self._began is not None:
            self.stats.startup_s += began - self._began
            self._began = None
        elif pid in self._last_end:
            self.stats.transfer_s += max(0.0, began - max(flight.submitted, self._last_end[pid]))
        if pid not in self._reports:
            self._reports[pid] = WorkerReport(
                f"pid-{pid}", event["attached"], event["mapped_bytes"], event["attach_s"], why=event["why"]
            )
            self.stats.worker_reports.append(self._reports[pid])

    def _result(self, flight: _Flight, event: dict[str, Any]) -> tuple[Rule, RawResult]:
        rule = flight.rules[event["rule"]]
        raw = self._received.raw(event, f"pid-{flight.pid}", self._attempts[rule.id])
        flight.running = None
        flight.finished.add(event["rule"])
        report = self._reports.get(flight.pid or 0)
        if report is not None:
            report.rules += 1
            report.busy_s += raw.seconds
        return rule, raw

    @staticmethod
    def _kill(flight: _Flight) -> None:
        if flight.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(flight.pid, signal.SIGKILL)

    def _enforce_limit(self, flight: _Flight) -> None:
        """Kill a worker whose own timer should have ended it: it is stopped, or the timer was taken away."""
        if self._owned and flight.began is None and time.monotonic() - flight.submitted > START_LIMIT_S:
            raise PoolUnavailable(f"no worker began its unit within {START_LIMIT_S:g} s")
        if flight.pid is None:
            return
        if flight.ended is not None and time.monotonic() - flight.ended > _GRACE_S:
            # All results are there, yet the pool waits: a rule has spoiled the worker's connection.
            self._kill(flight)
        if flight.running is None:
            return
        limit = self._limit(flight.rules[flight.running[0]])
        if limit is not None and time.monotonic() - flight.running[1] > limit + _GRACE_S:
            flight.killed_for = flight.running
            self._kill(flight)

    # ---- landing

    def _land(self, future: Future[None], flight: _Flight, received: float) -> None:
        error = None if future.cancelled() else future.exception()
        self._landed = flight.pid if error is None else None
        if flight.pid is not None and flight.ended is not None:
            self._last_end[flight.pid] = flight.ended
            self.stats.transfer_s += max(0.0, received - flight.ended)
        rest = [rule for place, rule in enumerate(flight.rules) if place not in flight.finished]
        if not rest:
            return
        why = (
            f"{type(error).__name__}: {error}" if error is not None else "the unit ended without its results"
        )
        if flight.running is None:
            self._lost_before_start(rest, why)
            return
        culprit = flight.rules[flight.running[0]]
        others = [rule for rule in rest if rule is not culprit]
        if others:
            self._waiting.rejoin(others)
        raw = self._verdict(culprit, flight, why)
        if raw.status is Status.CRASH and self._attempts[culprit.id] < MAX_ATTEMPTS:
            self.stats.retries += 1
            self._waiting.rejoin([culprit])
            return
        raw.worker, raw.attempts = f"pid-{flight.pid}", self._attempts[culprit.id]
        self._source.deliver(culprit, raw)

    def _verdict(self, rule: Rule, flight: _Flight, why: str) -> RawResult:
        assert flight.running is not None
        tail = flight.ledger.tail
        limit = self._limit(rule)
        seconds = time.monotonic() - flight.running[1]
        # Sooner than that, the rule sent itself the timer's signal.
        by_timer = limit is not None and seconds >= limit and tail.startswith(STACK)
        if limit is not None and (flight.killed_for == flight.running or by_timer):
            return timed_out(rule, limit, seconds, tail)
        message = f"{rule.id} ended its worker process"
        reason = f"{why}{while_building(flight.building)}\n{tail}".strip()
        return RawResult(Status.CRASH, message, reason=reason, seconds=seconds)

    def _lost_before_start(self, rules: list[Rule], why: str) -> None:
        """A worker died with rules it had not started: nobody is to blame yet, so each is sent again
        alone."""
        for rule in rules:
            self._losses[rule.id] = self._losses.get(rule.id, 0) + 1
            if self._losses[rule.id] < MAX_LOSSES:
                self._waiting.rejoin([rule])
            else:
                message = f"{rule.id} was lost with its worker {MAX_LOSSES} times before it was started"
                self._source.deliver(rule, RawResult(Status.CRASH, message, reason=why))

    def _measure_memory(self) -> None:
        total, how = tree_bytes([os.getpid()])
        for pid, report in self._reports.items():
            own, how = tree_bytes([pid])
            report.peak_bytes = max(report.peak_bytes, own)
            total += own
        if total > self.stats.peak_memory:
            self.stats.peak_memory = total
            self.stats.memory_how = f"{how} of this process and its workers at batch ends"


def _new_pool(workers: int, start_method: str | None) -> PersistentWorkerPool:
    from optengine import PersistentWorkerPool

    return PersistentWorkerPool(
        max_workers=workers,
        start_method=start_method,
        max_attempts=1,
        task_timeout=None,
        preload=["optengine.rules.work"],
        lean=True,  # rules of the main module travel by value; others bring what they import
    )
