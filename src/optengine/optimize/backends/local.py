"""Evaluations on the supervised worker processes of this machine."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from queue import Empty, SimpleQueue
from typing import Any

from optengine.errors import InitializerFailed, TaskError
from optengine.optimize.backends.base import Backend
from optengine.optimize.errors import OptimizeError
from optengine.optimize.objective import Objective
from optengine.optimize.shared import share_handles
from optengine.optimize.trial import Completed, Task
from optengine.pool.executor import PersistentWorkerPool
from optengine.pool.shared import shared as shared_in_worker

_unpacked: tuple[bytes, Objective] | None = None


def install(packed: bytes) -> None:
    """Unpack the objective in this worker, unless it is the one unpacked last."""
    global _unpacked
    if _unpacked is None or _unpacked[0] != packed:
        # Packed by our own parent, never read from a file.
        _unpacked = (packed, Objective(pickle.loads(packed)))  # noqa: S301


def evaluate(task: tuple[Any, ...], packed: bytes | None = None) -> tuple[Any, ...]:
    """Evaluate one task in a worker: fields of ``Completed``, with the process id as worker."""
    if packed is not None:
        install(packed)
    assert _unpacked is not None
    return tuple(_unpacked[1].evaluate(Task(*task), shared_in_worker)._replace(worker=os.getpid()))


class LocalBackend(Backend):
    """A ``PersistentWorkerPool``, of its own or one that is kept for other work too.

    Args:
        n_jobs: workers; None is as many as this process may use CPUs.
        shared: share handles or plain objects by name, for ``context.shared(name)`` and
            ``optengine.shared(name)``.
        max_eval_time: seconds before an evaluation is killed and fails.
        memory_limit: unshared memory, in bytes or as "512MB", before an evaluation is killed and fails.
        pool: a pool to use instead of an own one; it stays open, and its own limits, attempts and share
            handles hold. The objective then travels with every task, so it should not carry large data.
        pool_options: further arguments of an own pool, such as ``start_method``.

    Raises:
        OptimizeError: ``pool`` together with what only an own pool can be given.
    """

    name = "local"

    def __init__(
        self,
        n_jobs: int | None = None,
        shared: Mapping[str, Any] | None = None,
        max_eval_time: float | None = None,
        memory_limit: int | str | None = None,
        pool: PersistentWorkerPool | None = None,
        **pool_options: Any,
    ) -> None:
        # A retry is the driver's business: it counts the attempts of every backend in the same way.
        self.shared = share_handles(shared)
        options: dict[str, Any] = {"max_workers": n_jobs, "shared": self.shared or None}
        options |= {"task_timeout": max_eval_time, "memory_limit": memory_limit, **pool_options}
        self._options = {name: value for name, value in options.items() if value is not None}
        if pool is not None and self._options:
            raise OptimizeError(
                f"a pool given from outside keeps its own settings; received also {sorted(self._options)!r}; "
                "set them on the pool"
            )
        self._given = pool
        self._pool: PersistentWorkerPool | None = pool
        self._packed: bytes | None = None
        self._pending: dict[int, Future[Any]] = {}
        self._arrived: SimpleQueue[tuple[int, Future[Any]]] = SimpleQueue()
        self._numbers: dict[int, int | None] = {}

    @property
    def workers(self) -> int:
        """Number of worker processes."""
        return self._pool.max_workers if self._pool is not None else int(self._options.get("max_workers", 0))

    def start(self, objective: Objective) -> None:
        """See the base class."""
        packed = objective.pack()
        if self._given is not None:
            self._packed = packed
        else:
            options = {"max_attempts": 1, **self._options}
            self._pool = PersistentWorkerPool(initializer=install, initargs=(packed,), **options)

    def submit(self, tasks: Sequence[Task]) -> None:
        """See the base class."""
        assert self._pool is not None
        extra = () if self._packed is None else (self._packed,)
        for task in tasks:
            future = self._pool.submit(evaluate, tuple(task), *extra)
            self._pending[task.trial_id] = future
            future.add_done_callback(_forwarder(task.trial_id, self._arrived))

    def collect(self) -> list[Completed]:
        """See the base class."""
        done = [self._take(*self._arrived.get())]
        while True:
            try:
                done.append(self._take(*self._arrived.get_nowait()))
            except Empty:
                return done

    def cancel(self) -> None:
        """See the base class."""
        for future in self._pending.values():
            future.cancel()

    def close(self) -> None:
        """End an own pool, at once when evaluations are still running; leave a given one open."""
        self.cancel()
        if self._given is not None or self._pool is None:
            return
        if all(future.done() for future in self._pending.values()):
            self._pool.shutdown(wait=True)
        else:
            self._pool.terminate()

    def stats(self) -> dict[str, Any]:
        """Figures of the pool: restarts, dispatch overhead, per worker."""
        return {} if self._pool is None else self._pool.stats().as_dict()

    def _take(self, trial_id: int, future: Future[Any]) -> Completed:
        del self._pending[trial_id]
        try:
            completed = Completed(*future.result())
        except InitializerFailed as error:
            raise OptimizeError(f"the objective must load in a worker process: {error}") from error
        except CancelledError as error:
            raise OptimizeError("the pool must stay open while a run uses it; it was shut down") from error
        except TaskError as error:
            return _failed(trial_id, error)
        return completed._replace(worker=self._number(completed.worker))

    def _number(self, pid: int | None) -> int | None:
        """The number, 0 to n - 1, of the worker with this process id."""
        if pid is None:
            return None
        if pid not in self._numbers and self._pool is not None:
            self._numbers[pid] = None
            self._numbers |= {
                row.pid: row.worker for row in self._pool.stats().per_worker if row.pid is not None
            }
        return self._numbers[pid]


def _failed(trial_id: int, error: TaskError) -> Completed:
    failure = error.failure
    details = "\n".join(filter(None, (failure.traceback, failure.stack))) or None
    return Completed(
        trial_id,
        None,
        f"{failure.kind}: {failure.message}",
        details,
        max(1, failure.attempts),
        failure.worker,
        0.0,
        (),
        crashed=failure.kind == "crash",
    )


def _forwarder(trial_id: int, arrived: SimpleQueue[tuple[int, Future[Any]]]) -> Callable[[Future[Any]], None]:
    return lambda future: arrived.put((trial_id, future))
