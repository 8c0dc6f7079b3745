"""What a pool has done so far: counters kept by the supervisor, and the frozen view ``pool.stats()`` returns."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optengine.pool.handle import WorkerHandle


class _Readable(Mapping[str, Any]):
    """Lets a frozen dataclass also be read as a mapping, for JSON and tables."""

    def __getitem__(self, key: str) -> Any:
        if key not in self.__dataclass_fields__:  # type: ignore[attr-defined]
            raise KeyError(key)
        return getattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dataclass_fields__)  # type: ignore[attr-defined]

    def __len__(self) -> int:
        return len(self.__dataclass_fields__)  # type: ignore[attr-defined]


@dataclass(frozen=True, eq=False)
class WorkerStats(_Readable):
    """One worker's place in the pool, over all the processes that have held it.

    ``tasks`` finished, ``busy_s`` seconds spent in them, ``tasks_per_s`` while busy, ``pid`` of the present process,
    ``restarts`` of any cause, ``peak_memory`` in bytes of unshared memory, sampled while busy.
    """

    worker: int
    pid: int | None
    tasks: int
    busy_s: float
    tasks_per_s: float
    restarts: int
    peak_memory: int


@dataclass(frozen=True, eq=False)
class PoolStats(_Readable):
    """Counters since the pool began; also readable as a mapping.

    ``tasks`` counts finished tasks, failures included; ``retries`` tasks sent again after a lost worker; ``restarts``
    workers replaced after a death. ``dispatch_overhead_s`` is the processor time the parent spent per task.
    """

    batches: int
    tasks: int
    failures: int
    retries: int
    restarts: int
    uptime_s: float
    dispatch_overhead_s: float
    per_worker: tuple[WorkerStats, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain nested dictionaries."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain["per_worker"] = [dict(worker) for worker in self.per_worker]
        return plain


@dataclass
class _Seat:
    tasks: int = 0
    busy_s: float = 0.0
    restarts: int = 0
    peak_memory: int = 0


class Tally:
    """The running counters. Written by the supervisor's thread only; read from anywhere."""

    def __init__(self, workers: int) -> None:
        self.born = time.monotonic()
        self.batches = 0
        self.tasks = 0
        self.failures = 0
        self.retries = 0
        self.restarts = 0
        self.cpu_s = 0.0
        self.seats = [_Seat() for _ in range(workers)]

    def retire(self, worker: WorkerHandle) -> None:
        """Add up what a worker process did before its shared page goes away."""
        seat = self.seats[worker.seat]
        seat.tasks += worker.tasks
        seat.busy_s += worker.busy_s
        seat.peak_memory = max(seat.peak_memory, worker.peak_memory)
        worker.retired = True

    def snapshot(self, workers: list[WorkerHandle], cpu_s: float) -> PoolStats:
        """The counters now. ``cpu_s``: processor time of the supervisor so far."""
        present = {worker.seat: worker for worker in workers if not worker.retired}
        rows = []
        for number, seat in enumerate(self.seats):
            worker = present.get(number)
            tasks, busy = seat.tasks, seat.busy_s
            if worker is not None:
                try:
                    tasks, busy = tasks + worker.tasks, busy + worker.busy_s
                except ValueError:
                    worker = None  # closed this moment
            rows.append(
                WorkerStats(
                    worker=number,
                    pid=None if worker is None else worker.pid,
                    tasks=tasks,
                    busy_s=busy,
                    tasks_per_s=tasks / busy if busy else 0.0,
                    restarts=seat.restarts,
                    peak_memory=max(seat.peak_memory, 0 if worker is None else worker.peak_memory),
                )
            )
        return PoolStats(
            batches=self.batches,
            tasks=self.tasks,
            failures=self.failures,
            retries=self.retries,
            restarts=self.restarts,
            uptime_s=time.monotonic() - self.born,
            dispatch_overhead_s=cpu_s / self.tasks if self.tasks else 0.0,
            per_worker=tuple(rows),
        )
