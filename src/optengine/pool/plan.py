"""Everything a pool was told, checked and frozen, in one object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optengine.errors import ConfigurationError
from optengine.pool.memory import MemoryLimit
from optengine.pool.payload import describe, function_blob


@dataclass(frozen=True)
class PoolPlan:
    """The settings of one pool. Times in seconds, memory in bytes."""

    max_workers: int
    start_method: str
    start_reason: str
    initializer: Callable[..., Any] | None
    initargs: tuple[Any, ...]
    start_timeout: float | None
    task_timeout: float | None
    max_attempts: int
    memory_limit: MemoryLimit | None
    host_reserve: float
    max_tasks_per_worker: int | None
    cpus: tuple[tuple[int, ...], ...]
    threads: int
    shared: Mapping[str, Any] | None
    preload: tuple[str, ...]
    lean: bool
    interrupt_grace: float

    def initializer_blob(self, *, by_value: bool) -> bytes | None:
        """Pickle of the initializer and its arguments. Raises ``ConfigurationError`` if they cannot travel."""
        if self.initializer is None:
            return None
        return travelling("initializer and initargs", (self.initializer, self.initargs), by_value=by_value)

    @property
    def starting(self) -> str:
        """What is being done when this pool starts, for errors."""
        return f"running a pool of {self.max_workers} workers ({self.start_method})"

    @property
    def descriptors(self) -> int:
        """About how many file descriptors this process needs for the pool, while a worker is being started."""
        return 12 + 8 * self.max_workers

    def shared_blob(self) -> bytes | None:
        """Pickle of the share handles. Raises ``ConfigurationError`` if they cannot travel."""
        return None if self.shared is None else travelling("shared", dict(self.shared), by_value=False)


def travelling(name: str, value: Any, *, by_value: bool) -> bytes:
    """Pickle of a setting that goes to the workers. Raises ``ConfigurationError`` naming it."""
    try:
        return function_blob(value, by_value=by_value)
    except Exception as error:
        raise ConfigurationError(
            f"{name} must be picklable to reach the workers; got {describe(value)} ({type(error).__name__}: {error})"
        ) from error


def parse_cpus(cpus: Sequence[int] | Sequence[Sequence[int]] | None) -> tuple[tuple[int, ...], ...]:
    """CPU sets, one per worker in turn. Plain numbers pin one worker each. Raises ``ConfigurationError``."""
    import os

    if cpus is None:
        return ()
    sets = tuple((entry,) if isinstance(entry, int) else tuple(entry) for entry in cpus)
    known = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    for entry in sets:
        if not entry or not set(entry) <= known:
            raise ConfigurationError(
                f"cpus must name CPUs this process may use, {sorted(known)}; got {cpus!r}"
            )
    return sets


def require_positive(name: str, value: Any) -> None:
    """Raise ``ConfigurationError`` unless ``value`` is ``None`` or above zero."""
    if value is not None and not (
        isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    ):
        raise ConfigurationError(f"{name} must be above zero or None; got {value!r}")


def require_count(name: str, value: Any) -> None:
    """Raise ``ConfigurationError`` unless ``value`` is ``None`` or a whole number of at least 1."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ConfigurationError(f"{name} must be a whole number of at least 1, or None; got {value!r}")
