"""Sending: which task goes to which worker next, in chunks of what size, and taking tasks back.

Owned by the supervisor's thread. One chunk is on its way while one runs; very short tasks queue deeper, up to
about a millisecond of work. A worker left without work makes the busiest one give back what it has not begun.
"""

from __future__ import annotations

import select
import traceback
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from optengine.chunking import TARGET_S
from optengine.pool.batch import Batch
from optengine.pool.failure import TaskFailure
from optengine.pool.handle import InFlight, WorkerHandle
from optengine.pool.payload import ATOMS, describe, function_blob, is_atom, pack
from optengine.pool.protocol import Chunk, Define, Payload, Revoke, Stop

if TYPE_CHECKING:
    from optengine.pool.supervisor import Supervisor

PREFETCH_S = 0.001
PREFETCH_CHUNKS = 32
# A worker starts on a chunk once all of it is copied: small enough to begin soon, large enough to hide the waking.
CHUNK_BYTES = 2 << 20
# Short tasks on large arguments queue only so many bytes: memory used again soon is still in the cache.
PREFETCH_BYTES = 8 << 20
# Behind an argument larger than this the next would find no room in the inbox, and travel slowly.
PREFETCH_BYTES_MAX = 24 << 20
PUSH_BYTES = 1 << 18
STEAL_AFTER_S = 0.01
DURABLE_ABOVE_S = 0.0001


class Dispatcher:
    """Feeds the workers of one pool."""

    def __init__(self, pool: Supervisor) -> None:
        self._pool = pool
        self._next_chunk = 1
        self._ended_calls: list[int] = []
        self._blocked: set[int] = set()

    def feed(self, now: float) -> None:
        """Give every worker what it can take."""
        able = [
            worker
            for worker in self._pool.workers
            if worker.ready and not worker.stopping and worker.verdict is None and worker.lost_at is None
        ]
        # Those without work come first, or what is left would queue up behind somebody's long task.
        for worker in sorted(able, key=_load) if len(able) > 1 else able:
            self._fill(worker, now)
        if self.may_steal():
            self._steal(now)

    def push(self) -> None:
        """Write what was posted; what a socket does not take now goes when it has room."""
        for worker in self._pool.workers:
            if worker.unsent:
                self._push(worker)

    def _push(self, worker: WorkerHandle) -> None:
        blocked = not worker.push()
        descriptor = worker.channel.fileno()
        if blocked != (descriptor in self._blocked) and worker.lost_at is None:
            if blocked:
                self._blocked.add(descriptor)
                self._pool.poller.modify(descriptor, select.POLLIN | select.POLLOUT)
            else:
                self._blocked.discard(descriptor)
                self._pool.poller.modify(descriptor, select.POLLIN)

    def forget(self, worker: WorkerHandle) -> None:
        """The worker's socket is about to go."""
        self._blocked.discard(worker.channel.fileno())

    def end_call(self, call: int) -> None:
        """No worker needs the function of ``call`` any more."""
        self._ended_calls.append(call)

    def recycle(self, worker: WorkerHandle) -> None:
        """Let the worker leave after what it has; a fresh one takes its place."""
        worker.stopping = True
        worker.post(Stop())

    def revoke(self, batch: Batch) -> None:
        """Have the workers give back every task of ``batch`` they have not started."""
        for worker in self._pool.workers:
            if any(flight.batch is batch for flight in worker.inflight):
                worker.post(Revoke(batch.call))

    # ---- choosing

    def _fill(self, worker: WorkerHandle, now: float) -> None:
        limit = self._pool.plan.max_tasks_per_worker
        while True:
            if limit is not None and worker.sent_tasks >= limit:
                if not worker.inflight:
                    self.recycle(worker)
                return
            work = self._next_work(worker, None if limit is None else limit - worker.sent_tasks)
            if work is None:
                return
            self._send(worker, *work, now)

    def _next_work(self, worker: WorkerHandle, quota: int | None) -> tuple[Batch, Sequence[int], bool] | None:
        pool, inflight = self._pool, worker.inflight
        if pool.limits.paused(worker, pool.workers) or (inflight and inflight[-1].alone):
            return None
        batches: deque[Batch] = pool.batches
        suspect = next((batch for batch in batches if batch.suspects), None)
        if suspect is not None:
            if inflight:
                return None  # drain, so that the suspect can run alone
            return suspect, [suspect.suspects.popleft()], True
        for batch in batches:
            if not batch.waiting:
                continue
            if inflight and not self._may_prefetch(worker, batch):
                return None
            size = batch.next_size(len(pool.workers))
            indices = batch.take(size if quota is None else min(size, quota))
            if not indices:
                continue
            if len(batches) > 1:
                batches.remove(batch)  # take turns
                batches.append(batch)
            return batch, indices, False
        return None

    @staticmethod
    def _may_prefetch(worker: WorkerHandle, batch: Batch) -> bool:
        seconds = batch.task_time.seconds
        if seconds is None or batch.task_time.observations < 2 or worker.revoking or worker.robbed:
            return False
        inflight = worker.inflight
        ahead = sum(flight.volume for flight in inflight) if inflight[-1].volume else 0
        if len(inflight) == 1:
            return seconds < TARGET_S and ahead < PREFETCH_BYTES_MAX
        if len(inflight) >= PREFETCH_CHUNKS or ahead >= PREFETCH_BYTES:
            return False
        return sum(flight.left for flight in inflight) * seconds < PREFETCH_S

    # ---- sending

    def _send(
        self, worker: WorkerHandle, batch: Batch, indices: Sequence[int], alone: bool, now: float
    ) -> None:
        if batch.call not in worker.calls and not self._define(worker, batch):
            return
        indices, items, volume = self._packed(worker, batch, indices)
        if not indices or batch.over:
            for item in items:  # a failure while packing may have ended the batch
                if type(item) is Payload:
                    for offset, _ in item.regions:
                        worker.inbox.free(offset)
            self._pool.batch_landed(batch)
            return
        flight = InFlight(self._next_chunk, batch, indices, alone, volume=volume)
        self._next_chunk += 1
        freed = tuple(worker.freed)
        worker.freed.clear()
        timed = batch.timeout_s is not None
        worker.post(Chunk(flight.chunk, batch.call, timed, self._durable(batch), items, freed))
        if volume >= PUSH_BYTES:
            self._push(worker)  # it works on this while more is copied, for itself and for others
        worker.inflight.append(flight)
        worker.fed_at = now
        worker.sent_tasks += len(indices)
        batch.inflight += 1
        if batch.timeout_s is not None:
            self._pool.limits.expect(now + batch.timeout_s)

    def _durable(self, batch: Batch) -> bool:
        """Whether each result is sent before the next task starts.

        Too dear for very short tasks, until a death shows that this batch kills workers; a must where nothing
        may be repeated.
        """
        return (
            bool(batch.attempts)
            or self._pool.plan.max_attempts == 1
            or (batch.task_time.seconds or 0.0) > DURABLE_ABOVE_S
        )

    def _define(self, worker: WorkerHandle, batch: Batch) -> bool:
        by_value = self._pool.main_by_value
        if by_value not in batch.blobs:
            try:
                batch.blobs[by_value] = function_blob(batch.function, by_value=by_value)
            except BaseException as error:  # noqa: BLE001 - a reducer may raise anything; every task reports it
                message = f"the function must be picklable; got {describe(batch.function)} ({error})"
                text = traceback.format_exc()
                batch.fail_rest(lambda index: TaskFailure(index, "unpicklable", message, text))
                self._pool.batch_landed(batch)
                return False
        forget = tuple(call for call in self._ended_calls if call in worker.calls)
        worker.calls.difference_update(forget)
        known = set().union(*(other.calls for other in self._pool.workers))
        self._ended_calls = [call for call in self._ended_calls if call in known]
        worker.post(Define(batch.call, batch.blobs[by_value], forget))
        worker.calls.add(batch.call)
        return True

    def _packed(
        self, worker: WorkerHandle, batch: Batch, indices: Sequence[int]
    ) -> tuple[Sequence[int], Sequence[object], int]:
        """Items ready to send, and their bytes.

        Those that cannot be pickled fail here; those beyond ``CHUNK_BYTES`` go back.
        """
        items = batch.items(indices)
        if isinstance(items, range) or set(map(type, items)) <= ATOMS:
            return indices, items, 0
        sent: list[int] = []
        ready: list[object] = []
        volume = 0
        for position, (index, item) in enumerate(zip(indices, items, strict=True)):
            if is_atom(item):
                sent.append(index)
                ready.append(item)
                continue
            try:
                payload = pack(item, worker.inbox, by_value=self._pool.main_by_value, fallback=True)
            except BaseException as error:  # noqa: BLE001 - a reducer may raise anything, SystemExit included
                message = (
                    f"the argument must be picklable; got {describe(item)} ({type(error).__name__}: {error}); "
                    "pass plain data and open the resource inside the task"
                )
                self._pool.tally.tasks += 1
                self._pool.fail(batch, TaskFailure(index, "unpicklable", message, traceback.format_exc()))
                continue
            sent.append(index)
            ready.append(payload)
            volume += len(payload.blob or b"") + sum(size for _, size in payload.regions)
            if volume >= CHUNK_BYTES:
                batch.put_back(indices[position + 1 :])
                break
        return sent if len(sent) < len(indices) else indices, ready, volume

    # ---- taking work back

    def may_steal(self) -> bool:
        """Whether one worker idles with nothing left to send while another has tasks it has not started."""
        idle = busy = False
        for worker in self._pool.workers:
            if worker.ready and not worker.inflight:
                idle = True
            elif not worker.revoking and _unstarted(worker.inflight):
                busy = True
        return idle and busy

    def _steal(self, now: float) -> None:
        for worker in self._pool.workers:
            if worker.revoking or not _unstarted(worker.inflight):
                continue
            # The pause lets every chunk make progress before it may be taken back again.
            if now - worker.fed_at > STEAL_AFTER_S:
                worker.revoking = worker.robbed = True
                worker.post(Revoke(-1))


def _load(worker: WorkerHandle) -> int:
    return len(worker.inflight)


def _unstarted(flights: Iterable[InFlight]) -> bool:
    """Whether more than one task is unanswered, so that at least one has not begun."""
    left = 0
    for flight in flights:
        left += flight.left
        if left > 1:
            return True
    return False
