"""Rules run one after another in a child forked from this process, so that one that ends its process ends the child.

    parent                                   child (a copy of the parent, with all rules and the workspace)
    names, required results    ->  pickle    runs them in turn
    takes each result          <-  JSON      a line per result, written before the next rule is started
    goes on, or stops          ->  pickle    asked for once a few milliseconds have passed

A fork costs milliseconds and nothing has to be pickled by the rules, so this is cheap enough for rules of a tenth of a
millisecond. The child stays for the whole run and keeps the shared inputs it built. When it dies, the rule that ran is
tried once more, alone in a new child, before it is a CRASH; one over its limit is a TIMEOUT at once.

Only a process with a single thread may be forked: a lock that another thread holds stays locked in the child for ever.
"""

from __future__ import annotations

import base64
import contextlib
import faulthandler
import json
import os
import pickle
import select
import signal
import socket
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from optengine.rules.errors import RuleSetError
from optengine.rules.execute import RawResult, Workspace
from optengine.rules.lanes import Deliver, timed_out
from optengine.rules.model import Rule, RuleResult, Status
from optengine.rules.received import ReceivedResults
from optengine.rules.report import Stats
from optengine.rules.scratch import ScratchFile
from optengine.rules.segment import trace_json, trace_of
from optengine.rules.shared import encode, thaw
from optengine.rules.snapshot import DiskSnapshot
from optengine.rules.trace import Recorder, Scene
from optengine.rules.work import write_result

#: The child asks whether to go on when it last did so this long ago: often enough for rules that are worth a pool, too
#: seldom to cost tiny ones anything.
ASK_S = 0.005
_NAP_S = 0.5
_GRACE_S = 2.0
_TASKS = Path("/proc/self/task")


class CannotFork(RuleSetError):
    """No child can be forked here; the message says why."""


def why_not() -> str | None:
    """Why this process must not be forked; None when it may be."""
    if not hasattr(os, "fork") or not _TASKS.is_dir():
        return "threads of this process cannot be counted on this system"
    threads = sum(1 for _ in _TASKS.iterdir())
    return f"this process has {threads} threads" if threads > 1 else None


class _Child:
    """One forked child, as its parent sees it."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        """Fork.

        Raises:
            CannotFork: this process has threads, or the system gives no process.
        """
        from optengine.pool import lifeline

        if (why := why_not()) is not None:
            raise CannotFork(why)
        self._buffer = b""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        opened: list[Any] = []
        try:
            self.stack = ScratchFile("stack")
            opened.append(self.stack)
            self.end, other = socket.socketpair()
            opened += [self.end, other]
            self._life, tied = socket.socketpair()
            opened += [self._life, tied]
            self.pid = os.fork()
        except OSError as error:
            for one in opened:
                one.close()
            raise CannotFork(f"no child could be forked: {error}") from error
        if self.pid == 0:
            self.end.close()
            self._life.close()
            _be_the_child(serve, other, tied, self.stack.fd, lifeline.tie)
        other.close()
        tied.close()
        self._poll = select.poll()
        self._poll.register(self.end, select.POLLIN)
        self.status: int | None = None
        self.peak_bytes = 0

    def send(self, value: object) -> None:
        """Send *value*; a child that is dead is noticed when nothing comes back."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.end.sendall(pickle.dumps(value, 5))

    def messages(self, seconds: float) -> list[dict[str, Any]] | None:
        """What arrives within *seconds*, empty when nothing does; None when the child is dead."""
        if not self._poll.poll(max(0.0, seconds) * 1000):
            # Something the rule started may keep the connection open.
            return None if self._reap(os.WNOHANG) else []
        try:
            data = self.end.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        if not data:
            return None
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def end_at_limit(self) -> str:
        """End it by the signal at which it writes where it is, and return that text."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGABRT)
        deadline = time.monotonic() + _GRACE_S
        while not self._reap(os.WNOHANG) and time.monotonic() < deadline:
            time.sleep(0.005)
        text = self.text()
        self.close()
        return text[max(text.find("Current thread"), 0) :]

    def text(self) -> str:
        """What it wrote at its end: its stack, as far as it belongs to the rule."""
        size = os.fstat(self.stack.fd).st_size
        text = os.pread(self.stack.fd, min(size, 1 << 16), 0).decode("utf-8", "replace")
        lines = text.splitlines()
        ours = next((place for place, line in enumerate(lines) if line.endswith(" in _serve")), len(lines))
        return "\n".join(lines[:ours]).strip()

    def why(self) -> str:
        """How it ended."""
        self._reap(0)
        if self.status is None:
            return "it is gone"
        code = os.waitstatus_to_exitcode(self.status)
        return f"it left with exit status {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"

    def close(self, *, politely: bool = False) -> None:
        """End it with all it started; *politely* lets it write what it printed first."""
        if politely:
            self.send(None)
            deadline = time.monotonic() + _GRACE_S
            while not self._reap(os.WNOHANG) and time.monotonic() < deadline:
                time.sleep(0.001)
        self._life.close()
        if not self._reap(os.WNOHANG):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._reap(0)
        self.end.close()
        self.stack.close()

    def _reap(self, flags: int) -> bool:
        if self.status is not None:
            return True
        try:
            pid, status, usage = os.wait4(self.pid, flags)
        except ChildProcessError:
            return True
        if not pid:
            return False
        self.status = status
        self.peak_bytes = usage.ru_maxrss * 1024
        # Its own group: also what a rule started and left behind ends here.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        return True


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
        self._child: _Child | None = None
        self._children = 0
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
            CannotFork: no child could be forked; rules without a result were not delivered and may run elsewhere.
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
                deliver(rule, self._crash(rule, f"{error}, so it was not tried again", 0.0))
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
            self._child = _Child(self._serve)
            self._children += 1
        needed = {name: results[name] for rule in rules for name in rule.requires}
        self._child.send(([rule.id for rule in rules], needed))

    def _follow(self, waiting: deque[Rule], left: int, deliver: Deliver, stop: Callable[[], bool]) -> None:
        """Take results until *left* rules wait, the child was told to stop, or it is gone."""
        assert self._child is not None
        child, since = self._child, time.monotonic()
        while len(waiting) > left:
            rule = waiting[0]
            limit = self.timeout if rule.timeout is None else rule.timeout
            nap = _NAP_S if limit is None else min(_NAP_S, since + limit - time.monotonic())
            messages = child.messages(nap)
            if messages is None:
                self._lost(waiting, deliver, time.monotonic() - since)
                return
            if not messages and limit is not None and (seconds := time.monotonic() - since) >= limit:
                raw = timed_out(rule, limit, seconds, child.end_at_limit())
                raw.worker, raw.attempts = self._name(), self._deaths.get(rule.id, 0) + 1
                self._forget()
                waiting.popleft()
                deliver(rule, raw)
                return
            for event in messages:
                if event["event"] == "trace":
                    self._received.keep_trace(event)
                elif event["event"] == "result":
                    rule = waiting.popleft()
                    raw = self._received.raw(event, self._name(), self._deaths.get(rule.id, 0) + 1)
                    deliver(rule, raw)
                else:
                    since = event["time"]
                    self.snapshot.take(event["files"], event["hashed"])
                    if event["ask"] and len(waiting) > left:
                        stopped = stop()
                        child.send(not stopped)
                        since = time.monotonic()
                        if stopped:
                            return

    def _lost(self, waiting: deque[Rule], deliver: Deliver, seconds: float) -> None:
        """The child died in the first rule of *waiting*, as far as anyone can tell."""
        assert self._child is not None
        rule = waiting[0]
        why = f"{self._child.why()}\n{self._child.text()}".strip()
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
        while not done and (messages := child.messages(_NAP_S)) is not None:
            for event in messages:
                done = event["event"] == "end"
                if not done:
                    recorder = Recorder(Scene(self.snapshot), keep=False)
                    recorder.unrecorded, recorder.saw_anything = event["unrecorded"], event["saw_anything"]
                    data = base64.b85decode(event["data"])
                    self.workspace.shared.attach(event["name"], data, recorder, trace_of(event["trace"]))
        self.close()

    def _name(self) -> str:
        return f"child-{self._children}"

    def _forget(self) -> None:
        if self._child is not None:
            self.peak_bytes = max(self.peak_bytes, self._child.peak_bytes)
        self._child = None

    def _give_up(self) -> None:
        if self._child is not None:
            self._child.close()
            self._forget()

    # ---- in the child

    def _serve(self, end: socket.socket) -> None:
        def write(events: list[dict[str, Any]]) -> None:
            lines = [json.dumps(event, separators=(",", ":")) + "\n" for event in events]
            end.sendall("".join(lines).encode("ascii"))

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


def _be_the_child(
    serve: Callable[[socket.socket], None],
    end: socket.socket,
    life: socket.socket,
    stack: int,
    tie: Callable[[socket.socket], None],
) -> NoReturn:
    """Serve, and leave without running anything of what the parent has still to do."""
    status = 1
    try:
        os.setpgid(0, 0)
        tie(life)
        signal.set_wakeup_fd(-1)
        _leave_no_core()
        faulthandler.enable(file=stack, all_threads=True)
        serve(end)
        status = 0
    except (BrokenPipeError, ConnectionResetError, EOFError):
        pass  # the parent is gone
    except BaseException:  # noqa: BLE001 - told to the parent, which must not be continued here
        os.write(stack, traceback.format_exc().encode("utf-8", "replace"))
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(status)


def _leave_no_core() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
