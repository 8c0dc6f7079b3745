"""Evaluations on the supervised worker processes of this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any

from optengine.errors import TaskError
from optengine.optimize.backends.base import Backend
from optengine.optimize.objective import Objective
from optengine.optimize.trial import Completed, Task
from optengine.pool.executor import PersistentWorkerPool
from optengine.pool.shared import shared as shared_in_worker

_objective: Objective | None = None


def install(packed: bytes) -> None:
    """Unpack the objective in a worker, once."""
    import pickle

    global _objective
    _objective = Objective(pickle.loads(packed))  # noqa: S301 - packed by our own parent, never from a file


def evaluate(task: tuple[Any, ...]) -> Completed:
    """Evaluate one task in a worker."""
    assert _objective is not None
    return _objective.evaluate(Task(*task), shared_in_worker)


class LocalBackend(Backend):
    """A ``PersistentWorkerPool`` that lives as long as the run.

    Args:
        n_jobs: workers; None is as many as this process may use CPUs.
        shared: share handles by name, for ``context.shared(name)`` and ``optengine.shared(name)``.
        max_eval_time: seconds before an evaluation is killed and fails.
        memory_limit: bytes of unshared memory before an evaluation is killed and fails.
        pool_options: further arguments of the pool, such as ``start_method``.
    """

    name = "local"

    def __init__(
        self,
        n_jobs: int | None = None,
        shared: Mapping[str, Any] | None = None,
        max_eval_time: float | None = None,
        memory_limit: int | None = None,
        **pool_options: Any,
    ) -> None:
        self._options: dict[str, Any] = {
            "max_workers": n_jobs,
            "shared": dict(shared) if shared else None,
            "task_timeout": max_eval_time,
            "memory_limit": memory_limit,
            # A retry is the driver's business: it counts the attempts of every backend in the same way.
            "max_attempts": 1,
            **pool_options,
        }
        self._pool: PersistentWorkerPool | None = None
        self._arrived: SimpleQueue[tuple[int, Future[Completed]]] = SimpleQueue()
        self._pending: dict[int, Future[Completed]] = {}
        self._workers = n_jobs or 0
        self._stats: dict[str, Any] = {}

    @property
    def workers(self) -> int:
        """Number of worker processes."""
        return self._workers

    def start(self, objective: Objective) -> None:
        """See the base class."""
        self._pool = PersistentWorkerPool(initializer=install, initargs=(objective.pack(),), **self._options)

    def submit(self, tasks: Sequence[Task]) -> None:
        """See the base class."""
        assert self._pool is not None
        for task in tasks:
            future = self._pool.submit(evaluate, tuple(task))
            self._pending[task.trial_id] = future
            future.add_done_callback(_forward(task.trial_id, self._arrived))

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
        """See the base class."""

    def _take(self, trial_id: int, future: Future[Completed]) -> Completed:
        del self._pending[trial_id]
        try:
            return future.result()
        except TaskError as error:
            raise error


def _forward(trial_id: int, queue: SimpleQueue[tuple[int, Future[Completed]]]) -> Callable[..., None]:
    return lambda future: queue.put((trial_id, future))
