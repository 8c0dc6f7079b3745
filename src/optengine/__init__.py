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
        ResourceExhausted,
        SharedNameError,
        StartMethodError,
        TaskCancelled,
        TaskError,
        TaskTimeout,
        WorkerCrashed,
    )
    from optengine.frames import SharedFrame
    from optengine.optimize.optimizer import ParallelOptimizer
    from optengine.pool.executor import PersistentWorkerPool
    from optengine.pool.failure import TaskFailure
    from optengine.pool.kept import shared_pool
    from optengine.pool.shared import shared
    from optengine.search.bayesian import BayesianSearchAlgorithm
    from optengine.search.bohb import BOHBSearchAlgorithm
    from optengine.search.cmaes_search import CMAESSearchAlgorithm
    from optengine.search.genetic import GeneticSearchAlgorithm
    from optengine.search.grid import GridSearchAlgorithm
    from optengine.search.random_search import RandomSearchAlgorithm
    from optengine.search.space import Space

__version__ = "0.1.0"

_HOMES = {
    "optengine.bundle": ("Bundle", "SharedBundle"),
    "optengine.frames": ("SharedFrame",),
    "optengine.config": ("EngineSettings",),
    "optengine.pool.executor": ("PersistentWorkerPool",),
    "optengine.pool.failure": ("TaskFailure",),
    "optengine.pool.kept": ("shared_pool",),
    "optengine.pool.shared": ("shared",),
    "optengine.optimize.optimizer": ("ParallelOptimizer",),
    "optengine.search.bayesian": ("BayesianSearchAlgorithm",),
    "optengine.search.bohb": ("BOHBSearchAlgorithm",),
    "optengine.search.cmaes_search": ("CMAESSearchAlgorithm",),
    "optengine.search.genetic": ("GeneticSearchAlgorithm",),
    "optengine.search.grid": ("GridSearchAlgorithm",),
    "optengine.search.random_search": ("RandomSearchAlgorithm",),
    "optengine.search.space": ("Space",),
    "optengine.errors": (
        "BrokenPool",
        "ConfigurationError",
        "EngineError",
        "InitializerFailed",
        "MemoryLimitExceeded",
        "NestedPoolError",
        "NotPicklable",
        "PoolClosed",
        "ResourceExhausted",
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
    "BOHBSearchAlgorithm",
    "BayesianSearchAlgorithm",
    "BrokenPool",
    "Bundle",
    "CMAESSearchAlgorithm",
    "ConfigurationError",
    "EngineError",
    "EngineSettings",
    "GeneticSearchAlgorithm",
    "GridSearchAlgorithm",
    "InitializerFailed",
    "MemoryLimitExceeded",
    "NestedPoolError",
    "NotPicklable",
    "ParallelOptimizer",
    "PersistentWorkerPool",
    "PoolClosed",
    "RandomSearchAlgorithm",
    "ResourceExhausted",
    "SharedBundle",
    "SharedFrame",
    "SharedNameError",
    "Space",
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
    try:
        value = getattr(import_module(home), name)
    except ImportError as error:
        from optengine._optional import missing_engine

        missing = missing_engine(f"optengine.{name}", error)
        if missing is None:
            raise
        raise missing from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
