"""The validated tree as a recorded ``Traversable``: what checks written for other tools expect as their
root."""

from __future__ import annotations

import io
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from typing import IO, TYPE_CHECKING, Any

from optengine.rules.tree import normal_path

if TYPE_CHECKING:
    from optengine.rules.context import FileView


class RecordedPath(Traversable):
    """One path of the tree; every look goes through the context's file view and is recorded there."""

    def __init__(self, files: FileView, path: str = ".") -> None:
        self._files = files
        self._path = path

    @property
    def name(self) -> str:
        """Last part of the path; empty for the root."""
        return "" if self._path == "." else self._path.rpartition("/")[2]

    def iterdir(self) -> Iterator[RecordedPath]:
        """Everything in this folder, sorted by name."""
        return (self.joinpath(name) for name in self._files.listdir(self._path))

    def joinpath(self, *descendants: Any) -> RecordedPath:
        """A path below this one."""
        return RecordedPath(self._files, normal_path("/".join([self._path, *map(str, descendants)])))

    def __truediv__(self, child: Any) -> RecordedPath:
        """Same as :meth:`joinpath`."""
        return self.joinpath(child)

    def is_dir(self) -> bool:
        """Whether a folder is there."""
        return self._files.is_dir(self._path)

    def is_file(self) -> bool:
        """Whether a file is there."""
        return self._files.is_file(self._path)

    def exists(self) -> bool:
        """Whether anything is there."""
        return self._files.exists(self._path)

    def read_bytes(self) -> bytes:
        """Content of the file."""
        return self._files.read_bytes(self._path)

    def read_text(self, encoding: str | None = None) -> str:
        """Text of the file, UTF-8 unless said otherwise."""
        return self._files.read(self._path, encoding or "utf-8")

    def open(self, mode: str = "r", *_: Any, encoding: str | None = None, **__: Any) -> IO[Any]:
        """A readable stream. Raises ValueError for any mode that writes."""
        if mode == "rb":
            return io.BytesIO(self.read_bytes())
        if mode in ("r", "rt"):
            return io.StringIO(self.read_text(encoding))
        raise ValueError(f"The validated tree is read-only: mode must be 'r' or 'rb'; received {mode!r}.")

    def glob(self, pattern: str) -> Iterator[RecordedPath]:
        """Paths below this one that match *pattern*."""
        whole = pattern if self._path == "." else f"{self._path}/{pattern}"
        return (RecordedPath(self._files, found) for found in self._files.glob(whole))

    def __str__(self) -> str:
        """The path relative to the root."""
        return self._path
