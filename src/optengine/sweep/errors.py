"""What can go wrong with a sweep as a whole; a point that fails is a row, not an error."""

from __future__ import annotations

from optengine.errors import EngineError


class SweepError(EngineError):
    """A sweep was asked for something that cannot be: data, grid, strategy or output."""
