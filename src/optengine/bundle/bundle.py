"""A sealed data bundle, opened."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from optengine.bundle.errors import BundleFormatError, StaleBundle, TamperedBundle, UnknownTable
from optengine.bundle.handles import AssetConnection, open_assets
from optengine.bundle.manifest import MANIFEST, read_manifest
from optengine.bundle.verify import locate, verify_files
from optengine.resources import exhaustion_told

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from optengine.bundle.build import Table
    from optengine.bundle.csv_tables import Files
    from optengine.frames.stored import StoredFrame

T = TypeVar("T")
Signature = tuple[tuple[int, int, int] | None, ...]


class Bundle:
    """Read-only tables and assets of a sealed directory. Opening reads the manifest; tables map on first use.

    >>> bundle = Bundle.build("markets.bundle", {"bars": bars}, assets=assets)     # doctest: +SKIP
    >>> bundle.frame("bars")["close"].mean()                                       # doctest: +SKIP
    >>> bundle.assets.execute("SELECT symbol FROM assets").fetchall()              # doctest: +SKIP

    A bundle pickles as its path and fingerprint: sending one to a worker reopens it there, or raises
    StaleBundle. Threads may share one.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        self._manifest = read_manifest(self.path)
        self.fingerprint = self._manifest.fingerprint
        self._watched = [str(self.path / file) for file in (MANIFEST, *sorted(self._manifest.files))]
        self._stored: dict[str, StoredFrame] = {}
        self._connection: AssetConnection | None = None

    @classmethod
    def build(
        cls,
        path: str | os.PathLike[str],
        tables: Mapping[str, Table],
        assets: pd.DataFrame | str | os.PathLike[str] | None = None,
        *,
        overwrite: bool = False,
    ) -> Bundle:
        """Seal ``tables`` (DataFrames, Arrow tables or Parquet paths) and ``assets`` at ``path``.

        ``assets`` is a DataFrame, stored as SQLite table "assets", or the path of an SQLite file. Building
        the same content again changes nothing. Raises BundleExists when other content is there, unless
        ``overwrite``, and BundleError naming a table that cannot be stored faithfully; either way the path
        is as it was before.
        """
        from optengine.bundle.build import build_bundle

        build_bundle(Path(path).absolute(), tables, assets, overwrite=overwrite)
        return cls(path)

    @classmethod
    def from_csv(
        cls,
        path: str | os.PathLike[str],
        files: Files,
        assets: pd.DataFrame | str | os.PathLike[str] | None = None,
        *,
        overwrite: bool = False,
    ) -> Bundle:
        """Like ``build``, from CSV files: a mapping of table names to paths, or paths (named by stem)."""
        from optengine.bundle.csv_tables import read_csv_files

        return cls.build(path, read_csv_files(files), assets, overwrite=overwrite)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Bundle:
        """The bundle at ``path``. Raises BundleFormatError when there is none or its manifest is unsafe."""
        return cls(path)

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables, sorted."""
        return tuple(sorted(self._manifest.arrow))

    @property
    def nbytes(self) -> int:
        """Bytes of the files workers map: Arrow tables and assets."""
        files = [*self._manifest.arrow.values(), *filter(None, [self._manifest.assets])]
        return sum(self._manifest.files[file].nbytes for file in files)

    def table(self, name: str) -> pa.Table:
        """Table ``name`` as a memory-mapped, zero-copy Arrow table: columns, then index levels if any."""
        return self._open(name).table

    def frame(self, name: str) -> pd.DataFrame:
        """Table ``name`` as a new DataFrame over the mapped, read-only values; writing into them raises."""
        return self._open(name).frame()

    def copied_columns(self, name: str) -> dict[str, str]:
        """Columns of ``frame(name)`` that could not be viewed in place: name -> reason."""
        return self._open(name).copied_columns

    def parquet(self, name: str) -> Path:
        """The path of table ``name`` as Parquet, for other tools."""
        return self._use(self._known(name, self._manifest.parquet), lambda file: file)

    @property
    def assets(self) -> sqlite3.Connection:
        """This process's own read-only connection to the assets; do not close it, use ``Bundle.close``.

        While it is open, ``os.fork`` in this process raises OpenHandle. Raises UnknownTable when there are
        no assets.
        """
        if self._manifest.assets is None:
            raise UnknownTable(f"the bundle at {str(self.path)!r} has no assets; build it with assets=...")
        connection = self._connection
        if connection is None or connection.closed or connection.owner != os.getpid():
            connection = self._connection = self._use(self._manifest.assets, open_assets)
        return connection

    def verify(self) -> None:
        """Hash every file. Raises TamperedBundle naming the first that differs from what was sealed."""
        verify_files(self.path, self._manifest)

    def signature(self) -> Signature:
        """Identity, size and time of the manifest and every file now: a cheap check for change."""
        found: list[tuple[int, int, int] | None] = []
        for file in self._watched:
            try:
                status = os.stat(file)  # noqa: PTH116 - asked for at every use; paths as objects cost more memory
                found.append((status.st_ino, status.st_size, status.st_mtime_ns))
            except OSError:  # gone or unreadable is a change: the next opening tells which
                found.append(None)
        return tuple(found)

    def close(self) -> None:
        """Close this process's connection to the assets, if open; it reopens on use. Tables stay valid."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def __enter__(self) -> Bundle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return reopen, (str(self.path), self.fingerprint)

    def __repr__(self) -> str:
        return f"<Bundle {self.fingerprint[:16]} tables={list(self.tables)} at {str(self.path)!r}>"

    def _open(self, name: str) -> StoredFrame:
        stored = self._stored.get(name)
        if stored is None:
            stored = self._stored[name] = self._map(self._known(name, self._manifest.arrow))
        return stored

    def _map(self, path: str) -> StoredFrame:
        from optengine.frames.errors import FrameFormatError
        from optengine.frames.ipc import map_batch
        from optengine.frames.stored import StoredFrame

        def opened(file: Path) -> StoredFrame:
            with file.open("rb") as stream:
                return StoredFrame(map_batch(stream.fileno(), file))

        try:
            return self._use(path, opened)
        except FrameFormatError as error:
            raise TamperedBundle(path, f"is not a readable table ({error})") from error

    def _use(self, path: str, function: Callable[[Path], T]) -> T:
        """What ``function`` makes of a file of the bundle, whose presence and size are checked first."""
        with exhaustion_told(f"opening {path!r} of a bundle", descriptors=2):
            return self._used(path, function)

    def _used(self, path: str, function: Callable[[Path], T]) -> T:
        for _ in range(3):  # the bundle may be replaced, even by the same content, between look and use
            file = locate(self.path, path)
            if file is not None:
                with contextlib.suppress(FileNotFoundError):
                    expected, found = self._manifest.files[path].nbytes, file.stat().st_size
                    if found != expected:
                        raise TamperedBundle(path, f"must have {expected} bytes; found {found}")
                    return function(file)
            current = read_manifest(self.path).fingerprint
            if current != self.fingerprint:
                raise StaleBundle(str(self.path), self.fingerprint, current)
        raise TamperedBundle(path, "is missing or not a plain file of the bundle")

    def _known(self, name: str, paths: Mapping[str, str]) -> str:
        if name not in paths:
            raise UnknownTable(f"table must be one of {list(self.tables)}; received {name!r}")
        return paths[name]


def reopen(path: str, fingerprint: str) -> Bundle:
    """The bundle at ``path``. Raises StaleBundle when it is gone or has another fingerprint."""
    try:
        bundle = Bundle(path)
    except BundleFormatError as error:
        raise StaleBundle(path, fingerprint, "no bundle") from error
    if bundle.fingerprint != fingerprint:
        raise StaleBundle(path, fingerprint, bundle.fingerprint)
    return bundle
