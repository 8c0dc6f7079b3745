"""What becomes of the tasks of a dead worker, and when a pool stops restarting.

A chunk's tasks fall in three groups, told apart by what was answered and by the status page. Answered: done.
Started but not answered: the last of them was running, those before it had finished and their results died
with the worker; each counts one attempt and is sent again *alone*, so that it can neither take others down
nor be taken down. Not started: sent again, nothing counted.
"""

from __future__ import annotations

import signal
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from optengine.pool.failure import Kind, TaskFailure
from optengine.pool.handle import InFlight, WorkerHandle

if TYPE_CHECKING:
    from optengine.pool.supervisor import Supervisor

_WINDOW_S = 60.0
_PER_WORKER = 5
_STARTS_IN_A_ROW = 3


class RestartBudget:
    """Limits restarts that no task is to blame for: 5 per worker and minute, 3 failed starts in a row."""

    def __init__(self, workers: int) -> None:
        self._allowed = _PER_WORKER * workers
        self._spent: deque[float] = deque()
        self.failed_starts = 0

    def spend(self, now: float) -> bool:
        """Take one restart at monotonic time ``now``; ``False`` when the budget is used up."""
        while self._spent and now - self._spent[0] > _WINDOW_S:
            self._spent.popleft()
        self._spent.append(now)
        return len(self._spent) <= self._allowed

    def start_failed(self) -> bool:
        """Count a worker that died before it was ready; ``False`` when that has become a pattern."""
        self.failed_starts += 1
        return self.failed_starts < _STARTS_IN_A_ROW


def split(flights: list[InFlight], started: tuple[int, int]) -> list[tuple[InFlight, int]]:
    """For each chunk, how many of its tasks were started (answered or not), in sending order."""
    chunk, position = started
    known = any(flight.chunk == chunk for flight in flights)
    counts = []
    before = known
    for flight in flights:
        if flight.chunk == chunk:
            counts.append((flight, min(position + 1, len(flight.indices))))
            before = False
        else:
            counts.append((flight, len(flight.indices) if before else flight.done))
    return counts


def recover(pool: Supervisor, worker: WorkerHandle, now: float) -> None:
    """Requeue or fail every unanswered task of the dead ``worker``.

    Breaks the pool when restarting is pointless.
    """
    flights = list(worker.inflight)
    worker.inflight.clear()
    counts = split(flights, worker.task_started())
    if worker.ready:
        pool.budget.failed_starts = 0
    if not (worker.bystander or worker.stopping or pool.broken is not None):
        if not worker.ready:
            _start_failed(pool, worker)
        elif worker.verdict is None and all(started == flight.done for flight, started in counts):
            _died_innocently(pool, worker, now)
    running = worker.verdict.task if worker.verdict is not None else worker.task_started()
    for flight, started in counts:
        batch = flight.batch
        batch.inflight -= 1
        untouched = flight.indices[started:]
        for position in range(flight.done, started):
            index = flight.indices[position]
            batch.attempts[index] = attempts = batch.attempts.get(index, 0) + 1
            if batch.over or pool.broken is not None:
                continue
            if attempts < pool.plan.max_attempts and not batch.closed:
                pool.tally.retries += 1
                batch.suspects.append(index)
            else:
                pool.tally.tasks += 1
                was_running = (flight.chunk, position) == running
                pool.fail(batch, _failure(worker, index, attempts, was_running=was_running))
        batch.put_back(untouched)
        pool.batch_landed(batch)


def _died_innocently(pool: Supervisor, worker: WorkerHandle, now: float) -> None:
    pool.notes.append(
        f"worker {worker.seat} died without a task to blame: it {how_it_ended(worker.exitcode)}"
    )
    if not pool.budget.spend(now):
        pool.break_pool("crash", "workers die again and again without a task to blame", None, worker.exitcode)


def _start_failed(pool: Supervisor, worker: WorkerHandle) -> None:
    ended = how_it_ended(worker.exitcode)
    stack = worker.stack()
    kind: Kind = "initializer" if pool.plan.initializer is not None else "crash"
    if worker.verdict is not None:
        pool.break_pool(kind, worker.verdict.message, stack, worker.exitcode)
    elif pool.plan.initializer is not None:
        pool.break_pool(
            kind, f"the worker died in the pool's initializer: it {ended}", stack, worker.exitcode
        )
    elif not pool.budget.start_failed():
        pool.break_pool(
            "crash",
            f"workers cannot be started ({pool.plan.start_method}): the last one {ended}; "
            "its standard error may tell more",
            stack,
            worker.exitcode,
        )


def _failure(worker: WorkerHandle, index: int, attempts: int, *, was_running: bool) -> TaskFailure:
    failure = TaskFailure(
        index,
        "crash",
        f"the worker {how_it_ended(worker.exitcode)} while it ran this task",
        stack=worker.stack(),
        exitcode=worker.exitcode,
        attempts=attempts,
        worker=worker.seat,
    )
    if not was_running:
        return replace(
            failure, message=f"the worker {how_it_ended(worker.exitcode)} before the result was sent"
        )
    if worker.verdict is not None:
        return replace(failure, kind=worker.verdict.kind, message=worker.verdict.message)
    return failure


def how_it_ended(exitcode: int | None) -> str:
    """``exitcode`` in words, with the likeliest causes."""
    if exitcode is None:
        return "ended in an unknown way"
    if exitcode >= 0:
        return f"left with exit code {exitcode}"
    try:
        name = signal.Signals(-exitcode).name
    except ValueError:
        name = f"signal {-exitcode}"
    causes = {
        "SIGKILL": " (the out-of-memory killer, or somebody's kill -9)",
        "SIGSEGV": " (a fault in native code)",
        "SIGABRT": " (native code gave up)",
        "SIGBUS": " (a fault in native code, or a truncated memory-mapped file)",
    }
    return f"was killed by {name}{causes.get(name, '')}"
