"""SQLite handles and forks: a handle that is open in a process must not be carried into its forked child.

SQLite forbids even closing an inherited handle (its locks and caches belong to the parent). So:

* every process opens its own (``Bundle.assets``);
* while one is open in this process, ``os.fork`` raises ``OpenHandle`` before anything is forked. This is
done by an
  audit hook, because exceptions in ``os.register_at_fork`` hooks are only printed. Spawning and fork
  servers are not affected: they execute a new program;
* should a handle cross all the same (a fork from C code), the child refuses to use it and never closes it.
"""

from __future__ import annotations

import gc
import os
import sqlite3
import sys
import types
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from optengine.bundle.errors import OpenHandle

_CURE = "call close() on the bundle before starting forked workers, or use start_method='forkserver'"


class AssetConnection(sqlite3.Connection):
    """A read-only connection that belongs to the process that opened it."""

    path: str
    owner: int
    closed = False

    def _require_owner(self) -> None:
        if os.getpid() != self.owner:
            raise OpenHandle(
                [self.path], f"process {self.owner} opened it, process {os.getpid()} must use Bundle.assets"
            )

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """A new cursor. Raises OpenHandle in a process that merely inherited the connection."""
        self._require_owner()
        return super().cursor(*args, **kwargs)

    def execute(self, *args: Any) -> sqlite3.Cursor:
        """Run one statement. Raises OpenHandle in a process that merely inherited the connection."""
        self._require_owner()
        return super().execute(*args)

    def close(self) -> None:
        """Close it, in the process that opened it; elsewhere do nothing."""
        if os.getpid() == self.owner:
            self.closed = True
            super().close()

    def __del__(self) -> None:
        if os.getpid() == self.owner:
            self.close()
        else:
            _inherited.append(self)  # keeps it alive: freeing it would close it


_ours: weakref.WeakSet[AssetConnection] = weakref.WeakSet()
_watched: dict[str, tuple[int, list[sqlite3.Connection]]] = {}
_inherited: list[AssetConnection] = []
_guarded = False


def open_assets(path: Path) -> AssetConnection:
    """A read-only connection of this process to a sealed database.

    ``immutable`` switches off locks and change detection, which is right only because sealed files never
    change.
    """
    _guard_forks()
    path.stat()  # SQLite would only say "unable to open database file"
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode=ro&immutable=1",
        uri=True,
        factory=AssetConnection,
        # Python's lock around the connection makes it usable from several threads when SQLite is serialized.
        check_same_thread=sqlite3.threadsafety < 3,
    )
    connection.path, connection.owner = str(path), os.getpid()
    connection.execute("PRAGMA query_only=1")
    connection.execute("PRAGMA mmap_size=268435456")
    _ours.add(connection)
    return connection


def open_handles() -> list[str]:
    """The databases with a handle open in this process, which must not fork now; empty when it may."""
    mine = [handle.path for handle in _ours if not handle.closed and handle.owner == os.getpid()]
    for owner, connections in _watched.values():
        if owner == os.getpid():
            mine += [describe(connection) for connection in connections if is_open(connection)]
    return sorted(mine)


def require_no_open_handles() -> None:
    """Raise OpenHandle when a fork now would carry an open SQLite handle into the child."""
    if handles := open_handles():
        raise OpenHandle(handles, _CURE)


def watch(key: str, connections: list[sqlite3.Connection]) -> None:
    """Also guard ``connections``, found in a foreign object, until ``unwatch(key)``."""
    if connections:
        _guard_forks()
        _watched[key] = os.getpid(), connections


def unwatch(key: str) -> None:
    """Stop guarding what ``watch`` was given under ``key``."""
    _watched.pop(key, None)


def find_connections(
    held: Any, known: Iterable[sqlite3.Connection] | None = None
) -> list[sqlite3.Connection]:
    """The open SQLite connections that ``held`` keeps: reachable from it, or not in ``known``.

    Looks through containers, attributes and closures as the garbage collector sees them, not into modules,
    classes or the globals of functions. What an extension type hides from the collector is found by
    ``known`` only, taken before it was loaded.
    """
    candidates = {id(connection): connection for connection in all_connections()}
    if not candidates:
        return []
    found: dict[int, sqlite3.Connection] = {}
    if known is not None:
        before = {id(connection) for connection in known}
        found = {key: connection for key, connection in candidates.items() if key not in before}
    seen: set[int] = set()
    queue = [held]
    while queue and len(found) < len(candidates):
        item = queue.pop()
        if id(item) in seen or isinstance(item, (type, types.ModuleType)):
            continue
        seen.add(id(item))
        if id(item) in candidates:
            found[id(item)] = candidates[id(item)]
        elif isinstance(item, types.FunctionType):
            queue += [*(item.__closure__ or ()), item.__defaults__, item.__kwdefaults__]
        else:
            queue += gc.get_referents(item)
    return list(found.values())


def all_connections() -> list[sqlite3.Connection]:
    """Every open SQLite connection in this process."""
    return [item for item in gc.get_objects() if isinstance(item, sqlite3.Connection) and is_open(item)]


def is_open(connection: sqlite3.Connection) -> bool:
    """True until the connection is closed; safe from any thread."""
    try:
        _ = connection.total_changes
    except sqlite3.ProgrammingError:
        return False
    return True


def describe(connection: sqlite3.Connection) -> str:
    """The path of the connection's database, for messages."""
    try:
        return str(connection.execute("PRAGMA database_list").fetchone()[2]) or "a database in memory"
    except sqlite3.Error:  # only its own thread may ask it
        return "a database of another thread"


def _guard_forks() -> None:
    global _guarded
    if not _guarded:
        _guarded = True
        sys.addaudithook(_refuse_fork)


def _refuse_fork(event: str, _: tuple[Any, ...]) -> None:
    if event in ("os.fork", "os.forkpty"):
        require_no_open_handles()
