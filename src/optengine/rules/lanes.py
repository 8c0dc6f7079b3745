"""Units run in this process, in one lane (sequential) or several (threads), under a supervisor that keeps
time.

A lane is a daemon thread that takes units and runs their rules one after another. The supervisor, in the
calling thread, watches the clock. A rule that is over its limit gets its TIMEOUT at once, its lane is given
up, and a new lane goes on with the rest of the unit. Python cannot end a thread, so a rule given up goes on
in the background, and a rule that ends the process ends it: only other processes contain that.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from optengine.rules.evidence import clean_text
from optengine.rules.execute import RawResult, Workspace
from optengine.rules.grouping import Unit
from optengine.rules.model import Rule, RuleResult, Status

Deliver = Callable[[Rule, RawResult], None]
_LONGEST_NAP_S = 0.5


def timed_out(rule: Rule, limit: float, seconds: float, stack: str) -> RawResult:
    """The result of a rule that was over its limit, worded alike in every mode."""
    reason = (
        f"over its limit of {limit:g} s; it was here:\n{stack}" if stack else f"over its limit of {limit:g} s"
    )
    message = f"{rule.id} did not finish within {limit:g} s"
    return RawResult(Status.TIMEOUT, message, reason=clean_text(reason), seconds=seconds)


@dataclass(frozen=True)
class _Job:
    """What the lanes of one run share: the units that wait, where results go."""

    waiting: deque[Unit]
    results: Mapping[str, RuleResult]
    deliver: Deliver


class _Lane:
    def __init__(self, number: int) -> None:
        self.number = number
        self.rest: deque[Rule] = deque()
        self.current: tuple[Rule, float] | None = None
        self.given_up = False
        self.done = False
        self.broken: BaseException | None = None
        self.thread: threading.Thread | None = None


class Lanes:
    """Runs units in ``count`` lanes of this process.

    Args:
        workspace: what rules are run with.
        count: lanes; 1 is the sequential mode.
        timeout: limit in seconds for rules without their own; None for no limit.
        share: False drops shared inputs after every unit, as if every unit ran in a process of its own.
        name: word for the ``worker`` field of results.
    """

    def __init__(
        self,
        workspace: Workspace,
        count: int,
        timeout: float | None,
        *,
        share: bool = True,
        name: str = "thread",
    ) -> None:
        self.workspace = workspace
        self.count = count
        self.timeout = timeout
        self.share = share
        self.name = name
        self._condition = threading.Condition()

    def limit(self, rule: Rule) -> float | None:
        """Seconds *rule* may take."""
        return self.timeout if rule.timeout is None else rule.timeout

    def run(
        self,
        units: Sequence[Unit],
        results: Mapping[str, RuleResult],
        deliver: Deliver,
    ) -> None:
        """Run all *units*; *deliver* gets each result, in the calling thread's or a lane's context, one at a
        time."""
        job = _Job(deque(units), results, deliver)
        lanes = [_Lane(number) for number in range(1, min(self.count, max(len(units), 1)) + 1)]
        limits = [limit for unit in units for rule in unit.rules if (limit := self.limit(rule)) is not None]
        nap = min([_LONGEST_NAP_S, *limits])
        with self._condition:
            for lane in lanes:
                self._start(lane, job)
            try:
                while not all(lane.done for lane in lanes):
                    self._condition.wait(self._pause(lanes, nap))
                    for place, lane in enumerate(lanes):
                        if self._over_limit(lane):
                            lanes[place] = self._replace(lane, job)
                        elif lane.broken is not None:
                            raise lane.broken
            except BaseException:
                for lane in lanes:
                    lane.given_up = True
                    lane.rest.clear()
                job.waiting.clear()
                raise

    def _pause(self, lanes: Sequence[_Lane], nap: float) -> float:
        now = time.monotonic()
        waits = [nap]
        for lane in lanes:
            if lane.current is not None and (limit := self.limit(lane.current[0])) is not None:
                waits.append(max(0.001, lane.current[1] + limit - now))
        return min(waits)

    def _over_limit(self, lane: _Lane) -> bool:
        current = lane.current
        if lane.done or current is None:
            return False
        limit = self.limit(current[0])
        return limit is not None and time.monotonic() - current[1] >= limit

    def _start(self, lane: _Lane, job: _Job) -> None:
        lane.thread = threading.Thread(
            target=self._work, args=(lane, job), name=f"optengine-lane-{lane.number}", daemon=True
        )
        lane.thread.start()

    def _replace(self, lane: _Lane, job: _Job) -> _Lane:
        """Give up *lane*, deliver the TIMEOUT, go on with its rest in a new lane. Called with the condition
        held."""
        assert lane.current is not None
        rule, started = lane.current
        lane.given_up = True
        stack = _stack_of(lane.thread)
        raw = timed_out(rule, self.limit(rule) or 0.0, time.monotonic() - started, stack)
        raw.worker = self._worker(lane)
        job.deliver(rule, raw)
        fresh = _Lane(lane.number)
        fresh.rest, lane.rest = lane.rest, deque()
        self._start(fresh, job)
        return fresh

    @staticmethod
    def _was_given_up(lane: _Lane) -> bool:
        """Asked again after the rule: the supervisor may have given the lane up meanwhile."""
        return lane.given_up

    def _worker(self, lane: _Lane) -> str:
        return "main" if self.count == 1 else f"{self.name}-{lane.number}"

    def _work(self, lane: _Lane, job: _Job) -> None:
        """What a lane's thread does; an error outside of rules is handed to the supervisor, which raises
        it."""
        try:
            while not lane.done and not lane.given_up:
                self._step(lane, job)
        except BaseException as error:  # noqa: BLE001 - raised again by the supervisor
            with self._condition:
                lane.broken = error
                self._condition.notify_all()

    def _step(self, lane: _Lane, job: _Job) -> None:
        """Take the next rule and run it, or set ``lane.done``."""
        with self._condition:
            if lane.given_up:
                return
            if not lane.rest:
                if not self.share:
                    self.workspace.shared.clear()
                if job.waiting:
                    lane.rest.extend(job.waiting.popleft().rules)
            if not lane.rest:
                lane.done = True
                self._condition.notify_all()
                return
            rule = lane.rest.popleft()
            lane.current = (rule, time.monotonic())
        raw = self.workspace.run(rule, {name: job.results[name] for name in rule.requires})
        with self._condition:
            if self._was_given_up(lane):
                return
            lane.current = None
            raw.worker = self._worker(lane)
            job.deliver(rule, raw)


def _stack_of(thread: threading.Thread | None) -> str:
    """Where *thread* is, as text; empty when it has ended."""
    collecting = gc.isenabled()
    gc.disable()  # up to Python 3.11.7 the interpreter hangs when it collects garbage in _current_frames
    try:
        frame = sys._current_frames().get(thread.ident or 0) if thread is not None else None
    finally:
        if collecting:
            gc.enable()
    return "".join(traceback.format_stack(frame)[-8:]) if frame is not None else ""
