"""Errors of shared frames: a column that cannot be shared, a segment that is gone."""

from __future__ import annotations

from optengine.errors import EngineError


class FrameError(EngineError):
    """Base of every error raised by ``optengine.frames``."""


class UnsupportedColumn(FrameError, TypeError):
    """A column, index level or label that cannot be shared without changing its meaning.

    ``column`` is the label as text, ``reason`` what was found and how to convert it.
    """

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(column, reason)
        self.column = column
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.column} cannot be shared: {self.reason}"


class SharedFrameClosed(FrameError):
    """The shared memory behind a handle is gone: its owner closed it or ended."""


class FrameFormatError(FrameError, ValueError):
    """Bytes that should be a stored frame are not one this version can read."""
