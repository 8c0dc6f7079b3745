"""The parallel optimizer: a driver that asks and tells in a fixed order, a journal, and backends that
evaluate.

    algorithm  <-- ask / tell, in trial order -->  driver  <-- tasks / results, any order -->  backend
                                                     |
                                                  journal (append only)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optengine.optimize.backends.base import Backend
    from optengine.optimize.errors import JournalError, OptimizeError, TooManyFailuresError
    from optengine.optimize.objective import Context
    from optengine.optimize.optimizer import ParallelOptimizer
    from optengine.optimize.trial import Trial

_HOMES = {
    "Backend": "backends.base",
    "Context": "objective",
    "JournalError": "errors",
    "OptimizeError": "errors",
    "ParallelOptimizer": "optimizer",
    "TooManyFailuresError": "errors",
    "Trial": "trial",
}

__all__ = [
    "Backend",
    "Context",
    "JournalError",
    "OptimizeError",
    "ParallelOptimizer",
    "TooManyFailuresError",
    "Trial",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
