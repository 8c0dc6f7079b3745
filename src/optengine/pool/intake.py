"""Receiving: what workers send, turned into results, failures and tasks to send again. In the supervisor's thread."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from optengine.pool.batch import Batch
from optengine.pool.failure import TaskFailure
from optengine.pool.handle import WorkerHandle
from optengine.pool.payload import unpack
from optengine.pool.protocol import Fault, Payload, Ready, Results, Revoked, SetupFailed, decode

if TYPE_CHECKING:
    from optengine.pool.supervisor import Supervisor


def accept_all(pool: Supervisor, worker: WorkerHandle, bodies: Iterable[bytes]) -> str | None:
    """Act on the messages in order, up to the first that cannot be read; what is wrong with that one, if any."""
    for body in bodies:
        try:
            message = decode(body)
        except Exception as error:  # noqa: BLE001 - whatever a broken worker sent: those before it still count
            return f"{type(error).__name__}: {error}"
        accept(pool, worker, message)
    return None


def accept(pool: Supervisor, worker: WorkerHandle, message: Any) -> None:
    """Act on one message of ``worker``."""
    if type(message) is Results:
        for offset in message.released:
            worker.inbox.free(offset)
        for run in message.runs:
            _take_run(pool, worker, *run)
    elif type(message) is Revoked:
        worker.revoking = False
        for chunk, count in message.tails:
            _take_back(pool, worker, chunk, count)
    elif type(message) is Ready:
        worker.ready = True
        worker.pid = message.pid
        if message.main_error is not None:
            pool.main_by_value = True
    elif type(message) is SetupFailed:
        if message.main_error is not None and not pool.main_by_value:
            # The initializer may live in the main module the worker lacks: try again with its code.
            pool.main_by_value = worker.bystander = True
            return
        fault = message.fault
        if worker.verdict is not None:  # it hung, and what it raised came from being ended
            pool.break_pool("initializer", worker.verdict.message, worker.stack() or fault.traceback)
            return
        if fault.kind == "crash":  # before the initializer
            pool.break_pool("crash", fault.message, fault.traceback)
            return
        pool.break_pool("initializer", f"the pool's initializer failed: {fault.message}", fault.traceback)


def _take_run(
    pool: Supervisor,
    worker: WorkerHandle,
    chunk: int,
    values: list[Any],
    plain: bool,
    seconds: float,
    tasks: int,
) -> None:
    for flight in worker.inflight:
        if flight.chunk == chunk:
            break
    else:
        return  # revoked as a whole before it began
    if worker.verdict is not None and worker.verdict.task[0] == chunk:
        # What the condemned task still returned comes too late.
        values = values[: max(0, worker.verdict.task[1] - flight.done)]
    batch = flight.batch
    if tasks:
        batch.task_time.observe(seconds, tasks)
    count = len(values)
    if count:
        worker.robbed = False
        indices = flight.indices[flight.done : flight.done + count]
        flight.done += count
        pool.tally.tasks += count
        if plain:
            batch.deliver(indices, values)
        else:
            _deliver_mixed(pool, worker, batch, indices, values)
    if flight.done == len(flight.indices):
        pool.land(worker, flight)


def _deliver_mixed(
    pool: Supervisor, worker: WorkerHandle, batch: Batch, indices: Sequence[int], values: list[Any]
) -> None:
    good: list[int] = []
    rebuilt: list[Any] = []
    failures: list[TaskFailure] = []
    for index, value in zip(indices, values, strict=True):
        if type(value) is Payload:
            regions = value.regions
            try:
                value = unpack(value, worker.outbox)
            except BaseException as error:  # noqa: BLE001 - the task's classes may even call sys.exit
                message = f"the result could not be rebuilt in the parent ({type(error).__name__}: {error})"
                value = Fault("unpicklable", message, traceback.format_exc(), None)
            worker.freed += [offset for offset, _ in regions]
        if type(value) is Fault:
            failures.append(_failure(worker, batch, index, value))
        else:
            good.append(index)
            rebuilt.append(value)
    if good:
        batch.deliver(indices if len(good) == len(indices) else good, rebuilt)
    for failure in failures:
        pool.fail(batch, failure)


def _failure(worker: WorkerHandle, batch: Batch, index: int, fault: Fault) -> TaskFailure:
    return TaskFailure(
        index,
        fault.kind,
        fault.message,
        traceback=fault.traceback,
        attempts=batch.attempts.get(index, 0) + 1,
        worker=worker.seat,
        pickled_exception=fault.exception,
    )


def _take_back(pool: Supervisor, worker: WorkerHandle, chunk: int, count: int) -> None:
    for flight in worker.inflight:
        if flight.chunk == chunk:
            kept = len(flight.indices) - count
            flight.batch.put_back(flight.indices[kept:])
            flight.indices = flight.indices[:kept]
            worker.sent_tasks -= count
            if flight.done == kept:
                pool.land(worker, flight)
            return
