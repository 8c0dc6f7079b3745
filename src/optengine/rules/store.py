"""The store of earlier results: one SQLite file that concurrent runs share and that a kill cannot damage.

Write-ahead logging with short transactions; the file is opened for each exchange and closed again, so no
handle is ever open while worker processes are started. Everything in it is JSON with a digest beside it; a
row whose digest does not fit is as good as absent, a file that is not a database is moved aside, and the run
is simply a cold one.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optengine.rules import digest
from optengine.rules.errors import RulesUsageError
from optengine.rules.snapshot import Version

FORMAT = 1
FILE_NAME = f"rules-{FORMAT}.sqlite3"
_BROKEN = f"rules-{FORMAT}.broken"
#: Everything a store may put into its folder.
FILE_NAMES = (FILE_NAME, *(f"{FILE_NAME}-{suffix}" for suffix in ("wal", "shm", "journal")), _BROKEN)
#: Results kept per rule and code: enough for switching between a few branches.
KEPT_PER_RULE = 8
_TABLES = """
CREATE TABLE IF NOT EXISTS entries (key TEXT, trace TEXT, body TEXT, sum TEXT, used INTEGER, PRIMARY KEY (key,
trace)); CREATE TABLE IF NOT EXISTS traces (digest TEXT PRIMARY KEY, body TEXT);
CREATE TABLE IF NOT EXISTS files (root TEXT, path TEXT, version TEXT, digest TEXT, PRIMARY KEY (root, path));
CREATE TABLE IF NOT EXISTS manifests (name TEXT PRIMARY KEY, body TEXT, sum TEXT);
CREATE TABLE IF NOT EXISTS timings (rule TEXT PRIMARY KEY, seconds REAL);
"""


@dataclass(frozen=True)
class Entry:
    """One stored result: the digest of its trace and its plain data."""

    trace: str
    body: dict[str, Any]


class Store:
    """Results, traces, file digests, manifests and timings of earlier runs, in one folder."""

    def __init__(self, folder: Path) -> None:
        """Use *folder*, made if need be.

        Raises:
            RulesUsageError: the folder cannot be made or written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:  # ValueError: a null character
            raise RulesUsageError(f"The cache folder must be writable; {str(folder)!r}: {error}.") from error
        self.path = folder / FILE_NAME
        self.moved_aside: Path | None = None
        try:
            with self._open() as connection:
                connection.executescript(_TABLES)
                # A damaged page opens well and fails when it is read, which would be in the middle of a run.
                if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                    raise sqlite3.DatabaseError("the store is damaged")
                _refuse_other_tables(connection)
        except sqlite3.OperationalError as error:
            raise RulesUsageError(f"The cache folder must be writable; {str(folder)!r}: {error}.") from error
        except sqlite3.DatabaseError:
            self.moved_aside = self.path.with_name(_BROKEN)
            self.path.replace(self.moved_aside)
            for suffix in ("-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            with self._open() as connection:
                connection.executescript(_TABLES)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=60, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            yield connection
        finally:
            connection.close()

    def _write(self, work: Callable[[sqlite3.Connection], object]) -> str | None:
        """Do *work* in one transaction; None, or why nothing was written (a full disk, a folder that is gone)."""
        try:
            with self._open() as connection:
                connection.execute("BEGIN IMMEDIATE")
                work(connection)
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            return str(error)
        return None

    def entries(self, keys: Iterable[str]) -> dict[str, list[Entry]]:
        """Stored results per key, latest first; keys without any are missing."""
        found: dict[str, list[Entry]] = {}
        with self._open() as connection:
            for some in _slices(list(keys)):
                marks = ",".join("?" * len(some))
                rows = connection.execute(
                    f"SELECT key, trace, body, sum FROM entries WHERE key IN ({marks}) "
                    "ORDER BY used DESC, rowid DESC",
                    some,
                )
                for key, trace, body, total in rows:
                    if digest.of_bytes(f"{key} {trace} {body}".encode()) == total:
                        found.setdefault(key, []).append(Entry(trace, json.loads(body)))
        return found

    def traces(self, wanted: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Traces by digest with all their parts; damaged or missing ones are left out."""
        found: dict[str, dict[str, Any]] = {}
        waiting = list(dict.fromkeys(wanted))
        with self._open() as connection:
            while waiting:
                following: set[str] = set()
                for some in _slices(waiting):
                    marks = ",".join("?" * len(some))
                    query = f"SELECT digest, body FROM traces WHERE digest IN ({marks})"
                    for name, body in connection.execute(query, some):
                        if digest.of_bytes(body.encode()) == name:
                            found[name] = json.loads(body)
                            following.update(found[name]["parts"])
                waiting = [name for name in following if name not in found]
        return found

    def save(
        self,
        results: Sequence[tuple[str, str, Mapping[str, Any]]],
        traces: Mapping[str, Mapping[str, Any]],
        timings: Mapping[str, float],
    ) -> str | None:
        """Add results as (key, digest of trace, data) in one transaction, and forget the oldest of each
        key. Returns None, or why nothing was written: the results themselves are not lost by that."""

        def add(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT OR IGNORE INTO traces VALUES (?, ?)",
                [(name, digest.canonical_json(body)) for name, body in traces.items()],
            )
            for key, trace, data in results:
                body = digest.canonical_json(data)
                total = digest.of_bytes(f"{key} {trace} {body}".encode())
                query = (
                    "INSERT OR REPLACE INTO entries SELECT ?, ?, ?, ?, COALESCE(MAX(used), 0) + 1 "
                    "FROM entries WHERE key = ?"
                )
                connection.execute(query, (key, trace, body, total, key))
                connection.execute(
                    "DELETE FROM entries WHERE key = ? AND trace NOT IN "
                    "(SELECT trace FROM entries WHERE key = ? ORDER BY used DESC, rowid DESC LIMIT ?)",
                    (key, key, KEPT_PER_RULE),
                )
            connection.executemany("INSERT OR REPLACE INTO timings VALUES (?, ?)", list(timings.items()))

        return self._write(add)

    def known_files(self, root: str) -> dict[str, tuple[Version, str]]:
        """Digests of files of *root* with the version they were computed for."""
        with self._open() as connection:
            rows = connection.execute("SELECT path, version, digest FROM files WHERE root = ?", (root,))
            return {path: (read, found) for path, version, found in rows if (read := _version(version))}

    def save_files(
        self, root: str, files: Mapping[str, tuple[Version, str]], gone: Iterable[str] = ()
    ) -> None:
        """Remember digests of files, and forget those that are *gone*; where that fails they are hashed again."""

        def add(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)",
                [
                    (root, path, " ".join(map(str, version)), found)
                    for path, (version, found) in files.items()
                ],
            )
            connection.executemany(
                "DELETE FROM files WHERE root = ? AND path = ?", [(root, path) for path in gone]
            )

        self._write(add)

    def manifest(self, name: str) -> Any:
        """The JSON data saved under *name*, or None."""
        try:
            with self._open() as connection:
                row = connection.execute("SELECT body, sum FROM manifests WHERE name = ?", (name,)).fetchone()
        except sqlite3.Error:
            return None
        return json.loads(row[0]) if row is not None and digest.of_bytes(row[0].encode()) == row[1] else None

    def save_manifest(self, name: str, data: object) -> None:
        """Keep JSON *data* under *name*; where that fails there is none."""
        body = digest.canonical_json(data)
        row = (name, body, digest.of_bytes(body.encode()))
        self._write(
            lambda connection: connection.execute("INSERT OR REPLACE INTO manifests VALUES (?, ?, ?)", row)
        )

    def timings(self) -> dict[str, float]:
        """Seconds each rule took last, by whatever name it was saved under."""
        with self._open() as connection:
            return dict(
                connection.execute("SELECT rule, seconds FROM timings WHERE seconds BETWEEN 0 AND 1e9")
            )


def _slices(values: Sequence[str], size: int = 500) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _refuse_other_tables(connection: sqlite3.Connection) -> None:
    """Raise DatabaseError where tables of these names hold something else."""
    try:
        connection.execute("SELECT key, trace, body, sum, used FROM entries LIMIT 0")
        connection.execute("SELECT digest, body FROM traces LIMIT 0")
        connection.execute("SELECT root, path, version, digest FROM files LIMIT 0")
        connection.execute("SELECT name, body, sum FROM manifests LIMIT 0")
        connection.execute("SELECT rule, seconds FROM timings LIMIT 0")
    except sqlite3.OperationalError as error:
        if "no such column" not in str(error):
            raise
        raise sqlite3.DatabaseError(f"the file holds other tables: {error}") from error


def _version(text: str) -> Version | None:
    """The version as it was saved; None where that is not four numbers."""
    try:
        size, mtime, ctime, inode = map(int, text.split())
    except (AttributeError, ValueError):
        return None
    return (size, mtime, ctime, inode)
