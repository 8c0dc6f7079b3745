"""The one thread that owns a pool's workers: sends chunks, takes results, watches, buries and restarts.

It waits on every worker's socket, the launcher and a wake-up pipe together, with the next deadline as time-out. All state
is its own; other threads only append to ``_commands`` and wake it. Recovery after a death is in ``recovery.py``,
deadlines and memory in ``limits.py``; this file is the loop, the sending and the receiving, which is why it is long.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from optengine.chunking import TARGET_S
from optengine.pool import limits, recovery
from optengine.pool.batch import Batch, SubmitBatch
from optengine.pool.failure import TaskFailure
from optengine.pool.forkserver import Ended, Forked, ServerReady
from optengine.pool.handle import InFlight, WorkerHandle
from optengine.pool.payload import ATOMS, describe, function_blob, is_atom, pack, unpack
from optengine.pool.plan import PoolPlan
from optengine.pool.protocol import (
    Chunk,
    Define,
    Fault,
    Payload,
    Ready,
    Results,
    Revoke,
    Revoked,
    Setup,
    SetupFailed,
    Stop,
)
from optengine.pool.start import SUPERVISOR_THREAD, Launcher, ServerGone, kill_tree
from optengine.pool.statistics import Tally

PREFETCH_S = 0.001
PREFETCH_CHUNKS = 32
CHUNK_BYTES = 8 << 20
STEAL_AFTER_S = 0.005
LEAVE_S = 5.0


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
        self.batches: deque[Batch] = deque()
        self.launcher = make_launcher()
        self._make_launcher = make_launcher
        self._commands: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._sleeping = False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._poller = select.poll()
        self._poller.register(self._wake_read, select.POLLIN)
        self._by_descriptor: dict[int, WorkerHandle] = {}
        self._waiting_to_send: set[int] = set()
        self._next_number = 0
        self._next_call = 1
        self._next_chunk = 1
        self._over_calls: list[int] = []
        self._closing = False
        self._terminating = False
        self.budget = recovery.RestartBudget(plan.max_workers)
        self.limits = limits.Limits(plan)
        self._watch_launcher()
        self.thread = threading.Thread(
            target=self._main, name=f"{SUPERVISOR_THREAD}-{id(self):x}", daemon=True
        )
        self.thread.start()

    # ---- for any thread

    def call(self, function: Callable[..., None], *arguments: Any) -> None:
        """Have ``function(*arguments)`` run in the supervisor's thread."""
        self._commands.append((function, arguments))
        self.nudge()

    def nudge(self) -> None:
        """Wake the supervisor if it sleeps."""
        if self._sleeping:
            with contextlib.suppress(OSError):
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
        events = self._poller.poll(0 if self._commands else None if timeout is None else timeout * 1e3)
        self._sleeping = False
        for descriptor, event in events:
            worker = self._by_descriptor.get(descriptor)
            if worker is not None:
                if event & ~select.POLLOUT:
                    self._read(worker)
            elif descriptor == self._wake_read:
                os.read(self._wake_read, 4096)
            else:
                self._collect()
        while self._commands:
            function, arguments = self._commands.popleft()
            function(*arguments)
        now = time.monotonic()
        if self._any_lost():
            self._see_to_lost(now)
        self.limits.check(self, now)
        self._feed_all(now)
        self._push_all()

    def _timeout_s(self) -> float | None:
        if any(worker.lost_at is not None for worker in self.workers):
            return 0.02
        now = time.monotonic()
        due = self.limits.next_due(self, now)
        if self._may_steal():
            due = min(due, now + STEAL_AFTER_S)
        return None if due == float("inf") else max(0.0, due - now + 0.0005)

    def _done(self) -> bool:
        if self._terminating:
            return True
        if not self._closing:
            return False
        return self.broken is not None or (not self.batches and not self.submitted.unresolved)

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
        self._revoke(batch)
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
            from optengine.pool.bootstrap import preparation_data

            worker.post(
                Setup(
                    number=seat,
                    cpus=plan.cpus[seat % len(plan.cpus)] if plan.cpus else (),
                    threads=plan.threads,
                    write_through=plan.max_attempts == 1,
                    preparation=preparation_data() if plan.start_method == "spawn" else None,
                    initializer=plan.initializer_blob(by_value=self.main_by_value),
                    shared=None if inherited else plan.shared_blob(),
                )
            )
            self.launcher.launch(worker.number, worker.descriptors())
            self._collect()
        except ServerGone:
            worker.ended = True
        except OSError as error:
            worker.ended = True
            self.notes.append(f"worker {seat} could not be started: {error}")
        worker.launched()
        descriptor = worker.channel.fileno()
        self._by_descriptor[descriptor] = worker
        self._poller.register(descriptor, select.POLLIN)
        if worker.ended:
            worker.lost_at = worker.born

    def _watch_launcher(self) -> None:
        descriptor = self.launcher.fileno()
        if descriptor is not None:
            self._poller.register(descriptor, select.POLLIN)

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
            self._poller.unregister(descriptor)
        self.launcher.close()
        self.notes.append(f"the fork server was replaced: {why}")
        now = time.monotonic()
        for worker in self.workers:
            if worker.pid is not None:
                kill_tree(worker.pid)
            worker.ended = True
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
            elif now - (worker.lost_at or now) > 0.25 and worker.pid is not None and worker.kill_stage < 9:
                # Its end of the pipe is closed, yet it lives: nothing more can come from it.
                worker.kill_stage = 9
                kill_tree(worker.pid)
            elif now - (worker.lost_at or now) > LEAVE_S:
                worker.ended = True
        # a worker that never got a process id and a closed pipe ends the same way

    def _bury(self, worker: WorkerHandle, now: float) -> None:
        gone = False
        while not gone:  # results may have been sent before the death
            before = sum(flight.left for flight in worker.inflight)
            messages, gone = self._messages(worker)
            for message in messages:
                self._accept(worker, message)
            if not messages and before == sum(flight.left for flight in worker.inflight):
                break
        if worker.pid is not None:
            kill_tree(worker.pid)  # children its tasks left behind
        self._forget_descriptor(worker)
        self.workers.remove(worker)
        self.tally.retire(worker)
        recovery.recover(self, worker, now)
        worker.close()
        if self.broken is None and not self._terminating and len(self.workers) < self.plan.max_workers:
            if not worker.stopping:
                self.tally.restarts += 1
            self.tally.seats[worker.seat].restarts += 1
            self._launch(worker.seat)

    def _forget_descriptor(self, worker: WorkerHandle) -> None:
        descriptor = worker.channel.fileno()
        if self._by_descriptor.pop(descriptor, None) is not None:
            self._poller.unregister(descriptor)
        self._waiting_to_send.discard(descriptor)

    def condemn(self, worker: WorkerHandle, kind: Any, message: str) -> None:
        """Start killing ``worker``; its running task gets a failure of ``kind``."""
        self.limits.condemn(worker, kind, message, time.monotonic())

    def break_pool(self, kind: Any, message: str, text: str | None, exitcode: int | None = None) -> None:
        """Nothing can run any more: fail everything that waits, kill everything that runs."""
        self.broken = TaskFailure(-1, kind, message, traceback=text, exitcode=exitcode)
        for batch in [*self.batches]:
            self._fail_batch(batch, self.broken)
        self.batches.clear()
        self._fail_batch(self.submitted, self.broken)
        for worker in self.workers:
            worker.inflight.clear()
            if worker.pid is not None:
                kill_tree(worker.pid)

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
            self.limits.condemn(
                worker,
                "crash",
                f"it sent unreadable data ({type(error).__name__}: {error})",
                time.monotonic(),
            )
            return [], True

    def _read(self, worker: WorkerHandle) -> None:
        messages, gone = self._messages(worker)
        for message in messages:
            self._accept(worker, message)
        if gone and worker.lost_at is None:
            worker.lost_at = time.monotonic()
            self._poller.unregister(worker.channel.fileno())
            self._by_descriptor.pop(worker.channel.fileno(), None)

    def _accept(self, worker: WorkerHandle, message: Any) -> None:
        if type(message) is Results:
            for offset in message.released:
                worker.inbox.free(offset)
            for run in message.runs:
                self._take_run(worker, *run)
        elif type(message) is Revoked:
            for chunk, count in message.tails:
                self._take_back(worker, chunk, count)
            worker.revoking = False
        elif type(message) is Ready:
            worker.ready = True
            worker.pid = message.pid
            if message.main_error is not None:
                self.main_by_value = True
        elif type(message) is SetupFailed:
            fault = message.fault
            self.break_pool("initializer", f"the pool's initializer failed: {fault.message}", fault.traceback)

    def _take_run(
        self, worker: WorkerHandle, chunk: int, values: list[Any], seconds: float, tasks: int
    ) -> None:
        for flight in worker.inflight:
            if flight.chunk == chunk:
                break
        else:
            return  # revoked as a whole before it began
        if worker.verdict is not None and worker.verdict.task[0] == chunk:
            values = values[: max(0, worker.verdict.task[1] - flight.done)]
        batch = flight.batch
        if tasks:
            batch.task_time.observe(seconds, tasks)
        count = len(values)
        if count:
            indices = flight.indices[flight.done : flight.done + count]
            flight.done += count
            self.tally.tasks += count
            if set(map(type, values)) <= ATOMS:
                batch.deliver(indices, values)
            else:
                self._deliver_mixed(worker, batch, indices, values)
        if flight.done == len(flight.indices):
            self._land(worker, flight)

    def _deliver_mixed(
        self, worker: WorkerHandle, batch: Batch, indices: Sequence[int], values: list[Any]
    ) -> None:
        good: list[int] = []
        rebuilt: list[Any] = []
        failures: list[TaskFailure] = []
        for index, value in zip(indices, values, strict=True):
            if type(value) is Payload:
                try:
                    value = unpack(value, worker.outbox)
                except Exception as error:  # noqa: BLE001 - rebuilding runs code of the task's classes
                    message = (
                        f"the result could not be rebuilt in the parent ({type(error).__name__}: {error})"
                    )
                    value = Fault("unpicklable", message, traceback.format_exc(), None)
                else:
                    worker.freed += [offset for offset, _ in values[len(good) + len(failures)].regions]
            if type(value) is Fault:
                failures.append(self._failure(worker, batch, index, value))
            else:
                good.append(index)
                rebuilt.append(value)
        if good:
            batch.deliver(indices if len(good) == len(indices) else good, rebuilt)
        for failure in failures:
            self.fail(batch, failure)

    def _failure(self, worker: WorkerHandle, batch: Batch, index: int, fault: Fault) -> TaskFailure:
        kind: Any = fault.kind
        return TaskFailure(
            index,
            kind,
            fault.message,
            traceback=fault.traceback,
            attempts=batch.attempts.get(index, 0) + 1,
            worker=worker.seat,
            pickled_exception=fault.exception,
        )

    def fail(self, batch: Batch, failure: TaskFailure) -> None:
        """Deliver a failure; a batch that stops on failure takes its other tasks back."""
        self.tally.failures += 1
        was_closed = batch.closed
        batch.fail(failure)
        if batch.closed and not was_closed:
            self._revoke(batch)

    def _take_back(self, worker: WorkerHandle, chunk: int, count: int) -> None:
        for flight in worker.inflight:
            if flight.chunk == chunk:
                kept = len(flight.indices) - count
                flight.batch.put_back(flight.indices[kept:])
                flight.indices = flight.indices[:kept]
                worker.sent_tasks -= count
                if flight.done == kept:
                    self._land(worker, flight)
                return

    def _land(self, worker: WorkerHandle, flight: InFlight) -> None:
        worker.inflight.remove(flight)
        flight.batch.inflight -= 1
        self.batch_landed(flight.batch)

    def batch_landed(self, batch: Batch) -> None:
        """Let go of ``batch`` if it is over or, being closed, has nothing in flight any more."""
        if batch.inflight or batch is self.submitted:
            return
        if batch.closed and not batch.over:
            batch.settle()
        if batch.over:
            with contextlib.suppress(ValueError):
                self.batches.remove(batch)
                self._over_calls.append(batch.call)

    # ---- sending

    def _feed_all(self, now: float) -> None:
        for worker in self.workers:
            if worker.ready and not worker.stopping and worker.verdict is None and worker.lost_at is None:
                self._feed(worker, now)
        if self._may_steal():
            self._steal(now)

    def _feed(self, worker: WorkerHandle, now: float) -> None:
        limit = self.plan.max_tasks_per_worker
        while True:
            if limit is not None and worker.sent_tasks >= limit:
                if not worker.inflight:
                    self.recycle(worker)
                return
            work = self._next_work(worker, None if limit is None else limit - worker.sent_tasks)
            if work is None:
                return
            self._send(worker, *work, now)

    def recycle(self, worker: WorkerHandle) -> None:
        """Let the worker leave after what it has; a fresh one takes its place."""
        worker.stopping = True
        worker.post(Stop())

    def _sources(self) -> list[Batch]:
        return [*self.batches, self.submitted]

    def _next_work(self, worker: WorkerHandle, quota: int | None) -> tuple[Batch, Sequence[int], bool] | None:
        inflight = worker.inflight
        if self.limits.paused(worker, self.workers):
            return None
        if inflight and inflight[-1].alone:
            return None
        batches: Any = self.batches if not self.submitted.waiting else None
        if batches is None or self.submitted.suspects:
            batches = self._sources()
        if any(batch.suspects for batch in batches):
            if inflight:
                return None  # drain, so that a suspect can run alone
            batch = next(batch for batch in batches if batch.suspects)
            return batch, [batch.suspects.popleft()], True
        for batch in batches:
            if not batch.waiting:
                continue
            if inflight and not self._may_prefetch(worker, batch):
                return None
            size = batch.next_size(len(self.workers))
            indices = batch.take(size if quota is None else min(size, quota))
            if len(self.batches) > 1 and self.batches[0] is batch:
                self.batches.rotate(-1)  # take turns
            if indices:
                return batch, indices, False
        return None

    def _may_prefetch(self, worker: WorkerHandle, batch: Batch) -> bool:
        seconds = batch.task_time.seconds
        if seconds is None or batch.task_time.observations < 2 or worker.revoking:
            return False
        inflight = worker.inflight
        if len(inflight) == 1:
            return seconds < TARGET_S
        return (
            len(inflight) < PREFETCH_CHUNKS and sum(flight.left for flight in inflight) * seconds < PREFETCH_S
        )

    def _send(
        self, worker: WorkerHandle, batch: Batch, indices: Sequence[int], alone: bool, now: float
    ) -> None:
        if batch.call not in worker.calls and not self._define(worker, batch):
            return
        indices, items = self._packed(worker, batch, indices)
        if not indices:
            self.batch_landed(batch)
            return
        flight = InFlight(self._next_chunk, batch, indices, alone)
        self._next_chunk += 1
        freed = tuple(worker.freed)
        worker.freed.clear()
        worker.post(Chunk(flight.chunk, batch.call, batch.timeout_s is not None, items, freed))
        worker.inflight.append(flight)
        worker.fed_at = now
        worker.sent_tasks += len(indices)
        batch.inflight += 1
        if batch.timeout_s is not None:
            self.limits.expect(now + batch.timeout_s)

    def _define(self, worker: WorkerHandle, batch: Batch) -> bool:
        by_value = self.main_by_value
        if by_value not in batch.blobs:
            try:
                batch.blobs[by_value] = function_blob(batch.function, by_value=by_value)
            except Exception as error:  # noqa: BLE001 - reported in the place of every task
                message = f"the function must be picklable; got {describe(batch.function)} ({error})"
                text = traceback.format_exc()
                batch.fail_rest(lambda index: TaskFailure(index, "unpicklable", message, text))
                self.batch_landed(batch)
                return False
        forget = tuple(call for call in self._over_calls if call in worker.calls)
        worker.calls.difference_update(forget)
        if all(call not in other.calls for other in self.workers for call in forget):
            self._over_calls = [call for call in self._over_calls if call not in forget]
        worker.post(Define(batch.call, batch.blobs[by_value], forget))
        worker.calls.add(batch.call)
        return True

    def _packed(
        self, worker: WorkerHandle, batch: Batch, indices: Sequence[int]
    ) -> tuple[Sequence[int], list[Any]]:
        """Items ready to send. Those that cannot be pickled fail here; those beyond ``CHUNK_BYTES`` go back."""
        items = batch.items(indices)
        if set(map(type, items)) <= ATOMS:
            return indices, list(items)
        sent: list[int] = []
        ready: list[Any] = []
        volume = 0
        for position, (index, item) in enumerate(zip(indices, items, strict=True)):
            if is_atom(item):
                sent.append(index)
                ready.append(item)
                continue
            try:
                payload = pack(item, worker.inbox, by_value=self.main_by_value, fallback=True)
            except Exception as error:  # noqa: BLE001 - reducers may raise anything; it is this task's failure
                message = (
                    f"the argument must be picklable; got {describe(item)} ({type(error).__name__}: {error}); "
                    "pass plain data and open the resource inside the task"
                )
                self.tally.tasks += 1
                self.fail(batch, TaskFailure(index, "unpicklable", message, traceback.format_exc()))
                continue
            sent.append(index)
            ready.append(payload)
            volume += len(payload.blob or b"") + sum(size for _, size in payload.regions)
            if volume >= CHUNK_BYTES:
                batch.put_back(indices[position + 1 :])
                break
        return sent if len(sent) < len(indices) else indices, ready

    def _push_all(self) -> None:
        for worker in self.workers:
            if not worker.unsent:
                continue
            worker.push()
            descriptor = worker.channel.fileno()
            if worker.unsent != (descriptor in self._waiting_to_send) and descriptor in self._by_descriptor:
                if worker.unsent:
                    self._waiting_to_send.add(descriptor)
                    self._poller.modify(descriptor, select.POLLIN | select.POLLOUT)
                else:
                    self._waiting_to_send.discard(descriptor)
                    self._poller.modify(descriptor, select.POLLIN)

    # ---- taking work back

    def _revoke(self, batch: Batch) -> None:
        for worker in self.workers:
            if any(flight.batch is batch for flight in worker.inflight):
                worker.post(Revoke(batch.call))

    def _may_steal(self) -> bool:
        """Whether one worker idles with nothing left to send while another has tasks it has not started."""
        idle = busy = False
        for worker in self.workers:
            if worker.ready and not worker.inflight:
                idle = True
            elif not worker.revoking and (
                len(worker.inflight) > 1 or (worker.inflight and worker.inflight[0].left > 1)
            ):
                busy = True
        return idle and busy

    def _steal(self, now: float) -> None:
        for worker in self.workers:
            if worker.revoking or not worker.inflight:
                continue
            left = sum(flight.left for flight in worker.inflight)
            seconds = worker.inflight[0].batch.task_time.seconds or 0.0
            if left > 1 and (left * seconds > STEAL_AFTER_S or now - worker.fed_at > STEAL_AFTER_S):
                worker.revoking = True
                worker.post(Revoke(-1))

    # ---- the end

    def _clean_up(self) -> None:
        for batch in [*self.batches, self.submitted]:
            batch.fail_rest(_given_up)
        while self._commands:
            function, arguments = self._commands.popleft()
            with contextlib.suppress(Exception):
                function(*arguments)
        deadline = time.monotonic() + LEAVE_S
        for worker in self.workers:
            if self._terminating or self.broken is not None or worker.inflight:
                if worker.pid is not None:
                    kill_tree(worker.pid)
            else:
                worker.post(Stop())
        with contextlib.suppress(ServerGone):
            while any(not worker.ended for worker in self.workers) and time.monotonic() < deadline:
                for worker in self.workers:
                    worker.push()
                    if worker.pid is None and self._terminating:
                        worker.ended = True  # the server kills what it forked when it leaves
                self._poller.poll(10)
                for report in self.launcher.collect():
                    for worker in self.workers:
                        if not isinstance(report, ServerReady) and worker.number == report.number:
                            if isinstance(report, Ended):
                                worker.ended = True
                            else:
                                worker.pid = report.pid
                for worker in self.workers:
                    with contextlib.suppress(Exception):
                        worker.read()
        for worker in self.workers:
            if worker.pid is not None:
                kill_tree(worker.pid)
            self.tally.retire(worker)
        self.launcher.close()
        for worker in self.workers:
            worker.close()
        self.workers.clear()
        os.close(self._wake_read)
        os.close(self._wake_write)


def _given_up(index: int) -> TaskFailure:
    return TaskFailure(index, "cancelled", "the pool was terminated before the task ended")
