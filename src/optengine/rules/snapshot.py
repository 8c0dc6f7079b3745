"""File contents as rules see them: read from the disk, or from a segment that another process filled.

Both give the same bytes and the same digests; only where the bytes come from differs.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from optengine.rules import alarm, digest
from optengine.rules.tree import Entry, FileIndex

CONTENT_CACHE_BYTES = 256 * 1024 * 1024
#: A file changed less than this long ago may change again within one tick of its time stamp.
RACY_NS = 2_000_000_000

Version = tuple[int, int, int, int]


class Snapshot(Protocol):
    """The tree at one moment."""

    index: FileIndex

    def content(self, path: str) -> bytes:
        """Bytes of the file *path* (normalised). Raises OSError like ``open`` would."""

    def file_digest(self, path: str) -> str:
        """Digest of the file's bytes, or its kind (``absent``, ``dir``...) when it is not a file."""


def refuse(path: str, kind: str) -> OSError:
    """The error for reading *path*, which is not a file."""
    if kind == "absent":
        return FileNotFoundError(2, "No such file below the validated root", path)
    if kind == "dir":
        return IsADirectoryError(21, "Is a directory", path)
    return OSError(22, f"Only files can be read through the context; this is a {kind}", path)


class DiskSnapshot:
    """Contents read from the disk when first asked for, and kept up to a limit.

    ``known`` maps paths to (version, digest) from earlier runs and ``trusted`` maps paths to digests that
    need no check; ``learned`` collects what this run found out, for the next one.
    """

    def __init__(
        self,
        root: Path,
        index: FileIndex,
        known: Mapping[str, tuple[Version, str]] | None = None,
        trusted: Mapping[str, str] | None = None,
    ) -> None:
        self.root = root
        self.index = index
        self.known = known or {}
        self.learned: dict[str, tuple[Version, str]] = {}
        self.hashed = 0
        self._digests: dict[str, str] = dict(trusted or {})
        self._news: list[str] = []
        self._news_hashed = 0
        self._contents: dict[str, bytes] = {}
        self._kept_bytes = 0
        self._lock = threading.Lock()

    def content(self, path: str) -> bytes:
        """Bytes of the file; see :class:`Snapshot`."""
        found = self._contents.get(path)
        if found is not None:
            return found
        kind = self.index.kind(path)
        if kind != "file":
            raise refuse(path, kind)
        try:
            with alarm.muted(), (self.root / path).open("rb") as file:
                data = file.read()
                info = os.fstat(file.fileno())
        except OSError as error:
            # What is recorded is this failure, also when the file is there again a moment later.
            self._digests[path] = f"unreadable:{error.errno}"
            raise
        with self._lock:
            if path in self._contents:
                return self._contents[path]
            self._digests[path] = digest.of_bytes(data)
            self._news.append(path)
            self.hashed += 1
            version = (info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino)
            if time.time_ns() - max(info.st_mtime_ns, info.st_ctime_ns) > RACY_NS and info.st_size == len(
                data
            ):
                self.learned[path] = (version, self._digests[path])
            if self._kept_bytes + len(data) <= CONTENT_CACHE_BYTES:
                self._contents[path] = data
                self._kept_bytes += len(data)
        return data

    def file_digest(self, path: str) -> str:
        """Digest of the file's bytes; read only when neither stat nor an earlier read tells it."""
        entry = self.index.entries.get(path, Entry("absent"))
        if entry.kind != "file":
            return entry.kind
        found = self._digests.get(path)
        if found is not None:
            return found
        remembered = self.known.get(path)
        if remembered is not None and remembered[0] == entry.version:
            self._digests[path] = remembered[1]
            self._news.append(path)
            self.learned[path] = remembered
            return remembered[1]
        try:
            self.content(path)
        except OSError as error:
            return f"unreadable:{error.errno}"
        return self._digests[path]

    def news(self) -> tuple[list[tuple[str, str, Version | None]], int]:
        """Digests found since the last call, with the version where it is known for certain, and files hashed."""
        fresh, self._news = self._news, []
        hashed, self._news_hashed = self.hashed - self._news_hashed, self.hashed
        return [(path, self._digests[path], self.learned.get(path, (None,))[0]) for path in fresh], hashed

    def take(self, news: Iterable[Sequence[Any]], hashed: int) -> None:
        """Take over the :meth:`news` of a snapshot that was copied from this one."""
        for path, found, version in news:
            self._digests[path] = found
            if version is not None:
                self.learned[path] = (tuple(version), found)
        self.hashed += hashed

    def forget_contents(self) -> None:
        """Free the kept bytes; digests stay."""
        with self._lock:
            self._contents.clear()
            self._kept_bytes = 0
