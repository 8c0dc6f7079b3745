"""What can go wrong in an optimization as a whole; a failed evaluation is a record, not an error."""

from __future__ import annotations

from optengine.errors import EngineError


class OptimizeError(EngineError):
    """An optimization was configured or used against its rules."""


class JournalError(OptimizeError):
    """A checkpoint file is foreign, newer, damaged, in use, or belongs to another search."""


class TooManyFailuresError(OptimizeError):
    """More evaluations failed than the run allows; the history up to there is kept."""
