"""Any object with ``suggest``, ``update`` and ``is_complete`` as a search algorithm."""

from __future__ import annotations

from typing import Any

from optengine.search.base import SearchAlgorithm, Suggestion
from optengine.search.errors import SearchError


class ForeignSearchAlgorithm(SearchAlgorithm):
    """Drives a search written elsewhere, which knows points and scores but no trial numbers.

    By default one evaluation is in flight at a time, because such searches seldom survive a second
    ``suggest`` before the first ``update``; give ``ParallelOptimizer`` a larger ``window`` when this one
    does. A failed trial is reported by ``update(params, None)``. Reproducible only as far as the wrapped
    object is.
    """

    name = "foreign"
    window = 1

    def __init__(self, search: Any, seed: int = 0) -> None:
        missing = [
            name for name in ("suggest", "update", "is_complete") if not callable(getattr(search, name, None))
        ]
        if missing:
            raise SearchError(
                f"a search algorithm must have the methods suggest, update and is_complete; {search!r} lacks "
                f"{missing!r}"
            )
        super().__init__(n_iter=None, seed=seed)
        self.search = search

    def is_complete(self) -> bool:
        """Whether the wrapped search says so."""
        return bool(self.search.is_complete())

    def propose(self, trial_id: int) -> Suggestion:
        """See the base class."""
        return Suggestion(trial_id, dict(self.search.suggest()))

    def observe(self, suggestion: Suggestion, score: float | None) -> None:
        """See the base class."""
        self.search.update(suggestion.params, score)

    def config(self) -> dict[str, Any]:
        """See the base class."""
        return {"class": f"{type(self.search).__module__}.{type(self.search).__qualname__}"}
