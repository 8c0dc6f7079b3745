"""Rules run one after another in a child forked from this process, so that one that ends its process ends the child.

    parent                                   child (a copy of the parent, with all rules and the workspace)
    names, required results    ->  pickle    runs them in turn
    takes each result          <-  JSON      a line per result, written before the next rule is started
    goes on, or stops          ->  pickle    asked for once a few milliseconds have passed

A fork costs milliseconds and nothing has to be pickled by the rules, so this is cheap enough for rules of a tenth of a
millisecond. The child stays for the whole run and keeps the shared inputs it built. When it dies, the rule that ran is
tried once more, alone in a new child, before it is a CRASH; one over its limit is a TIMEOUT at once. Beside threads of
libraries it may be the fork that hangs, not the rule: no child judges that, and none gets a rule without a limit.
"""

from __future__ import annotations

import base64
import contextlib
import json
import pickle
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optengine.rules.child import CannotFork, Child
from optengine.rules.execute import RawResult, Workspace
from optengine.rules.lanes import Deliver, timed_out
from optengine.rules.model import Rule, RuleResult, Status
from optengine.rules.received import NONSENSE, ReceivedResults
from optengine.rules.report import Stats
from optengine.rules.segment import trace_json, trace_of
from optengine.rules.shared import encode, thaw, while_building
from optengine.rules.snapshot import DiskSnapshot
from optengine.rules.trace import Recorder, Scene
from optengine.rules.work import write_result

#: The child asks whether to go on when it last did so this long ago: often enough for rules that are worth a pool, too
#: seldom to cost tiny ones anything.
ASK_S = 0.005
_NAP_S = 0.5
#: Shared inputs are handed over by a child that says something at least this often; else they are built again.
_SILENT_S = 30.0


class ForkedLane:
    """Runs units one rule after another in a child that is replaced when it dies. Close it.

    Args:
        rules: all rules of the run, by id; the child gets them by being forked.
        workspace: what rules are run with; takes over what the child found out about files.
        snapshot: the workspace's own.
        timeout: limit in seconds for rules without their own; None for no limit.
        stats: where second attempts are counted.
        share: False drops shared inputs after every rule.
    """

    def __init__(
        self,
        rules: Mapping[str, Rule],
        workspace: Workspace,
        snapshot: DiskSnapshot,
        timeout: float | None,
        stats: Stats,
        *,
        share: bool = True,
    ) -> None:
        self.rules = rules
        self.workspace = workspace
        self.snapshot = snapshot
        self.timeout = timeout
        self.stats = stats
        self.share = share
        self.peak_bytes = 0
        self._received = ReceivedResults()
        self._child: Child | None = None
        self._children = 0
        self._building: str | None = None
        self._deaths: dict[str, int] = {}

    def run(
        self,
        rules: Sequence[Rule],
        results: Mapping[str, RuleResult],
        deliver: Deliver,
        stop: Callable[[], bool],
    ) -> list[Rule]:
        """Run *rules*; *deliver* gets each result as it comes.

        Returns:
            Rules not started because *stop* said so; empty otherwise. None of them ever ended a child.

        Raises:
            CannotFork: no child could be forked or trusted; rules without a result were not delivered and may run
                elsewhere.
        """
        waiting = deque(rules)
        try:
            while waiting:
                alone = waiting[0].id in self._deaths
                if not alone and stop():
                    self._take_inputs()
                    break
                self._order([waiting[0]] if alone else list(waiting), results)
                left = len(waiting) - 1 if alone else 0
                self._follow(waiting, left, deliver, (lambda: False) if alone else stop)
        except CannotFork as error:
            if waiting and waiting[0].id in self._deaths:
                rule = waiting[0]
                raw = self._crash(rule, f"{error}, so it was not tried again", 0.0)
                raw.worker = self._name()
                deliver(rule, raw)
            self._take_inputs()
            raise
        except BaseException:
            self._give_up()
            raise
        return list(waiting)

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.close(politely=True)
            self._forget()

    def _order(self, rules: Sequence[Rule], results: Mapping[str, RuleResult]) -> None:
        if self._child is None:
            self._child = Child(self._serve)
            self._children += 1
        if self._child.beside_threads:
            for rule in rules:
                if self._limit(rule) is None:
                    raise CannotFork(
                        f"{rule.id} has no time limit, which a child forked beside threads of libraries needs"
                    )
        needed = {name: results[name] for rule in rules for name in rule.requires}
        self._child.send(([rule.id for rule in rules], needed))

    def _follow(self, waiting: deque[Rule], left: int, deliver: Deliver, stop: Callable[[], bool]) -> None:
        """Take results until *left* rules wait, the child was told to stop, or it is gone."""
        assert self._child is not None
        child, since = self._child, time.monotonic()
        while len(waiting) > left:
            rule = waiting[0]
            limit = self._limit(rule)
            nap = _NAP_S if limit is None else min(_NAP_S, since + limit - time.monotonic())
            messages = child.messages(nap)
            if messages is None:
                self._lost(waiting, deliver, time.monotonic() - since)
                return
            if not messages and limit is not None and (seconds := time.monotonic() - since) >= limit:
                raw = timed_out(rule, limit, seconds, child.end_at_limit())
                if child.beside_threads:
                    self._forget()
                    raise CannotFork(f"{raw.message} in a child forked beside threads of libraries")
                raw.worker, raw.attempts = self._name(), self._deaths.get(rule.id, 0) + 1
                self._forget()
                waiting.popleft()
                deliver(rule, raw)
                return
            for event in messages:
                try:
                    said = self._read(event, waiting[0] if waiting else None)
                except NONSENSE:
                    child.refuse()
                    self._lost(waiting, deliver, time.monotonic() - since)
                    return
                if isinstance(said, RawResult):
                    deliver(waiting.popleft(), said)
                elif said is not None:
                    since, asks = said
                    if asks and len(waiting) > left:
                        stopped = stop()
                        child.send(not stopped)
                        since = time.monotonic()
                        if stopped:
                            return

    def _read(self, event: dict[str, Any], rule: Rule | None) -> RawResult | tuple[float, bool] | None:
        """The result of *rule*, or when it was done and whether the child asks to go on. Raises NONSENSE."""
        match event["event"]:
            case "building":
                self._building = event["name"]
            case "trace":
                self._received.keep_trace(event)
            case "result" if rule is not None:
                return self._received.raw(event, self._name(), self._deaths.get(rule.id, 0) + 1)
            case "then":
                self.snapshot.take(event["files"], event["hashed"])
                return event["time"], event["ask"]
            case other:
                raise ValueError(other)
        return None

    def _limit(self, rule: Rule) -> float | None:
        return self.timeout if rule.timeout is None else rule.timeout

    def _lost(self, waiting: deque[Rule], deliver: Deliver, seconds: float) -> None:
        """The child died in the first rule of *waiting*, as far as anyone can tell."""
        assert self._child is not None
        rule = waiting[0]
        why = f"{self._child.why()}{while_building(self._building)}\n{self._child.text()}".strip()
        self._child.close()
        name = self._name()
        self._forget()
        self._deaths[rule.id] = self._deaths.get(rule.id, 0) + 1
        if self._deaths[rule.id] == 1:
            self.stats.retries += 1
            return
        waiting.popleft()
        raw = self._crash(rule, why, seconds)
        raw.worker = name
        deliver(rule, raw)

    def _crash(self, rule: Rule, why: str, seconds: float) -> RawResult:
        message = f"{rule.id} ended its worker process"
        return RawResult(Status.CRASH, message, reason=why, seconds=seconds, attempts=self._deaths[rule.id])

    def _take_inputs(self) -> None:
        """Take over run-wide inputs that the child built, then end it: the rest runs elsewhere."""
        child = self._child
        if child is None:
            return
        child.send("inputs")
        done = False
        with contextlib.suppress(*NONSENSE):  # then it is built again
            while not done and (messages := child.messages(_SILENT_S)):
                for event in messages:
                    done = event["event"] == "end"
                    if not done:
                        self._attach(event)
        self.close()

    def _attach(self, event: dict[str, Any]) -> None:
        recorder = Recorder(Scene(self.snapshot), keep=False)
        recorder.unrecorded, recorder.saw_anything = event["unrecorded"], event["saw_anything"]
        data = base64.b85decode(event["data"])
        self.workspace.shared.attach(event["name"], data, recorder, trace_of(event["trace"]))

    def _name(self) -> str:
        return f"child-{self._children}"

    def _forget(self) -> None:
        if self._child is not None:
            self.peak_bytes = max(self.peak_bytes, self._child.peak_bytes)
        self._child = self._building = None

    def _give_up(self) -> None:
        if self._child is not None:
            self._child.close()
            self._forget()

    # ---- in the child

    def _serve(self, end: socket.socket) -> None:
        def write(events: list[dict[str, Any]]) -> None:
            lines = [json.dumps(event, separators=(",", ":")) + "\n" for event in events]
            end.sendall("".join(lines).encode("ascii"))

        self.workspace.shared.announce = lambda name: write([{"event": "building", "name": name}])
        stream = end.makefile("rb")
        traces_sent: set[str] = set()
        self.snapshot.news()
        while (order := pickle.load(stream)) is not None:  # noqa: S301 - from the process this is a copy of
            if order == "inputs":
                write([*self._built_inputs(), {"event": "end"}])
                continue
            names, results = order
            asked = time.monotonic()
            for rule in (self.rules[name] for name in names):
                raw = self.workspace.run(rule, {name: results[name] for name in rule.requires})
                if not self.share:
                    self.workspace.shared.clear()
                now = time.monotonic()
                ask = now - asked >= ASK_S and rule.id != names[-1]
                files, hashed = self.snapshot.news()
                events: list[dict[str, Any]] = []
                write_result(events.append, traces_sent, 0, raw)
                write([*events, {"event": "then", "time": now, "ask": ask, "files": files, "hashed": hashed}])
                if ask:
                    if not pickle.load(stream):  # noqa: S301 - as above
                        break
                    asked = time.monotonic()

    def _built_inputs(self) -> list[dict[str, Any]]:
        return [
            {
                "event": "input",
                "name": name,
                "data": base64.b85encode(encode(thaw(built.value), name)).decode("ascii"),
                "unrecorded": built.recorder.unrecorded,
                "saw_anything": built.recorder.saw_anything,
                "trace": trace_json(built.trace),
            }
            for name, built in self.workspace.shared.built_for_run().items()
        ]
