"""The lives of a pool's workers: started through the launcher, listened to, buried, replaced, at last sent home.

Owned by the supervisor's thread. How a worker's end shows: its socket closes, or the launcher reports it; whichever
comes first marks it lost, and it is buried when the launcher has told how it ended. What becomes of the tasks of a
dead worker is in ``recovery.py``.
"""

from __future__ import annotations

import contextlib
import select
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from optengine.errors import ConfigurationError
from optengine.pool import recovery
from optengine.pool.bootstrap import preparation_data
from optengine.pool.forkserver import Ended, Forked, ForkRefused, ServerReady
from optengine.pool.handle import WorkerHandle
from optengine.pool.intake import accept_all
from optengine.pool.limits import NEVER
from optengine.pool.protocol import Setup, Stop
from optengine.pool.start import Launcher, NoServer, ServerGone, kill_tree
from optengine.resources import told

if TYPE_CHECKING:
    from optengine.pool.supervisor import Supervisor

LEAVE_S = 5.0
CLOSED_S = 0.25
REFUSED_S = 1.0


class Fleet:
    """The workers of one pool and the launcher that starts them."""

    def __init__(self, pool: Supervisor, make_launcher: Callable[[], Launcher]) -> None:
        self.launcher = make_launcher()
        self._pool = pool
        self._make_launcher = make_launcher
        self.fill_at = NEVER  # when workers that the system refused are tried again
        self._by_descriptor: dict[int, WorkerHandle] = {}
        self._next_number = 0
        self._empty = deque(range(pool.plan.max_workers))

    # ---- start

    def fill(self, now: float) -> None:
        """Start a worker in every empty seat, as far as the system allows."""
        self.fill_at = NEVER
        while self._empty and self._pool.may_restart:
            seat = self._empty.popleft()
            try:
                self._launch(seat)
            except ConfigurationError as error:  # an initializer that cannot travel by value
                self._pool.break_pool("initializer", str(error), traceback.format_exc())
            except (OSError, RuntimeError, MemoryError) as error:
                plan = self._pool.plan
                known = told(error, plan.starting, descriptors=plan.descriptors)
                message = f"worker {seat} could not be started: {error}" if known is None else str(known)
                self._refused(seat, message, traceback.format_exc(), now, passing=known is not None)
                return

    def _refused(self, seat: int, message: str, text: str, now: float, *, passing: bool) -> None:
        """The system refused a worker: try again later if it replaces one and others can go on, else the pool ends."""
        pool = self._pool
        others = any(worker.lost_at is None for worker in pool.workers if worker.seat != seat)
        if not (passing and others and pool.tally.seats[seat].restarts):
            pool.break_pool("crash", message, text)
            return
        note = f"worker {seat} could not be replaced yet: {message}"
        if note not in pool.notes:
            pool.notes.append(note)
        self._empty.append(seat)
        self.fill_at = now + REFUSED_S

    def _launch(self, seat: int) -> None:
        worker = WorkerHandle(self._next_number, seat)
        self._next_number += 1
        pool = self._pool
        plan = pool.plan
        inherited = plan.start_method in ("fork", "preload")
        try:
            worker.post(
                Setup(
                    number=seat,
                    cpus=plan.cpus[seat % len(plan.cpus)] if plan.cpus else (),
                    preparation=preparation_data(main=not plan.lean)
                    if plan.start_method == "spawn"
                    else None,
                    initializer=plan.initializer_blob(by_value=pool.main_by_value),
                    shared=None if inherited else plan.shared_blob(),
                )
            )
            self.launcher.launch(worker.number, worker.descriptors())
            pool.limits.expect_start(worker)
        except ServerGone:
            worker.ended = worker.bystander = True
        except BaseException:
            worker.close()
            raise
        pool.workers.append(worker)
        worker.launched()
        descriptor = worker.channel.fileno()
        self._by_descriptor[descriptor] = worker
        pool.poller.register(descriptor, select.POLLIN)
        if worker.ended:
            worker.lost_at = worker.born
        self.collect()

    def watch_launcher(self) -> None:
        """Have the supervisor wake when the launcher reports."""
        descriptor = self.launcher.fileno()
        if descriptor is not None:
            self._pool.poller.register(descriptor, select.POLLIN)

    # ---- listen

    def at(self, descriptor: int) -> WorkerHandle | None:
        """The worker whose socket ``descriptor`` is, if it is still listened to."""
        return self._by_descriptor.get(descriptor)

    def stop_listening(self, worker: WorkerHandle) -> None:
        """Nothing more is read from the worker's socket or sent to it."""
        descriptor = worker.channel.fileno()
        if self._by_descriptor.pop(descriptor, None) is not None:
            self._pool.poller.unregister(descriptor)
        self._pool.dispatcher.forget(worker)

    def collect(self) -> None:
        """Take in what the launcher reports: who runs, who ended, and whether the server itself did."""
        pool = self._pool
        try:
            reports = self.launcher.collect()
        except ServerGone as error:
            self._replace_server(str(error))
            return
        for report in reports:
            if isinstance(report, ServerReady):
                pool.notes += report.problems
                pool.main_by_value = report.main_error is not None
                continue
            worker = next((worker for worker in pool.workers if worker.number == report.number), None)
            if isinstance(report, ForkRefused):
                self._not_forked(worker, report)
                continue
            if worker is None:
                continue
            if isinstance(report, Forked):
                worker.pid = report.pid
            elif isinstance(report, Ended):
                worker.ended, worker.exitcode = True, report.exitcode
                if worker.lost_at is None:
                    worker.lost_at = time.monotonic()

    def _not_forked(self, worker: WorkerHandle | None, report: ForkRefused) -> None:
        if worker is None or report.exhausted is None:
            message = report.exhausted or "the fork server could not fork a worker"
            self._pool.break_pool("crash", message, report.problem)
            return
        now = time.monotonic()
        worker.ended = worker.bystander = True
        worker.lost_at = worker.lost_at or now
        self._refused(worker.seat, report.exhausted, report.problem, now, passing=True)

    def _replace_server(self, why: str) -> None:
        """All workers of a dead server are lost with it: nobody could tell how they end."""
        pool = self._pool
        descriptor = self.launcher.fileno()
        if descriptor is not None:
            pool.poller.unregister(descriptor)
        self.launcher.close()
        self.launcher = NoServer()
        now = time.monotonic()
        for worker in pool.workers:
            if worker.pid is not None:
                kill_tree(worker.pid)
            worker.ended = worker.bystander = True
            worker.lost_at = worker.lost_at or now
        if not pool.budget.spend(now):
            pool.break_pool("crash", "the fork server died again and again", None)
        elif pool.may_restart:
            self._start_server(why)

    def _start_server(self, why: str) -> None:
        pool = self._pool
        try:
            self.launcher = self._make_launcher()
        except (OSError, RuntimeError, MemoryError) as error:
            known = told(error, pool.plan.starting, descriptors=pool.plan.descriptors)
            message = f"the fork server died ({why}) and could not be replaced: {known or error}"
            pool.break_pool("crash", message, traceback.format_exc())
            return
        pool.notes.append(f"the fork server was replaced: {why}")
        self.watch_launcher()

    # ---- bury

    def any_lost(self) -> bool:
        """Whether a worker is lost and not yet buried."""
        return any(worker.lost_at is not None for worker in self._pool.workers)

    def see_to_lost(self, now: float) -> None:
        """Bury the lost workers that have ended, and hurry those that have not."""
        self.collect()
        for worker in [worker for worker in self._pool.workers if worker.lost_at is not None]:
            if worker.ended:
                self._bury(worker, now)
            elif now - (worker.lost_at or now) > LEAVE_S:
                worker.ended = True  # nobody will tell how
            elif now - (worker.lost_at or now) > CLOSED_S and worker.pid is not None:
                # Its end of the pipe is closed, yet it lives: nothing more can come from it.
                kill_tree(worker.pid)

    def _bury(self, worker: WorkerHandle, now: float) -> None:
        pool = self._pool
        problem = accept_all(pool, worker, worker.drain())  # results may have been sent before the death
        if problem is not None:
            pool.notes.append(f"worker {worker.seat} left unreadable data behind: {problem}")
        if worker.pid is not None:
            kill_tree(worker.pid)  # children its tasks left behind
        self.stop_listening(worker)
        pool.workers.remove(worker)
        pool.tally.retire(worker)
        recovery.recover(pool, worker, now)
        worker.close()
        if pool.may_restart and len(pool.workers) < pool.plan.max_workers:
            if not (worker.stopping or worker.bystander):
                pool.tally.restarts += 1
            pool.tally.seats[worker.seat].restarts += 1
            if worker.seat not in self._empty:
                self._empty.append(worker.seat)
                self.fill_at = min(self.fill_at, now)

    # ---- send home

    def disband(self, *, kill: bool) -> None:
        """End all workers and the launcher: politely where nothing runs and not ``kill``; waits."""
        pool = self._pool
        deadline = time.monotonic() + LEAVE_S
        for worker in pool.workers:
            if kill or worker.inflight:
                if worker.pid is not None:
                    kill_tree(worker.pid)
            else:
                worker.post(Stop())
        with contextlib.suppress(ServerGone):  # then its workers are gone or are killed below
            while any(not worker.ended for worker in pool.workers) and time.monotonic() < deadline:
                for worker in pool.workers:
                    worker.push()
                    if worker.pid is None and kill:
                        worker.ended = True  # the server kills what it forked when it leaves
                self._wait_for_reports()
                for report in self.launcher.collect():
                    for worker in pool.workers:
                        if not isinstance(report, ServerReady) and worker.number == report.number:
                            if isinstance(report, Forked):
                                worker.pid = report.pid
                            else:
                                worker.ended = True
                for worker in pool.workers:
                    worker.drain()  # or a worker with a full socket could not leave; its batches are over
        for worker in pool.workers:
            if worker.pid is not None:
                kill_tree(worker.pid)
            pool.tally.retire(worker)
        self.launcher.close()
        for worker in pool.workers:
            worker.close()
        pool.workers.clear()

    def _wait_for_reports(self) -> None:
        descriptor = self.launcher.fileno()
        if descriptor is None:
            time.sleep(0.002)
        else:
            poller = select.poll()  # select() cannot wait for descriptors above 1023
            poller.register(descriptor, select.POLLIN)
            poller.poll(10)
