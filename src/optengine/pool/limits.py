"""Deadlines and memory: who has overstepped, and the ladder by which a worker is killed.

The ladder: ask for the Python stacks, a moment later SIGTERM, then SIGKILL, each to the worker and its process group. A
stopped process takes only the last, which is why there is a last.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optengine.pool.attendant import DUMP_SIGNAL
from optengine.pool.handle import Verdict, WorkerHandle
from optengine.pool.memory import host_memory, unshared_bytes
from optengine.pool.plan import PoolPlan
from optengine.pool.protocol import Revoke
from optengine.pool.start import kill_tree

if TYPE_CHECKING:
    from optengine.pool.supervisor import Supervisor

DUMP_S = 0.1
TERM_S = 0.5
MEMORY_EVERY_S = 0.05
HOST_EVERY_S = 0.5
NEVER = float("inf")
# Near the machine's limit a worker is only blamed when it holds at least this share of it.
BLAME_SHARE = 0.05


class Limits:
    """Watches running tasks. Owned by the supervisor's thread; times are monotonic seconds."""

    def __init__(self, plan: PoolPlan) -> None:
        self._plan = plan
        self._start_check = NEVER
        self._task_check = NEVER
        self._kill_check = NEVER
        self._memory_check = 0.0
        self._host_check = 0.0
        self._short_of_memory = False

    def expect_start(self, worker: WorkerHandle) -> None:
        """``worker`` was launched: look whether it is ready when its time to start is over."""
        if self._plan.start_timeout is not None:
            self._start_check = min(self._start_check, worker.born + self._plan.start_timeout)

    def expect(self, due: float) -> None:
        """A task may overstep its time-out at ``due``: look then."""
        self._task_check = min(self._task_check, due)

    def next_due(self, pool: Supervisor, now: float) -> float:
        """When to look next; infinity while nothing can happen."""
        due = min(self._start_check, self._task_check, self._kill_check)
        if any(worker.inflight for worker in pool.workers):
            if self._plan.memory_limit is not None:
                due = min(due, max(self._memory_check, now))
            due = min(due, max(self._host_check, now))
        elif self._short_of_memory:
            due = min(due, max(self._host_check, now))
        return due

    def check(self, pool: Supervisor, now: float) -> None:
        """Look at everything that is due."""
        if now >= self._start_check:
            self._check_starts(pool, now)
        if now >= self._task_check:
            self._check_tasks(pool, now)
        if now >= self._kill_check:
            self._climb(pool, now)
        if now >= self._memory_check:
            self._memory_check = now + MEMORY_EVERY_S
            if self._plan.memory_limit is not None:
                self._check_memory(pool, now)
        if now >= self._host_check:
            self._host_check = now + HOST_EVERY_S
            self._check_host(pool, now)

    def paused(self, worker: WorkerHandle, workers: list[WorkerHandle]) -> bool:
        """Whether ``worker`` should get no work because memory is short: then only one worker runs."""
        return self._short_of_memory and any(other.inflight for other in workers if other is not worker)

    def condemn(self, worker: WorkerHandle, kind: Any, message: str, now: float) -> None:
        """Begin to kill ``worker``."""
        if worker.verdict is not None:
            return
        worker.verdict = Verdict(kind, message, worker.task_started())
        worker.kill_stage = 1
        worker.kill_at = now + DUMP_S
        self._kill_check = min(self._kill_check, worker.kill_at)
        if worker.pid is not None:
            kill_process(worker.pid, DUMP_SIGNAL)

    def _check_starts(self, pool: Supervisor, now: float) -> None:
        self._start_check = NEVER
        limit = self._plan.start_timeout
        for worker in pool.workers:
            if limit is None or worker.ready or worker.verdict is not None or worker.lost_at is not None:
                continue
            if worker.born + limit > now:
                self.expect_start(worker)
                continue
            what = "its initializer" if self._plan.initializer is not None else "its start"
            message = (
                f"a worker must be ready within start_timeout={limit:g} s; {what} has not ended after "
                f"{now - worker.born:.2f} s; make it shorter or raise start_timeout"
            )
            self.condemn(worker, "timeout", message, now)

    def _check_tasks(self, pool: Supervisor, now: float) -> None:
        self._task_check = NEVER
        for worker in pool.workers:
            if worker.verdict is not None or worker.lost_at is not None:
                continue
            chunk, position = worker.task_started()
            for flight in worker.inflight:
                timeout = flight.batch.timeout_s
                if timeout is None:
                    continue
                started = worker.started_s() if flight.chunk == chunk else None
                due = now + timeout if started is None else started + timeout
                if due > now or position < flight.done:
                    self.expect(due if due > now else now + timeout / 20)
                    continue
                message = f"the task must end within {timeout:g} s; it ran for {now - (started or now):.2f} s"
                if _is_stopped(worker.pid):
                    message += " and its process is stopped (SIGSTOP)"
                self.condemn(worker, "timeout", message, now)
                break

    def _climb(self, pool: Supervisor, now: float) -> None:
        self._kill_check = NEVER
        for worker in pool.workers:
            if worker.kill_at is None or worker.ended:
                continue
            if now >= worker.kill_at and worker.pid is not None:
                if worker.kill_stage == 1:
                    worker.kill_stage = 2
                    worker.kill_at = now + TERM_S
                    kill_tree(worker.pid, signal.SIGTERM)
                else:
                    worker.kill_at = now + TERM_S
                    kill_tree(worker.pid)
            self._kill_check = min(self._kill_check, worker.kill_at)

    def _check_memory(self, pool: Supervisor, now: float) -> None:
        limit = self._plan.memory_limit
        if limit is None:
            return
        for worker in pool.workers:
            if not worker.inflight or worker.pid is None or worker.verdict is not None:
                continue
            used = unshared_bytes(worker.pid, enough=limit.soft)
            if used is None:
                continue
            worker.peak_memory = max(worker.peak_memory, used)
            if used > limit.hard:
                message = (
                    f"the worker must hold at most {limit.hard:,} bytes of unshared memory; it held {used:,}; "
                    "raise memory_limit or give the task less"
                )
                self.condemn(worker, "memory", message, now)
            elif used > limit.soft and not worker.stopping:
                worker.post(Revoke(-1))
                pool.dispatcher.recycle(worker)

    def _check_host(self, pool: Supervisor, now: float) -> None:
        busy = [worker for worker in pool.workers if worker.inflight and worker.pid is not None]
        holders = [(unshared_bytes(worker.pid or 0) or 0, worker) for worker in busy]
        for used, worker in holders:
            worker.peak_memory = max(worker.peak_memory, used)
        memory = host_memory()
        if memory is None:
            return
        reserve = memory.total * self._plan.host_reserve
        if memory.available >= reserve:
            if memory.available >= 2 * reserve:
                self._short_of_memory = False
            return
        self._short_of_memory = True
        used, largest = max(holders, key=lambda holder: holder[0], default=(0, None))
        if largest is not None and largest.verdict is None and used > memory.total * BLAME_SHARE:
            message = (
                f"{reserve:,.0f} bytes must stay available on this machine; {memory.available:,} were left "
                f"and this worker, the largest, held {used:,}"
            )
            self.condemn(largest, "memory", message, now)


def kill_process(pid: int, signum: int) -> None:
    """Send ``signum`` to one process, which may be gone."""
    with contextlib.suppress(OSError):
        os.kill(pid, signum)


def _is_stopped(pid: int | None) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in ("T", "t")
    except (OSError, IndexError):  # gone, or no /proc: only the words of a message depend on it
        return False
