"""Search algorithms, one per file, behind the contract of ``optengine.search.base``."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optengine.search.base import Best, SearchAlgorithm, Suggestion
    from optengine.search.bayesian import BayesianSearchAlgorithm
    from optengine.search.bohb import BOHBSearchAlgorithm
    from optengine.search.cmaes_search import CMAESSearchAlgorithm
    from optengine.search.errors import NotReadyError, SearchError, SpaceError
    from optengine.search.foreign import ForeignSearchAlgorithm
    from optengine.search.genetic import GeneticSearchAlgorithm
    from optengine.search.grid import GridSearchAlgorithm
    from optengine.search.random_search import RandomSearchAlgorithm
    from optengine.search.space import Space

_HOMES = {
    "BOHBSearchAlgorithm": "bohb",
    "BayesianSearchAlgorithm": "bayesian",
    "Best": "base",
    "CMAESSearchAlgorithm": "cmaes_search",
    "ForeignSearchAlgorithm": "foreign",
    "GeneticSearchAlgorithm": "genetic",
    "GridSearchAlgorithm": "grid",
    "NotReadyError": "errors",
    "RandomSearchAlgorithm": "random_search",
    "SearchAlgorithm": "base",
    "SearchError": "errors",
    "Space": "space",
    "SpaceError": "errors",
    "Suggestion": "base",
}

__all__ = [
    "BOHBSearchAlgorithm",
    "BayesianSearchAlgorithm",
    "Best",
    "CMAESSearchAlgorithm",
    "ForeignSearchAlgorithm",
    "GeneticSearchAlgorithm",
    "GridSearchAlgorithm",
    "NotReadyError",
    "RandomSearchAlgorithm",
    "SearchAlgorithm",
    "SearchError",
    "Space",
    "SpaceError",
    "Suggestion",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
