"""What can go wrong when a search is described or driven."""

from __future__ import annotations

from optengine.errors import EngineError


class SpaceError(EngineError, ValueError):
    """A search space, or a point of one, is not valid."""


class SearchError(EngineError, ValueError):
    """A search algorithm was configured or driven against its contract."""


class NotReadyError(SearchError):
    """The next point depends on results that have not been told yet."""
