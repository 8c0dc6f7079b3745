"""Evaluations on a Ray cluster: one actor per worker slot. The only file that imports Ray.

    driver --- task ---> actor (one evaluation at a time) --- result ---> driver
       '--- objective and share handles, once, through the object store ---> every node

An actor that dies (a crash, a lost node) is replaced wherever the cluster has room, and its task is reported as
crashed, so that the driver sends it again. Modules are looked for where the driver looks too, as far as the node has
those folders, so that what a local worker can import an actor can as well. Time limits count from the moment an actor
that is ready receives the task. Memory is read inside the actor every half second; Ray's own ``memory=`` only
reserves.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from optengine._optional import require
from optengine.optimize.backends.base import Backend
from optengine.optimize.errors import OptimizeError
from optengine.optimize.objective import Objective
from optengine.optimize.ray_settings import RaySettings
from optengine.optimize.shared import share_handles
from optengine.optimize.trial import Completed, Task
from optengine.pool import shared as shared_in_worker
from optengine.pool.memory import parse_limit, unshared_bytes

_MEMORY_POLL_S = 0.5


class Evaluator:
    """The actor: holds the objective and evaluates one task after the other."""

    def __init__(self, packed: bytes, handles: Mapping[str, Any], search_path: Sequence[str]) -> None:
        import pickle

        # Last, so that nothing of the driver's hides what the node has installed.
        sys.path += [path for path in search_path if path not in sys.path and Path(path).exists()]
        self._objective = Objective(pickle.loads(packed))  # noqa: S301 - packed by our own driver
        # From here on optengine.shared() works in this process as in a worker of the local pool.
        shared_in_worker.install(handles)
        shared_in_worker.become_worker()

    def ready(self) -> None:
        """Answers once the actor is set up."""

    def evaluate(self, task: tuple[Any, ...]) -> tuple[Any, ...]:
        """The result of one task as a plain tuple."""
        return tuple(self._objective.evaluate(Task(*task), shared_in_worker.shared))

    def unshared_bytes(self) -> int:
        """Memory of this process that no other process shares."""
        return unshared_bytes(os.getpid()) or 0


@dataclass
class _Slot:
    """One worker: the actor that fills it now and what it is doing."""

    number: int
    actor: Any
    task: Task | None = None
    sent_at: float = 0.0


class RayBackend(Backend):
    """Actors on a Ray cluster.

    Args:
        n_jobs: number of actors; None is as many as the cluster has CPUs for.
        shared: share handles or plain objects by name; put into the object store once.
        max_eval_time: seconds before an evaluation's actor is killed and the trial fails.
        memory_limit: unshared memory, in bytes or as "512MB", before an evaluation's actor is killed and the trial
            fails.
        settings: fields of ``RaySettings``.

    Raises:
        MissingExtraError: Ray is not installed.
        OptimizeError: a setting is wrong.
    """

    name = "ray"

    def __init__(
        self,
        n_jobs: int | None = None,
        shared: Mapping[str, Any] | None = None,
        max_eval_time: float | None = None,
        memory_limit: int | str | None = None,
        **settings: Any,
    ) -> None:
        self._ray = require("ray", extra="ray", feature="backend='ray'")
        try:
            self.settings = RaySettings(**settings)
        except ValidationError as error:
            problem = error.errors()[0]
            name = ".".join(str(part) for part in problem["loc"])
            raise OptimizeError(
                f"Ray setting {name}: {problem['msg']}; received {problem['input']!r}"
            ) from error
        self._n_jobs = n_jobs
        self.shared = share_handles(shared)
        self._max_eval_time = max_eval_time
        limit = parse_limit(memory_limit)
        self._memory_limit = None if limit is None else limit.hard
        self._owns_cluster = False
        self._queue: deque[Task] = deque()
        self._idle: deque[_Slot] = deque()
        self._busy: dict[Any, _Slot] = {}
        self._starting: dict[Any, _Slot] = {}
        self._start: tuple[Any, ...] | None = None
        self._restarts = 0
        self._last_poll = 0.0

    @property
    def workers(self) -> int:
        """Number of actors."""
        return self._n_jobs or len(self._idle) + len(self._busy) + len(self._starting)

    def start(self, objective: Objective) -> None:
        """Connect to the cluster, or start one; share the objective; start the actors."""
        ray, settings = self._ray, self.settings
        if not ray.is_initialized():
            options: dict[str, Any] = {"include_dashboard": False} if settings.address is None else {}
            if settings.address is None and settings.num_cpus is not None:
                options["num_cpus"] = settings.num_cpus
            ray.init(
                address=settings.address, runtime_env=settings.runtime_env, log_to_driver=False, **options
            )
            self._owns_cluster = True
        room = int(ray.cluster_resources().get("CPU", 0) // settings.cpus_per_worker)
        if room < 1:
            raise OptimizeError(
                f"a Ray cluster must have {settings.cpus_per_worker:g} CPUs for one worker; it has "
                f"{ray.cluster_resources().get('CPU', 0):g}; lower cpus_per_worker or add nodes"
            )
        self._start = (ray.put(objective.pack()), ray.put(self.shared), _search_path())
        for number in range(self._n_jobs or room):
            self._launch(number)

    def submit(self, tasks: Sequence[Task]) -> None:
        """See the base class."""
        self._queue.extend(tasks)
        self._dispatch()

    def collect(self) -> list[Completed]:
        """See the base class."""
        began = time.monotonic()
        while True:
            self._dispatch()
            waiting = [*self._busy, *self._starting]
            self._ray.wait(waiting, num_returns=1, timeout=self._next_look())
            ready, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0)
            results = [self._finish(reference) for reference in ready]
            done = [*filter(None, results), *self._overdue(), *self._too_large()]
            if done:
                self._dispatch()
                return done
            if not self._busy and not self._idle and time.monotonic() - began > self.settings.start_timeout_s:
                raise OptimizeError(
                    f"a Ray worker must start within {self.settings.start_timeout_s:g} s; none of "
                    f"{len(self._starting)} could; free resources are {self._ray.available_resources()!r}; "
                    "add nodes or lower n_jobs"
                )

    def cancel(self) -> None:
        """See the base class."""
        self._queue.clear()

    def close(self) -> None:
        """Kill the actors; stop the cluster if it was started here."""
        self._queue.clear()
        if not self._ray.is_initialized():
            return
        for slot in [*self._idle, *self._busy.values(), *self._starting.values()]:
            self._ray.kill(slot.actor)
        self._idle.clear()
        self._busy.clear()
        self._starting.clear()
        self._start = None
        if self._owns_cluster:
            self._ray.shutdown()
            self._owns_cluster = False

    def stats(self) -> dict[str, Any]:
        """Number of actors that had to be replaced."""
        return {"restarts": self._restarts}

    def _launch(self, number: int) -> None:
        assert self._start is not None
        options: dict[str, Any] = {"num_cpus": self.settings.cpus_per_worker, "max_restarts": 0}
        if self._memory_limit is not None:
            options["concurrency_groups"] = {"watch": 1}
        actor = self._ray.remote(**options)(Evaluator).remote(*self._start)
        self._starting[actor.ready.remote()] = _Slot(number, actor)

    def _replace(self, slot: _Slot) -> None:
        self._ray.kill(slot.actor)
        self._restarts += 1
        self._launch(slot.number)

    def _dispatch(self) -> None:
        while self._queue and self._idle:
            slot = self._idle.popleft()
            slot.task = self._queue.popleft()
            slot.sent_at = time.monotonic()
            self._busy[slot.actor.evaluate.remote(tuple(slot.task))] = slot

    def _next_look(self) -> float | None:
        """Seconds until something other than a result must be looked at; None when nothing must."""
        looks = []
        if self._max_eval_time is not None and self._busy:
            first = min(slot.sent_at for slot in self._busy.values())
            looks.append(max(0.0, first + self._max_eval_time - time.monotonic()))
        if self._memory_limit is not None:
            looks.append(_MEMORY_POLL_S)
        if not self._busy:
            looks.append(1.0)
        return min(looks, default=None)

    def _finish(self, reference: Any) -> Completed | None:
        """Take in what a reference that is ready stands for: an actor that started, or a result."""
        errors = self._ray.exceptions
        starting = self._starting.pop(reference, None)
        if starting is not None:
            try:
                self._ray.get(reference)
            except errors.RayActorError as error:
                if "creation task" in str(error):
                    raise OptimizeError(f"a Ray worker must be able to start: {error}") from error
                self._replace(starting)
                return None
            self._idle.append(starting)
            return None
        slot = self._busy.pop(reference)
        task = slot.task
        assert task is not None
        slot.task = None
        try:
            completed = Completed(*self._ray.get(reference))
        except errors.RayActorError as error:
            self._replace(slot)
            text = f"crash: the Ray worker died: {str(error).strip().splitlines()[0]}"
            seconds = time.monotonic() - slot.sent_at
            return Completed(task.trial_id, None, text, None, 1, slot.number, seconds, (), True)
        except errors.RayError as error:
            self._replace(slot)
            text = f"crash: Ray could not return the result: {type(error).__name__}: {error}"
            return Completed(task.trial_id, None, text, None, 1, slot.number, 0.0, (), True)
        self._idle.append(slot)
        return completed._replace(worker=slot.number)

    def _overdue(self) -> list[Completed]:
        limit = self._max_eval_time
        if limit is None:
            return []
        now = time.monotonic()
        late = [reference for reference, slot in self._busy.items() if now - slot.sent_at >= limit]
        return [
            self._end(reference, f"timeout: the evaluation took longer than {limit:g} s")
            for reference in late
        ]

    def _too_large(self) -> list[Completed]:
        limit, now = self._memory_limit, time.monotonic()
        if limit is None or now - self._last_poll < _MEMORY_POLL_S or not self._busy:
            return []
        self._last_poll = now
        slots = list(self._busy.items())
        asked = [slot.actor.unshared_bytes.options(concurrency_group="watch").remote() for _, slot in slots]
        answered, _ = self._ray.wait(asked, num_returns=len(asked), timeout=_MEMORY_POLL_S)
        ended = []
        for (reference, _), question in zip(slots, asked, strict=True):
            if question not in answered:
                continue
            try:
                used = self._ray.get(question)
            except self._ray.exceptions.RayError:
                continue  # a dead actor is reported through its task
            if used > limit:
                ended.append(
                    self._end(reference, f"memory: the evaluation used {used} bytes of {limit} allowed")
                )
        return ended

    def _end(self, reference: Any, error: str) -> Completed:
        """Kill the actor behind a running task; the task has failed."""
        slot = self._busy.pop(reference)
        task = slot.task
        assert task is not None
        self._replace(slot)
        seconds = time.monotonic() - slot.sent_at
        return Completed(task.trial_id, None, error, None, 1, slot.number, seconds)


def _search_path() -> list[str]:
    """The folders this process imports from, as absolute paths."""
    return [os.path.abspath(path) for path in sys.path]  # noqa: PTH100 - a link must stay a link
