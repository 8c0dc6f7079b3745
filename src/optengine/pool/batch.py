"""The parent's book-keeping of one batch: which tasks wait, which were lost, where results go.

A batch never touches a process. The supervisor takes indices from it and delivers values to it, in its own thread;
the caller waits on what the subclass offers.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

from optengine.chunking import TaskTime, chunk_size
from optengine.pool.failure import TaskFailure
from optengine.pool.protocol import MAX_CHUNK


class Batch:
    """Tasks with one function. ``chunksize`` is fixed, or adaptive when ``None``."""

    def __init__(
        self,
        function: Callable[[Any], Any],
        *,
        blob: bytes | None = None,
        chunksize: int | None = None,
        timeout_s: float | None = None,
    ) -> None:
        self.call = -1
        self.function = function
        self.blobs: dict[bool, bytes] = {} if blob is None else {False: blob}
        self.chunksize = chunksize
        self.timeout_s = timeout_s
        self.task_time = TaskTime()
        self.attempts: dict[int, int] = {}
        self.suspects: deque[int] = deque()
        self.done = 0
        self.failed = 0
        self.inflight = 0
        self.closed = False  # nothing more is sent
        self.over = False  # nothing more is delivered
        self._again: deque[int] = deque()

    # ---- for the supervisor

    @property
    def waiting(self) -> int:
        """Tasks that could be sent now (suspects apart)."""
        return 0 if self.closed else len(self._again) + self._fresh()

    def next_size(self, workers: int) -> int:
        """How many tasks the next chunk should have."""
        if self.chunksize is not None:
            # What came back from a busy worker is shared out, or it would only change hands.
            share = -(-len(self._again) // (2 * workers)) if self._again else self.chunksize
            return min(self.chunksize, share, MAX_CHUNK - 1)
        return chunk_size(self.waiting, workers, self.task_time.seconds)

    def take(self, limit: int) -> Sequence[int]:
        """Up to ``limit`` indices to send now."""
        if self._again:
            return [self._again.popleft() for _ in range(min(limit, len(self._again)))]
        return self._take_fresh(limit)

    def put_back(self, indices: Sequence[int]) -> None:
        """Take back tasks that were sent but not started."""
        self._again.extendleft(reversed(indices))

    def items(self, indices: Sequence[int]) -> Sequence[Any]:
        """The arguments of ``indices``."""
        raise NotImplementedError

    def deliver(self, indices: Sequence[int], values: list[Any]) -> None:
        """Take in results."""
        raise NotImplementedError

    def fail(self, failure: TaskFailure) -> None:
        """Take in that a task has no result."""
        raise NotImplementedError

    def fail_rest(self, failure_at: Callable[[int], TaskFailure]) -> None:
        """Fail every task that is neither delivered nor failed; nothing is sent any more."""
        raise NotImplementedError

    def settle(self) -> None:
        """Called when a closed batch has nothing in flight any more: end it for whoever waits."""
        self.over = True

    def _fresh(self) -> int:
        raise NotImplementedError

    def _take_fresh(self, limit: int) -> Sequence[int]:
        raise NotImplementedError


class _Sequential(Batch):
    """A batch over a sequence known from the start."""

    def __init__(self, function: Callable[[Any], Any], arguments: Sequence[Any], **options: Any) -> None:
        super().__init__(function, **options)
        self.total = len(arguments)
        self._arguments = arguments
        self._answered = bytearray(self.total)
        self._cursor = 0

    def items(self, indices: Sequence[int]) -> Sequence[Any]:
        """The arguments of ``indices``."""
        if isinstance(indices, range):
            return self._arguments[indices.start : indices.stop]
        return [self._arguments[index] for index in indices]

    def fail_rest(self, failure_at: Callable[[int], TaskFailure]) -> None:
        """Fail what is neither delivered nor failed."""
        self.closed = True
        for index in range(self.total):
            if not self._answered[index]:
                self.fail(failure_at(index))

    def _fresh(self) -> int:
        return self.total - self._cursor

    def _take_fresh(self, limit: int) -> Sequence[int]:
        start = self._cursor
        self._cursor = min(self.total, start + limit)
        return range(start, self._cursor)


class ListBatch(_Sequential):
    """Results in input order, a ``TaskFailure`` in the place of each failed item.

    With ``stop_on_failure`` the first failure ends the batch; it is then in ``failure``.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        arguments: Sequence[Any],
        *,
        stop_on_failure: bool,
        **options: Any,
    ) -> None:
        super().__init__(function, arguments, **options)
        self.results: list[Any] = [None] * self.total
        self.failure: TaskFailure | None = None
        self.finished = threading.Event()
        self._stop_on_failure = stop_on_failure
        if not self.total:
            self.finished.set()

    def deliver(self, indices: Sequence[int], values: list[Any]) -> None:
        """Take in results."""
        if self.over:
            return
        count = len(indices)
        if isinstance(indices, range):
            self.results[indices.start : indices.stop] = values
            self._answered[indices.start : indices.stop] = b"\1" * count
        else:
            for index, value in zip(indices, values, strict=True):
                self.results[index] = value
                self._answered[index] = 1
        self.done += count
        self._end_if_complete()

    def fail(self, failure: TaskFailure) -> None:
        """Take in that a task has no result."""
        if self.over:
            return
        self.results[failure.index] = failure
        self._answered[failure.index] = 1
        self.failed += 1
        if self.failure is None:
            self.failure = failure
        if self._stop_on_failure:
            self.closed = True
            self.settle()
        else:
            self._end_if_complete()

    def settle(self) -> None:
        """End the batch for whoever waits."""
        self.over = True
        self.finished.set()

    def _end_if_complete(self) -> None:
        if self.done + self.failed == self.total:
            self.settle()


class StreamBatch(_Sequential):
    """(indices, values) put on ``arrivals`` as they finish; ``None`` at the end."""

    def __init__(self, function: Callable[[Any], Any], arguments: Sequence[Any], **options: Any) -> None:
        super().__init__(function, arguments, **options)
        self.arrivals: SimpleQueue[tuple[Sequence[int], list[Any]] | None] = SimpleQueue()
        if not self.total:
            self.settle()

    def deliver(self, indices: Sequence[int], values: list[Any]) -> None:
        """Take in results."""
        self.done += len(indices)
        self._put(indices, values)

    def fail(self, failure: TaskFailure) -> None:
        """Take in that a task has no result."""
        self.failed += 1
        self._put([failure.index], [failure])

    def settle(self) -> None:
        """End the batch for whoever waits."""
        self.over = True
        self.arrivals.put(None)

    def _put(self, indices: Sequence[int], values: list[Any]) -> None:
        if self.over:
            return
        for index in indices:
            self._answered[index] = 1
        self.arrivals.put((indices, values))
        if self.done + self.failed == self.total:
            self.settle()


def apply(call: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]) -> Any:
    """Run one submitted call; the function behind every ``SubmitBatch``."""
    function, arguments, keywords = call
    return function(*arguments, **keywords)


def _resolve(settle: Callable[..., Any], *outcome: Any) -> None:
    """Settle a future; what its callbacks raise is logged, as ``concurrent.futures`` does.

    They run in the supervisor's thread: one that calls ``sys.exit`` must not take the results of other tasks along.
    """
    try:
        settle(*outcome)
    except BaseException:
        logging.getLogger("concurrent.futures").exception("exception while settling a future")


class SubmitBatch(Batch):
    """The never-ending batch behind ``submit``: one future per task."""

    def __init__(self, *, timeout_s: float | None) -> None:
        super().__init__(apply, timeout_s=timeout_s)
        self.call = 0
        self._calls: dict[int, tuple[Future[Any], Any]] = {}
        self._queue: deque[int] = deque()
        self._submitted = 0

    def add(self, call: Any) -> Future[Any]:
        """Queue one call. The caller must hold the pool's submit lock."""
        future: Future[Any] = Future()
        self._calls[self._submitted] = (future, call)
        self._queue.append(self._submitted)
        self._submitted += 1
        return future

    @property
    def unresolved(self) -> int:
        """Futures not done yet."""
        return len(self._calls)

    def cancel_waiting(self) -> None:
        """Cancel every future whose task was not sent."""
        while self._queue:
            future, _ = self._calls.pop(self._queue.popleft())
            _resolve(future.cancel)
            future.set_running_or_notify_cancel()

    def items(self, indices: Sequence[int]) -> Sequence[Any]:
        """The arguments of ``indices``."""
        return [self._calls[index][1] for index in indices]

    def deliver(self, indices: Sequence[int], values: list[Any]) -> None:
        """Take in results."""
        self.done += len(indices)
        for index, value in zip(indices, values, strict=True):
            future, _ = self._calls.pop(index)
            _resolve(future.set_result, value)

    def fail(self, failure: TaskFailure) -> None:
        """Take in that a task has no result."""
        self.failed += 1
        future, _ = self._calls.pop(failure.index)
        if failure.kind == "cancelled":
            _resolve(future.cancel)
        if future.running() or future.set_running_or_notify_cancel():
            _resolve(future.set_exception, failure.exception())

    def fail_rest(self, failure_at: Callable[[int], TaskFailure]) -> None:
        """Fail what is neither delivered nor failed."""
        self._queue.clear()
        for index in list(self._calls):
            self.fail(failure_at(index))

    def _fresh(self) -> int:
        return len(self._queue)

    def _take_fresh(self, limit: int) -> Sequence[int]:
        taken: list[int] = []
        while self._queue and len(taken) < limit:
            index = self._queue.popleft()
            if self._calls[index][0].set_running_or_notify_cancel():
                taken.append(index)
            else:
                del self._calls[index]
        return taken
