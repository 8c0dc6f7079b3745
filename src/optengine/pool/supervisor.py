"""The one thread that owns a pool's workers: it waits, watches, buries and restarts.

It waits on every worker's socket, the launcher and a wake-up pipe together, with the next deadline as
time-out. All state is its own; other threads only append to ``_commands`` and wake it. Sending is in
``dispatch.py``, receiving in ``intake.py``, what becomes of a dead worker's tasks in ``recovery.py``,
deadlines and memory in ``limits.py``. What is left here is one loop and the life of workers, batches and the
pool itself, which belong together.
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
from optengine.pool.bootstrap import preparation_data
from optengine.pool.dispatch import STEAL_AFTER_S, Dispatcher
from optengine.pool.failure import Kind, TaskFailure
from optengine.pool.forkserver import Ended, Forked, ForkRefused, ServerReady
from optengine.pool.handle import InFlight, WorkerHandle
from optengine.pool.intake import accept
from optengine.pool.limits import Limits
from optengine.pool.plan import PoolPlan
from optengine.pool.protocol import Setup, Stop
from optengine.pool.start import SUPERVISOR_THREAD, Launcher, ServerGone, kill_tree
from optengine.pool.statistics import Tally

LEAVE_S = 5.0
CLOSED_S = 0.25


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
        self.launcher = make_launcher()
        self._make_launcher = make_launcher
        self._commands: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._sleeping = False
        self._nudged = True  # the first turn sends what the workers need to start
        self._ended = False
        self._wake_lock = threading.Lock()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self.poller = select.poll()
        self.poller.register(self._wake_read, select.POLLIN)
        self._by_descriptor: dict[int, WorkerHandle] = {}
        self._next_number = 0
        self._next_call = 1
        self._closing = False
        self._terminating = False
        self.budget = recovery.RestartBudget(plan.max_workers)
        self.dispatcher = Dispatcher(self)
        self.limits = Limits(plan)
        self._watch_launcher()
        self.thread = threading.Thread(
            target=self._main, name=f"{SUPERVISOR_THREAD}-{id(self):x}", daemon=True
        )
        self.thread.start()

    # ---- for any thread

    @property
    def sound(self) -> bool:
        """Whether tasks can still be run."""
        return self.broken is None and self.thread.is_alive()

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
            for seat in range(self.plan.max_workers):
                self._launch(seat)
            while not self._done():
                self._turn()
        except BaseException:  # noqa: BLE001 - a defect here must not leave callers waiting for ever
            self.break_pool(
                "crash",
                "the pool's supervisor failed, which is a defect of optengine; please report it",
                traceback.format_exc(),
            )
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
            worker = self._by_descriptor.get(descriptor)
            if worker is not None:
                if event & ~select.POLLOUT:
                    self._read(worker)
            elif descriptor == self._wake_read:
                os.read(self._wake_read, 4096)
            else:
                self._collect()
        self._obey()
        now = time.monotonic()
        if self._any_lost():
            self._see_to_lost(now)
        self.limits.check(self, now)
        self.dispatcher.feed(now)
        self.dispatcher.push()

    def _obey(self) -> None:
        while self._commands:
            function, arguments = self._commands.popleft()
            function(*arguments)

    def _timeout_s(self) -> float | None:
        if any(worker.lost_at is not None for worker in self.workers):
            return 0.02
        now = time.monotonic()
        due = self.limits.next_due(self, now)
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

    # ---- workers' lives

    def _launch(self, seat: int) -> None:
        worker = WorkerHandle(self._next_number, seat)
        self._next_number += 1
        self.workers.append(worker)
        plan = self.plan
        inherited = plan.start_method in ("fork", "preload")
        try:
            worker.post(
                Setup(
                    number=seat,
                    cpus=plan.cpus[seat % len(plan.cpus)] if plan.cpus else (),
                    threads=plan.threads,
                    preparation=preparation_data() if plan.start_method == "spawn" else None,
                    initializer=plan.initializer_blob(by_value=self.main_by_value),
                    shared=None if inherited else plan.shared_blob(),
                )
            )
            self.launcher.launch(worker.number, worker.descriptors())
            self.limits.expect_start(worker)
            self._collect()
        except ServerGone:
            worker.ended = worker.bystander = True
        except OSError as error:
            worker.ended = True
            self.notes.append(f"worker {seat} could not be started: {error}")
        worker.launched()
        descriptor = worker.channel.fileno()
        self._by_descriptor[descriptor] = worker
        self.poller.register(descriptor, select.POLLIN)
        if worker.ended:
            worker.lost_at = worker.born

    def _watch_launcher(self) -> None:
        descriptor = self.launcher.fileno()
        if descriptor is not None:
            self.poller.register(descriptor, select.POLLIN)

    def _collect(self) -> None:
        try:
            reports = self.launcher.collect()
        except ServerGone as error:
            self._replace_server(str(error))
            return
        for report in reports:
            if isinstance(report, ServerReady):
                self.notes += report.problems
                self.main_by_value = report.main_error is not None
                continue
            if isinstance(report, ForkRefused):
                self.break_pool("crash", "the fork server could not fork a worker", report.problem)
                continue
            worker = next((worker for worker in self.workers if worker.number == report.number), None)
            if worker is None:
                continue
            if isinstance(report, Forked):
                worker.pid = report.pid
            elif isinstance(report, Ended):
                worker.ended, worker.exitcode = True, report.exitcode
                if worker.lost_at is None:
                    worker.lost_at = time.monotonic()

    def _replace_server(self, why: str) -> None:
        """All workers of a dead server are lost with it: nobody could tell how they end."""
        descriptor = self.launcher.fileno()
        if descriptor is not None:
            self.poller.unregister(descriptor)
        self.launcher.close()
        self.notes.append(f"the fork server was replaced: {why}")
        now = time.monotonic()
        for worker in self.workers:
            if worker.pid is not None:
                kill_tree(worker.pid)
            worker.ended = worker.bystander = True
            worker.lost_at = worker.lost_at or now
        if not self.budget.spend(now):
            self.break_pool("crash", "the fork server died again and again", None)
            return
        self.launcher = self._make_launcher()
        self._watch_launcher()

    def _any_lost(self) -> bool:
        return any(worker.lost_at is not None for worker in self.workers)

    def _see_to_lost(self, now: float) -> None:
        self._collect()
        for worker in [worker for worker in self.workers if worker.lost_at is not None]:
            if worker.ended:
                self._bury(worker, now)
            elif now - (worker.lost_at or now) > LEAVE_S:
                worker.ended = True  # nobody will tell how
            elif now - (worker.lost_at or now) > CLOSED_S and worker.pid is not None:
                # Its end of the pipe is closed, yet it lives: nothing more can come from it.
                kill_tree(worker.pid)

    def _bury(self, worker: WorkerHandle, now: float) -> None:
        with contextlib.suppress(Exception):  # the last message may be torn or nonsense
            for message in worker.drain():  # results may have been sent before the death
                accept(self, worker, message)
        if worker.pid is not None:
            kill_tree(worker.pid)  # children its tasks left behind
        self._forget_descriptor(worker)
        self.workers.remove(worker)
        self.tally.retire(worker)
        recovery.recover(self, worker, now)
        worker.close()
        if self.broken is None and not self._terminating and len(self.workers) < self.plan.max_workers:
            if not (worker.stopping or worker.bystander):
                self.tally.restarts += 1
            self.tally.seats[worker.seat].restarts += 1
            self._launch(worker.seat)

    def _forget_descriptor(self, worker: WorkerHandle) -> None:
        descriptor = worker.channel.fileno()
        if self._by_descriptor.pop(descriptor, None) is not None:
            self.poller.unregister(descriptor)
        self.dispatcher.forget(worker)

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

    def _messages(self, worker: WorkerHandle) -> tuple[list[Any], bool]:
        try:
            return worker.read()
        except Exception as error:  # noqa: BLE001 - whatever a broken worker sent, it is the worker's end
            self.condemn(worker, "crash", f"it sent unreadable data ({type(error).__name__}: {error})")
            return [], True

    def _read(self, worker: WorkerHandle) -> None:
        messages, gone = self._messages(worker)
        for message in messages:
            accept(self, worker, message)
        if gone and worker.lost_at is None:
            worker.lost_at = time.monotonic()
            self._forget_descriptor(worker)

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
        deadline = time.monotonic() + LEAVE_S
        for worker in self.workers:
            if kill or worker.inflight:
                if worker.pid is not None:
                    kill_tree(worker.pid)
            else:
                worker.post(Stop())
        with contextlib.suppress(ServerGone):
            while any(not worker.ended for worker in self.workers) and time.monotonic() < deadline:
                for worker in self.workers:
                    worker.push()
                    if worker.pid is None and kill:
                        worker.ended = True  # the server kills what it forked when it leaves
                self._wait_for_reports()
                for report in self.launcher.collect():
                    for worker in self.workers:
                        if not isinstance(report, ServerReady) and worker.number == report.number:
                            if isinstance(report, Forked):
                                worker.pid = report.pid
                            else:
                                worker.ended = True
                for worker in self.workers:
                    with contextlib.suppress(Exception):
                        worker.drain()
        for worker in self.workers:
            if worker.pid is not None:
                kill_tree(worker.pid)
            self.tally.retire(worker)
        self.launcher.close()
        for worker in self.workers:
            worker.close()
        self.workers.clear()
        with self._wake_lock:
            self._sleeping = False
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._wake_write = -1
        self._ended = True
        self._obey()  # what came too late is refused there

    def _wait_for_reports(self) -> None:
        descriptor = self.launcher.fileno()
        if descriptor is None:
            time.sleep(0.002)
        else:
            select.select([descriptor], [], [], 0.01)


def _given_up(index: int) -> TaskFailure:
    return TaskFailure(index, "cancelled", "the pool was terminated before the task ended")
