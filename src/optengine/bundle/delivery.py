"""The four ways a shared bundle reaches a worker. Each pickles small and delivers once per process.

Mapped      sealed bundle on disk      every start method   attach by mmap; checks the fingerprint
Inherited   object loaded before fork  forked workers       others load it, if the loader can be sent
Loaded      loader sent to workers     every start method   one load per worker
Extracted   plain attributes sent      every start method   no methods, no open resources
"""

from __future__ import annotations

import os
import pickle
import secrets
import sqlite3
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from optengine.bundle.bundle import Bundle, Signature
from optengine.bundle.errors import BundleFormatError, OpenHandle, SharingError, StaleBundle
from optengine.bundle.handles import all_connections, describe, find_connections, unwatch, watch

Loader = Callable[[], Any]
OnStale = Literal["raise", "reload"]

_CUT = "give the loader methods detach(bundle) and attach(bundle) that close and reopen it, or use 'load'"


class Delivery(Protocol):
    """One way to bring the object to a process."""

    def preload(self) -> None:
        """Load what forked children shall inherit; called in the process that will fork them."""

    def get(self) -> Any:
        """The object in this process, the same at every call."""

    def close(self) -> None:
        """Let go of what this process holds."""


@dataclass
class _Entry:
    process: int
    held: Any
    signature: Signature = ()


_entries: dict[str, _Entry] = {}  # what this process (or, before the fork, its parent) holds, by token


def _mine(token: str) -> _Entry | None:
    entry = _entries.get(token)
    return entry if entry is not None and entry.process == os.getpid() else None


@dataclass(frozen=True)
class Mapped:
    """A sealed bundle, opened by path in every process."""

    path: str
    fingerprint: str
    signature: Signature
    on_stale: OnStale

    def preload(self) -> None:
        """Map and decode every table here: forked workers inherit the views instead of making them."""
        bundle = self.get()
        for name in bundle.tables:
            bundle.table(name)
            bundle.frame(name)
        sqlite3.connect(":memory:").close()  # sets up the library once; no handle stays open

    def get(self) -> Bundle:
        """The bundle. Raises StaleBundle (or reopens) when it was replaced, TamperedBundle when damaged."""
        token = f"{self.path}:{self.on_stale}:{self.fingerprint}"
        entry = _entries.get(token)  # an inherited one is as good: mapped views survive a fork
        if entry is None or entry.held.signature() != entry.signature:
            entry = _entries[token] = self._open()
        bundle: Bundle = entry.held
        return bundle

    def _open(self) -> _Entry:
        try:
            bundle = Bundle(self.path)
        except BundleFormatError as error:
            raise StaleBundle(self.path, self.fingerprint, "no bundle") from error
        if bundle.fingerprint != self.fingerprint and self.on_stale == "raise":
            raise StaleBundle(self.path, self.fingerprint, bundle.fingerprint)
        signature = bundle.signature()
        if signature != self.signature:
            bundle.verify()  # other files than those shared: a copy, a new version, or a change by hand
        return _Entry(os.getpid(), bundle, signature)

    def close(self) -> None:
        """Close this process's assets connection."""
        if (entry := _entries.pop(f"{self.path}:{self.on_stale}:{self.fingerprint}", None)) is not None:
            entry.held.close()


@dataclass
class Inherited:
    """An object loaded, and cut from its SQLite handles, before workers are forked."""

    loader: Loader | None
    origin: int = field(default_factory=os.getpid)
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    attached: int = 0

    def preload(self) -> None:
        """Load it here, unless done. Raises OpenHandle when it keeps an SQLite connection open."""
        if self.token not in _entries:
            loader = self._need_loader()
            adopt(self.token, *load_detached(loader))

    def get(self) -> Any:
        """The inherited object, reattached once in this process; loaded here if nothing was inherited."""
        entry = _entries.get(self.token)
        if entry is None:
            entry = _entries[self.token] = _Entry(os.getpid(), self._need_loader()())
        elif entry.process != os.getpid():
            attach = getattr(self.loader, "attach", None)
            if attach is not None:
                attach(entry.held)
            entry = _entries[self.token] = _Entry(os.getpid(), entry.held)
        elif os.getpid() == self.origin and hasattr(self.loader, "attach"):
            raise SharingError(
                "the process that forks the workers must not attach the bundle they inherit, "
                "its handles would cross the fork; call the loader for a copy of its own"
            )
        return entry.held

    def close(self) -> None:
        """Drop it from this process."""
        _entries.pop(self.token, None)

    def _need_loader(self) -> Loader:
        if self.loader is None:
            raise SharingError(
                f"this worker must be forked from process {self.origin}, which holds the bundle, because "
                "its loader cannot be pickled; use start_method='fork', or a loader that can be imported"
            )
        return self.loader

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "loader": PickledLoader.wrap(self.loader)}


@dataclass
class Loaded:
    """A loader that runs once in every process that asks."""

    loader: Loader
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    def preload(self) -> None:
        """Nothing to do: what is loaded per process must not be inherited."""

    def get(self) -> Any:
        """The object of this process. Its SQLite connections are guarded against forks until ``close``."""
        entry = _mine(self.token)
        if entry is None:
            known = all_connections()
            held = self.loader()
            watch(self.token, find_connections(held, known))
            entry = _entries[self.token] = _Entry(os.getpid(), held)
        return entry.held

    def close(self) -> None:
        """Drop it from this process, unless it was inherited: then it is not this process's to free."""
        if _mine(self.token) is not None:
            del _entries[self.token]
        unwatch(self.token)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "loader": PickledLoader.wrap(self.loader)}


@dataclass(frozen=True)
class Extracted:
    """The object's plain attributes, carried in the pickle itself."""

    metadata: Any

    def preload(self) -> None:
        """Nothing to do."""

    def get(self) -> Any:
        """The metadata."""
        return self.metadata

    def close(self) -> None:
        """Nothing to do."""


class PickledLoader:
    """A loader as bytes (of cloudpickle, which also sends lambdas); unpickling gives the loader itself."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    @classmethod
    def wrap(cls, loader: Loader | None) -> PickledLoader | None:
        """The loader ready to be sent, or None when it cannot be."""
        if loader is None:
            return None
        import cloudpickle

        try:
            return cls(cloudpickle.dumps(loader))
        except Exception:  # noqa: BLE001 - foreign __reduce__ methods may raise anything
            return None

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (self.content,)


def load_detached(loader: Loader) -> tuple[Any, list[sqlite3.Connection]]:
    """The loaded object after the loader's ``detach``, and the SQLite connections it still keeps open."""
    known = all_connections()
    held = loader()
    detach = getattr(loader, "detach", None)
    if detach is not None:
        detach(held)
    return held, find_connections(held, known)


def adopt(token: str, held: Any, connections: list[sqlite3.Connection]) -> None:
    """Keep ``held`` for forked children. Raises OpenHandle when it keeps SQLite connections open."""
    if connections:
        raise OpenHandle(sorted(map(describe, connections)), _CUT)
    _entries[token] = _Entry(os.getpid(), held)


def release_at_end(owner: object, token: str) -> None:
    """Drop what ``adopt`` kept when ``owner`` is garbage-collected."""
    weakref.finalize(owner, _entries.pop, token, None)
