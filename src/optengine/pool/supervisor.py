"""The one thread that owns a pool's workers: it waits, obeys, hears and feeds, turn by turn.

It waits on every worker's socket, the launcher and a wake-up pipe together, with the next deadline as
time-out. All state is its own; other threads only append to ``_commands`` and wake it. Sending is in
``dispatch.py``, receiving in ``intake.py``, the life of workers in ``fleet.py``, what becomes of a dead worker's
tasks in ``recovery.py``, deadlines and memory in ``limits.py``. What is left here is one loop and the life of
batches and of the pool itself.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

from optengine.pool import recovery
from optengine.pool.batch import Batch, SubmitBatch
from optengine.pool.dispatch import STEAL_AFTER_S, Dispatcher
from optengine.pool.failure import Kind, TaskFailure
from optengine.pool.fleet import Fleet
from optengine.pool.handle import InFlight, WorkerHandle
from optengine.pool.intake import accept_all
from optengine.pool.limits import Limits
from optengine.pool.plan import PoolPlan
from optengine.pool.start import SUPERVISOR_THREAD, Launcher, kill_tree
from optengine.pool.statistics import Tally
from optengine.resources import exhaustion_told, told


class Supervisor:
    """Runs batches on the workers of one pool. Public methods may be called from any thread."""

    def __init__(self, plan: PoolPlan, make_launcher: Callable[[], Launcher]) -> None:
        self.plan = plan
        self.tally = Tally(plan.max_workers)
        self.submitted = SubmitBatch(timeout_s=plan.task_timeout)
        self.broken: TaskFailure | None = None
        self.notes: list[str] = []
        self.main_by_value = False
        self.workers: list[WorkerHandle] = []
        self.batches: deque[Batch] = deque([self.submitted])
        self._commands: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._sleeping = False
        self._nudged = True  # the first turn sends what the workers need to start
        self._ended = False
        self._wake_lock = threading.Lock()
        self.poller = select.poll()
        self._next_call = 1
        self._closing = False
        self._terminating = False
        self.budget = recovery.RestartBudget(plan.max_workers)
        self.dispatcher = Dispatcher(self)
        self.limits = Limits(plan)
        self.thread = threading.Thread(
            target=self._main, name=f"{SUPERVISOR_THREAD}-{id(self):x}", daemon=True
        )
        starting = exhaustion_told(plan.starting, descriptors=plan.descriptors)
        # The system may have no descriptor or thread left; a server nobody closes would never leave.
        with starting, contextlib.ExitStack() as undo:
            # First, so that a server forked from here inherits none of the descriptors below.
            self.fleet = Fleet(self, make_launcher)
            undo.callback(self.fleet.launcher.close)
            self.fleet.watch_launcher()
            self._wake_read, self._wake_write = os.pipe()
            undo.callback(os.close, self._wake_read)
            undo.callback(os.close, self._wake_write)
            os.set_blocking(self._wake_read, False)
            os.set_blocking(self._wake_write, False)
            self.poller.register(self._wake_read, select.POLLIN)
            self.thread.start()
            undo.pop_all()

    # ---- for any thread

    @property
    def sound(self) -> bool:
        """Whether tasks can still be run."""
        return self.broken is None and self.thread.is_alive()

    @property
    def may_restart(self) -> bool:
        """Whether a dead worker is to be replaced."""
        return self.broken is None and not self._terminating

    def call(self, function: Callable[..., None], *arguments: Any) -> None:
        """Have ``function(*arguments)`` run in the supervisor's thread."""
        self._commands.append((function, arguments))
        self.nudge()
        if self._ended:
            self._obey()

    def nudge(self) -> None:
        """Wake the supervisor, or keep it from falling asleep."""
        self._nudged = True
        if self._sleeping:
            # The lock keeps the byte from going to a descriptor that was closed and reused meanwhile.
            # A full pipe wakes as well; a closed one belongs to a supervisor that has ended.
            with self._wake_lock, contextlib.suppress(OSError):
                os.write(self._wake_write, b"\0")

    def add(self, batch: Batch) -> None:
        """Start ``batch``."""
        self.call(self._add, batch)

    def close_batch(self, batch: Batch, *, now: bool) -> None:
        """Send nothing more of ``batch``; ``now`` also gives up what runs."""
        self.call(self._close_batch, batch, now)

    def kill_batch(self, batch: Batch) -> None:
        """End ``batch`` and kill the workers that run its tasks."""
        self.call(self._kill_batch, batch)

    def shut_down(self, *, cancel: bool, kill: bool) -> None:
        """Finish (or cancel) what was given, then end; ``kill`` ends at once."""
        self.call(self._shut_down, cancel, kill)

    # ---- loop

    def _main(self) -> None:
        try:
            self.fleet.fill(time.monotonic())
            while not self._done():
                self._turn()
        except BaseException as error:  # noqa: BLE001 - a defect here must not leave callers waiting for ever
            exhausted = told(error, self.plan.starting, descriptors=self.plan.descriptors)
            defect = "the pool's supervisor failed, which is a defect of optengine; please report it"
            self.break_pool("crash", defect if exhausted is None else str(exhausted), traceback.format_exc())
        finally:
            self._clean_up()

    def _turn(self) -> None:
        timeout = self._timeout_s()
        self._sleeping = True
        # A nudge that came before the line above wrote no byte, only its mark: look at that after, not before.
        events = self.poller.poll(0 if self._nudged else None if timeout is None else timeout * 1e3)
        self._sleeping = False
        self._nudged = False
        for descriptor, event in events:
            worker = self.fleet.at(descriptor)
            if worker is not None:
                if event & ~select.POLLOUT:
                    self._read(worker)
            elif descriptor == self._wake_read:
                os.read(self._wake_read, 4096)
            else:
                self.fleet.collect()
        self._obey()
        now = time.monotonic()
        if self.fleet.any_lost():
            self.fleet.see_to_lost(now)
        if now >= self.fleet.fill_at:
            self.fleet.fill(now)
        self.limits.check(self, now)
        self.dispatcher.feed(now)
        self.dispatcher.push()

    def _obey(self) -> None:
        while self._commands:
            function, arguments = self._commands.popleft()
            function(*arguments)

    def _timeout_s(self) -> float | None:
        if self.fleet.any_lost():
            return 0.02
        now = time.monotonic()
        due = min(self.limits.next_due(self, now), self.fleet.fill_at)
        if self.dispatcher.may_steal():
            due = min(due, now + STEAL_AFTER_S)
        return None if due == float("inf") else max(0.0, due - now + 0.0005)

    def _done(self) -> bool:
        if self._terminating:
            return True
        if not self._closing:
            return False
        return self.broken is not None or (len(self.batches) == 1 and not self.submitted.unresolved)

    # ---- commands

    def _add(self, batch: Batch) -> None:
        self.tally.batches += 1
        batch.call = self._next_call
        self._next_call += 1
        if self.broken is not None:
            self._fail_batch(batch, self.broken)
        elif self._terminating:
            batch.fail_rest(_given_up)
        else:
            self.batches.append(batch)

    def _close_batch(self, batch: Batch, now: bool) -> None:
        batch.closed = True
        if now and not batch.over:
            batch.settle()
        self.dispatcher.revoke(batch)
        self.batch_landed(batch)

    def _kill_batch(self, batch: Batch) -> None:
        batch.closed = True
        if not batch.over:
            batch.settle()
        for worker in self.workers:
            if any(flight.batch is batch for flight in worker.inflight):
                self.condemn(worker, "cancelled", "its batch was interrupted")
        self.batch_landed(batch)

    def _shut_down(self, cancel: bool, kill: bool) -> None:
        self._closing = True
        if cancel or kill:
            self.submitted.cancel_waiting()
        if kill:
            self._terminating = True

    # ---- judgement

    def condemn(self, worker: WorkerHandle, kind: Any, message: str) -> None:
        """Start killing ``worker``; its running task gets a failure of ``kind``."""
        self.limits.condemn(worker, kind, message, time.monotonic())

    def break_pool(self, kind: Kind, message: str, text: str | None, exitcode: int | None = None) -> None:
        """Nothing can run any more: fail everything that waits, kill everything that runs."""
        self.broken = TaskFailure(-1, kind, message, traceback=text, exitcode=exitcode)
        for batch in [*self.batches]:
            self._fail_batch(batch, self.broken)
        self.batches.clear()
        for worker in self.workers:
            worker.inflight.clear()
            if worker.pid is not None:
                kill_tree(worker.pid)

    def fail_submissions(self) -> None:
        """Fail what was submitted while the pool broke."""
        if self.broken is not None:
            self._fail_batch(self.submitted, self.broken)

    def _fail_batch(self, batch: Batch, failure: TaskFailure) -> None:
        batch.fail_rest(
            lambda index: TaskFailure(
                index, failure.kind, failure.message, failure.traceback, exitcode=failure.exitcode
            )
        )

    # ---- receiving

    def _read(self, worker: WorkerHandle) -> None:
        bodies, gone = worker.read()
        problem = accept_all(self, worker, bodies)
        if problem is not None:
            self.condemn(worker, "crash", f"it sent unreadable data ({problem})")
            gone = True
        if gone and worker.lost_at is None:
            worker.lost_at = time.monotonic()
            self.fleet.stop_listening(worker)

    def fail(self, batch: Batch, failure: TaskFailure) -> None:
        """Deliver a failure; a batch that stops on failure takes its other tasks back."""
        self.tally.failures += 1
        was_closed = batch.closed
        batch.fail(failure)
        if batch.closed and not was_closed:
            self.dispatcher.revoke(batch)

    def land(self, worker: WorkerHandle, flight: InFlight) -> None:
        """A chunk is answered to its last task."""
        worker.inflight.remove(flight)
        flight.batch.inflight -= 1
        self.batch_landed(flight.batch)

    def batch_landed(self, batch: Batch) -> None:
        """Let go of ``batch`` if it is over or, being closed, has nothing in flight any more."""
        if batch.inflight or batch is self.submitted:
            return
        if batch.closed and not batch.over:
            batch.settle()
        if batch.over and batch in self.batches:
            self.batches.remove(batch)
            self.dispatcher.end_call(batch.call)

    # ---- the end

    def _clean_up(self) -> None:
        kill = self._terminating or self.broken is not None
        self._terminating = True
        for batch in [*self.batches, self.submitted]:
            batch.fail_rest(_given_up)
        try:
            self.fleet.disband(kill=kill)
        finally:  # or whoever gives work now would wait for ever
            with self._wake_lock:
                self._sleeping = False
                os.close(self._wake_read)
                os.close(self._wake_write)
                self._wake_write = -1
            self._ended = True
            self._obey()  # what came too late is refused there


def _given_up(index: int) -> TaskFailure:
    return TaskFailure(index, "cancelled", "the pool was terminated before the task ended")
