"""``PersistentWorkerPool``: the public face of the pool, a ``concurrent.futures.Executor``."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from types import TracebackType
from typing import Any, Literal

from optengine import cpus as cpu_count
from optengine.config import load_settings
from optengine.errors import BrokenPool, ConfigurationError, NestedPoolError, NotPicklable, PoolClosed
from optengine.pool.batch import ListBatch, StreamBatch
from optengine.pool.bootstrap import preparation_data
from optengine.pool.failure import TaskFailure
from optengine.pool.forkserver import Inheritance, ServerSetup
from optengine.pool.memory import parse_limit
from optengine.pool.payload import describe, function_blob
from optengine.pool.plan import PoolPlan, parse_cpus, require_count, require_positive
from optengine.pool.shared import check_handles, refuse_in_worker
from optengine.pool.start import (
    PRELOAD_IF_IMPORTED,
    Launcher,
    ServerLauncher,
    SpawnLauncher,
    choose,
)
from optengine.pool.statistics import PoolStats
from optengine.pool.supervisor import Supervisor
from optengine.progress import Progress, ProgressOption
from optengine.resources import told

OnError = Literal["raise", "return"]
UNSET: Any = object()

_open_pools: weakref.WeakSet[PersistentWorkerPool] = weakref.WeakSet()
# Those of forgotten pools, too: their threads keep them alive until the work given to them is done.
_supervisors: weakref.WeakSet[Supervisor] = weakref.WeakSet()
os.register_at_fork(after_in_child=_supervisors.clear)


class PersistentWorkerPool(Executor):
    """Worker processes that stay, watched over by a supervisor.

    One worker's death costs at most the task it ran; every other task still returns its result. A task that
    loses its worker is tried again, alone, until ``max_attempts`` is used up; then a ``TaskFailure`` takes
    its place. A task may therefore run more than once, but never more than ``max_attempts`` times.

    Args:
        max_workers: worker processes; default: CPUs granted by affinity and cgroup quota.
        start_method: ``"preload"``, ``"fork"``, ``"forkserver"``, ``"spawn"``, or ``None`` for the safe
        default;
            the choice and its reason are in ``start_method`` and ``start_reason``.
        initializer, initargs: called once in each worker before its first task.
        start_timeout: seconds a worker may take from its start until its initializer has returned; then it is
        killed and
            the pool fails with its stack.
        task_timeout: seconds a task may run; then its worker is killed.
        max_attempts: how often a task may be started; 1 means never repeat.
        memory_limit: unshared memory per worker, bytes or ``"512MB"``: above 80 % of it a worker is replaced
        after its
            task, above it killed. A pair sets (soft, hard).
        max_tasks_per_worker: replace a worker after so many tasks.
        cpus: CPU numbers (or sets of them) the workers are pinned to, in turn.
        shared: share handles by name; in a task ``optengine.shared(name)`` returns the handle's ``get()``.
        preload: modules imported once in the fork server (start method ``preload``).
        lean: start workers with neither the program's main module nor large libraries it has imported, whose import
            is most of a start; functions of the main module then travel by value.
        threads_per_worker: cap for BLAS and OpenMP threads; default: usable CPUs / workers.
        interrupt_grace: seconds running tasks get to end after Ctrl-C; a second Ctrl-C kills them.

    Unset arguments come from ``EngineSettings`` (environment variables ``OPTENGINE_*``). Raises
    ``ConfigurationError`` for values that cannot be used and ``NestedPoolError`` inside a worker.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        start_method: str | None = None,
        initializer: Callable[..., Any] | None = None,
        initargs: Iterable[Any] = (),
        start_timeout: float | None = UNSET,
        task_timeout: float | None = UNSET,
        max_attempts: int | None = None,
        memory_limit: int | str | tuple[int | str, int | str] | None = UNSET,
        max_tasks_per_worker: int | None = UNSET,
        cpus: Sequence[int] | Sequence[Sequence[int]] | None = None,
        shared: Mapping[str, Any] | None = None,
        preload: Sequence[str] = (),
        lean: bool = False,
        threads_per_worker: int | None = None,
        interrupt_grace: float | None = None,
    ) -> None:
        refuse_in_worker("Creating a PersistentWorkerPool")
        settings = load_settings()
        if initializer is not None and not callable(initializer):
            raise ConfigurationError(f"initializer must be callable or None; got {initializer!r}")
        if isinstance(preload, str):
            raise ConfigurationError(f"preload must be a sequence of module names; got the text {preload!r}")
        workers = max_workers if max_workers is not None else settings.max_workers
        require_count("max_workers", workers)
        if workers is None:
            workers = cpu_count.default_workers()
        threads = threads_per_worker or settings.threads_per_worker
        require_count("threads_per_worker", threads)
        method, reason = choose(start_method if start_method is not None else settings.start_method)
        plan = PoolPlan(
            max_workers=workers,
            start_method=method,
            start_reason=reason,
            initializer=initializer,
            initargs=tuple(initargs),
            start_timeout=_given(start_timeout, settings.start_timeout),
            task_timeout=_given(task_timeout, settings.task_timeout),
            max_attempts=max_attempts if max_attempts is not None else settings.max_attempts,
            memory_limit=parse_limit(_given(memory_limit, settings.memory_limit)),
            host_reserve=settings.host_reserve,
            max_tasks_per_worker=_given(max_tasks_per_worker, settings.max_tasks_per_worker),
            cpus=parse_cpus(cpus),
            threads=threads or max(1, cpu_count.usable_cpus() // workers),
            shared=None if shared is None else check_handles(shared),
            preload=(*preload, *settings.preload),
            lean=lean,
            interrupt_grace=interrupt_grace if interrupt_grace is not None else settings.interrupt_grace,
        )
        require_positive("start_timeout", plan.start_timeout)
        require_positive("task_timeout", plan.task_timeout)
        require_count("max_attempts", plan.max_attempts)
        require_count("max_tasks_per_worker", plan.max_tasks_per_worker)
        plan.initializer_blob(by_value=False)  # refuse now what cannot reach a worker
        self.max_workers = workers
        self.start_method = method
        self.start_reason = reason
        self._plan = plan
        self._owner = os.getpid()
        self._closed = False
        self._submit_lock = threading.Lock()
        self._supervisor = Supervisor(plan, _launcher_factory(plan))
        # The supervisor must not keep a forgotten pool alive; a forgotten pool ends its workers.
        weakref.finalize(self, _forgotten, self._supervisor, self._owner).atexit = False
        _open_pools.add(self)
        _supervisors.add(self._supervisor)

    # ---- Executor

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """A future of ``fn(*args, **kwargs)``.

        Raises ``PoolClosed`` after shutdown and ``BrokenPool`` or ``InitializerFailed`` on a broken pool.
        """
        supervisor = self._usable()
        if supervisor.broken is not None:
            raise self._broken_error(supervisor.broken)
        with self._submit_lock:
            if self._closed:
                raise PoolClosed("cannot schedule new futures after shutdown; create a new pool")
            future = supervisor.submitted.add((fn, args, kwargs))
        supervisor.nudge()
        if not supervisor.sound:  # it broke meanwhile
            supervisor.call(supervisor.fail_submissions)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work; finish what was given (or cancel what has not begun), then end the workers."""
        if os.getpid() != self._owner:
            return
        with self._submit_lock:
            self._closed = True
        self._supervisor.shut_down(cancel=cancel_futures, kill=False)
        if wait:
            self._join()

    def terminate(self) -> None:
        """End at once: kill the workers and wait; unfinished tasks fail with kind ``cancelled``."""
        if os.getpid() != self._owner:
            return
        with self._submit_lock:
            self._closed = True
        self._supervisor.shut_down(cancel=True, kill=True)
        self._join()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Shut down; after an exception, or an interrupt of that, terminate: a hung task must not hold up the error."""
        try:
            if kind is None:
                self.shutdown(wait=True)
        except BaseException:
            self.terminate()
            raise
        if kind is not None:
            self.terminate()

    # ---- batches

    def run_batch(
        self,
        fn: Callable[[Any], Any],
        items: Iterable[Any],
        *,
        on_error: OnError = "raise",
        progress: ProgressOption = False,
        chunksize: int | Literal["auto"] = "auto",
        task_timeout: float | None = UNSET,
    ) -> list[Any]:
        """``[fn(item) for item in items]``, in input order, computed by the workers.

        With ``on_error="raise"`` the first failure ends the batch and its exception is raised (the pool stays
        usable); with ``"return"`` a ``TaskFailure`` stands in the place of each failed item. ``progress`` is
        ``True`` for a bar, or a callable that is given a ``ProgressState``. ``task_timeout`` overrides the
        pool's for this batch.
        """
        if on_error not in ("raise", "return"):
            raise ConfigurationError(f"on_error must be 'raise' or 'return'; got {on_error!r}")
        batch = ListBatch(
            fn,
            _as_sequence(items),
            stop_on_failure=on_error == "raise",
            **self._options(fn, chunksize, task_timeout),
        )
        if batch.total:
            self._usable().add(batch)
        with Progress(batch.total, progress) as shown:
            try:
                while not batch.finished.wait(shown.interval_s):
                    shown.update(batch.done, batch.failed)
            except BaseException:
                self._interrupted(batch)
                raise
            shown.update(batch.done, batch.failed)
        if on_error == "raise" and batch.failure is not None:
            batch.failure.throw()
        return batch.results

    def as_completed_batch(
        self,
        fn: Callable[[Any], Any],
        items: Iterable[Any],
        *,
        progress: ProgressOption = False,
        chunksize: int | Literal["auto"] = "auto",
        task_timeout: float | None = UNSET,
    ) -> Iterator[tuple[int, Any]]:
        """(index, result or ``TaskFailure``) for each item as it finishes.

        The work starts at once. Closing the iterator early takes back what has not begun.
        """
        batch = StreamBatch(fn, _as_sequence(items), **self._options(fn, chunksize, task_timeout))
        if batch.total:
            self._usable().add(batch)
        return self._arrivals(batch, progress)

    def _arrivals(self, batch: StreamBatch, progress: ProgressOption) -> Iterator[tuple[int, Any]]:
        try:
            with Progress(batch.total, progress) as shown:
                while (arrival := batch.arrivals.get()) is not None:
                    shown.update(batch.done, batch.failed)
                    yield from zip(*arrival, strict=True)
        finally:
            if not batch.over:
                self._supervisor.close_batch(batch, now=True)

    def stats(self) -> PoolStats:
        """Counters since the pool began, per worker and in all."""
        supervisor = self._supervisor
        tally = supervisor.tally
        ident = supervisor.thread.ident
        if supervisor.thread.is_alive() and ident is not None and hasattr(time, "pthread_getcpuclockid"):
            tally.cpu_s = time.clock_gettime(time.pthread_getcpuclockid(ident))
        return tally.snapshot(list(supervisor.workers), tally.cpu_s)

    @property
    def usable(self) -> bool:
        """Whether work can be given to this pool."""
        return not self._closed and self._supervisor.sound

    @property
    def notes(self) -> tuple[str, ...]:
        """What happened that a log should hold: failed preloads, idle deaths, replaced servers."""
        return tuple(self._supervisor.notes)

    # ---- inside

    def _join(self) -> None:
        # A future's callback runs in the supervisor's thread, which cannot wait for itself.
        if threading.current_thread() is not self._supervisor.thread:
            self._supervisor.thread.join()

    def __reduce__(self) -> Any:
        raise NestedPoolError(
            "a pool must stay in the process that made it; got an attempt to pickle it. "
            "Pass the data to the task and use the pool in the parent"
        )

    def _usable(self) -> Supervisor:
        refuse_in_worker("Using a PersistentWorkerPool")
        if os.getpid() != self._owner:
            raise NestedPoolError(
                f"a pool must be used in the process that made it ({self._owner}); "
                f"got a call in its fork {os.getpid()}. Create a new pool there"
            )
        if self._closed:
            raise PoolClosed("cannot schedule new futures after shutdown; create a new pool")
        return self._supervisor

    def _options(self, fn: Callable[[Any], Any], chunksize: Any, task_timeout: Any) -> dict[str, Any]:
        if threading.current_thread() is self._supervisor.thread:
            raise NestedPoolError(
                "a batch must not be started in a future's callback, where it would wait for itself; "
                "use submit there, or start the batch in another thread"
            )
        if not callable(fn):
            raise ConfigurationError(f"the function must be callable; got {fn!r}")
        if chunksize != "auto":
            require_count("chunksize", chunksize)
        timeout = _given(task_timeout, self._plan.task_timeout)
        require_positive("task_timeout", timeout)
        try:
            blob = function_blob(fn, by_value=False)
        except Exception as error:
            exhausted = told(error, "sending a function to the workers")  # its import may need a descriptor
            if exhausted is not None:
                raise exhausted from error
            message = f"the function must be picklable; got {describe(fn)} ({type(error).__name__}: {error})"
            raise NotPicklable(TaskFailure(-1, "unpicklable", message)) from error
        return {"blob": blob, "chunksize": None if chunksize == "auto" else chunksize, "timeout_s": timeout}

    def _interrupted(self, batch: ListBatch) -> None:
        """Ctrl-C: send nothing more, let running tasks end; a second one or the end of the grace kills."""
        self._supervisor.close_batch(batch, now=False)
        try:
            ended = batch.finished.wait(self._plan.interrupt_grace)
        except BaseException:
            self._supervisor.kill_batch(batch)
            raise
        if not ended:
            self._supervisor.kill_batch(batch)

    @staticmethod
    def _broken_error(failure: TaskFailure) -> BaseException:
        if failure.kind == "initializer":
            return failure.exception()
        return BrokenPool(failure.message)


def _as_sequence(items: Iterable[Any]) -> Sequence[Any]:
    return items if isinstance(items, list | tuple | range) else list(items)


def _given(value: Any, default: Any) -> Any:
    return default if value is UNSET else value


def _launcher_factory(plan: PoolPlan) -> Callable[[], Launcher]:
    environment = {**os.environ, **cpu_count.thread_caps(plan.threads, os.environ)}
    if plan.start_method == "spawn":
        return lambda: SpawnLauncher(environment)
    if plan.start_method == "fork":
        return lambda: ServerLauncher(Inheritance(plan.shared, plan.threads), environment)
    warm = plan.start_method == "preload"
    imported = tuple(name for name in PRELOAD_IF_IMPORTED if name in sys.modules and not plan.lean)
    setup = ServerSetup(
        preparation=preparation_data(main=not plan.lean),
        preload=(*imported, *plan.preload) if warm else (),
        shared=plan.shared_blob() if warm else None,
        threads=plan.threads,
    )
    return lambda: ServerLauncher(setup, environment)


def _forgotten(supervisor: Supervisor, owner: int) -> None:
    if os.getpid() == owner:
        supervisor.shut_down(cancel=False, kill=False)


def _close_at_exit() -> None:
    """Let every pool of this process finish, forgotten ones included; an interrupt ends them at once."""
    for pool in list(_open_pools):
        pool.shutdown(wait=False)
    supervisors = list(_supervisors)
    try:
        for supervisor in supervisors:
            supervisor.thread.join()
    except BaseException:
        for supervisor in supervisors:
            supervisor.shut_down(cancel=True, kill=True)
        for supervisor in supervisors:
            supervisor.thread.join()
        raise


atexit.register(_close_at_exit)
