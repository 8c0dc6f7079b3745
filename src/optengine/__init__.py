"""A parallel engine: supervised persistent workers, sealed data bundles and shared-memory frames.

Names load on first use, so ``import optengine`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optengine.bundle import Bundle, SharedBundle
    from optengine.config import EngineSettings
    from optengine.errors import (
        BrokenPool,
        ConfigurationError,
        EngineError,
        InitializerFailed,
        MemoryLimitExceeded,
        NestedPoolError,
        NotPicklable,
        PoolClosed,
        SharedNameError,
        StartMethodError,
        TaskCancelled,
        TaskError,
        TaskTimeout,
        WorkerCrashed,
    )
    from optengine.frames import SharedFrame
    from optengine.pool.executor import PersistentWorkerPool
    from optengine.pool.failure import TaskFailure
    from optengine.pool.kept import shared_pool
    from optengine.pool.shared import shared

__version__ = "0.1.0"

_HOMES = {
    "optengine.bundle": ("Bundle", "SharedBundle"),
    "optengine.frames": ("SharedFrame",),
    "optengine.config": ("EngineSettings",),
    "optengine.pool.executor": ("PersistentWorkerPool",),
    "optengine.pool.failure": ("TaskFailure",),
    "optengine.pool.kept": ("shared_pool",),
    "optengine.pool.shared": ("shared",),
    "optengine.errors": (
        "BrokenPool",
        "ConfigurationError",
        "EngineError",
        "InitializerFailed",
        "MemoryLimitExceeded",
        "NestedPoolError",
        "NotPicklable",
        "PoolClosed",
        "SharedNameError",
        "StartMethodError",
        "TaskCancelled",
        "TaskError",
        "TaskTimeout",
        "WorkerCrashed",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # noqa: PLE0604, RUF100 - the names of _HOMES, spelled out for type checkers and readers
    "BrokenPool",
    "Bundle",
    "ConfigurationError",
    "EngineError",
    "EngineSettings",
    "InitializerFailed",
    "MemoryLimitExceeded",
    "NestedPoolError",
    "NotPicklable",
    "PersistentWorkerPool",
    "PoolClosed",
    "SharedBundle",
    "SharedFrame",
    "SharedNameError",
    "StartMethodError",
    "TaskCancelled",
    "TaskError",
    "TaskFailure",
    "TaskTimeout",
    "WorkerCrashed",
    "shared",
    "shared_pool",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'optengine' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
