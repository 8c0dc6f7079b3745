"""Share a bundle with workers: created once, pickled to each worker, got there, whatever the start method."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, get_args

from optengine.bundle.bundle import Bundle
from optengine.bundle.delivery import (
    Delivery,
    Extracted,
    Inherited,
    Loaded,
    Loader,
    Mapped,
    OnStale,
    PickledLoader,
    adopt,
    load_detached,
    release_at_end,
)
from optengine.bundle.errors import BundleClosed, SharingError
from optengine.bundle.handles import describe
from optengine.bundle.metadata import extract_metadata

Strategy = Literal["mmap", "fork", "load", "metadata"]
Source = str | os.PathLike[str] | Bundle | Loader


class SharedBundle:
    """A bundle on its way to workers. Pickle it to each worker; ``get()`` there returns the bundle.

    >>> with SharedBundle.create("markets.bundle") as shared:                        # doctest: +SKIP
    ...     with PersistentWorkerPool(shared={"bundle": shared}) as pool: ...
    >>> shared.strategy, shared.reason                                               # doctest: +SKIP
    """

    def __init__(self, strategy: Strategy, reason: str, delivery: Delivery) -> None:
        self.strategy = strategy
        self.reason = reason
        self._delivery: Delivery | None = delivery

    @classmethod
    def create(
        cls,
        source: Source,
        strategy: Strategy | Literal["auto"] = "auto",
        *,
        on_stale: OnStale = "raise",
        metadata: Loader | None = None,
    ) -> SharedBundle:
        """Share the sealed bundle at a path, or whatever a loader (a callable without arguments) returns.

        * "mmap": a sealed bundle; every process maps the same files, nothing is loaded or copied.
        * "fork": loaded here now, inherited by workers forked from this process; others load it themselves.
        * "load": every worker calls the loader once.
        * "metadata": only the plain attributes of the object are sent, as ``BundleMetadata``, or what the
          function ``metadata`` makes of the object.
        * "auto": the first of these that can work; ``reason`` says why.

        A loader may have methods ``detach(bundle)``, called after loading and before forking, and
        ``attach(bundle)``, called once in each forked worker, to close and reopen what must not cross a fork.
        ``on_stale`` says what a worker does when the sealed bundle was replaced meanwhile: raise StaleBundle,
        or "reload" the new one.

        Raises SharingError when the strategy cannot work, OpenHandle when connections would cross a fork.
        """
        if strategy != "auto" and strategy not in get_args(Strategy):
            raise SharingError(
                f"strategy must be one of {('auto', *get_args(Strategy))}; received {strategy!r}"
            )
        if on_stale not in get_args(OnStale):
            raise SharingError(f"on_stale must be one of {get_args(OnStale)}; received {on_stale!r}")
        if isinstance(source, (str, os.PathLike, Bundle)):
            return cls._share_sealed(source, strategy, on_stale)
        if not callable(source):
            raise SharingError(
                f"share the path of a sealed bundle, a Bundle, or a callable that loads one; "
                f"received {source!r}"
            )
        if strategy == "mmap":
            raise SharingError("strategy 'mmap' needs a sealed bundle; received a loader; see Bundle.build")
        if strategy == "load":
            return cls._share_loader(source)
        return cls._share_loaded(source, strategy, on_stale, metadata)

    @classmethod
    def _share_sealed(
        cls, source: str | os.PathLike[str] | Bundle, strategy: str, on_stale: OnStale
    ) -> SharedBundle:
        bundle = source if isinstance(source, Bundle) else Bundle(source)
        if strategy in ("auto", "mmap"):
            delivery = Mapped(str(bundle.path), bundle.fingerprint, bundle.signature(), on_stale)
            reason = "it is a sealed bundle: every process maps its files, whatever the start method"
            return cls("mmap", reason, delivery)
        if strategy == "metadata":
            raise SharingError("a sealed bundle is shared whole; use strategy 'mmap' instead of 'metadata'")
        loader = functools.partial(Bundle, str(bundle.path))
        if strategy == "load":
            return cls._share_loader(loader)
        return cls._share_loaded(loader, strategy, on_stale, None)

    @classmethod
    def _share_loader(cls, loader: Loader, why: str = "it was asked for") -> SharedBundle:
        if PickledLoader.wrap(loader) is None:
            raise SharingError(f"strategy 'load' needs a loader that can be pickled; received {loader!r}")
        return cls("load", f"{why}: every worker calls the loader once", Loaded(loader))

    @classmethod
    def _share_loaded(
        cls, loader: Loader, strategy: str, on_stale: OnStale, metadata: Loader | None
    ) -> SharedBundle:
        held, connections = load_detached(loader)
        if strategy == "auto" and isinstance(held, (str, Path, Bundle)):
            return cls._share_sealed(held, "mmap", on_stale)
        if strategy == "metadata":
            return cls._share_metadata(held, metadata, "it was asked for")
        sendable = PickledLoader.wrap(loader) is not None
        obstacle = None
        if not hasattr(os, "fork"):
            obstacle = "this platform cannot fork"
        elif connections:
            names = ", ".join(sorted(map(describe, connections)))
            obstacle = f"it keeps SQLite connections open ({names}), which must not cross a fork"
        elif sys.platform != "linux" and sendable:
            obstacle = "system libraries are not safe to fork on this platform"
        if strategy == "fork" or obstacle is None:
            shared = cls._share_inherited(loader, held, connections, sendable)
        elif sendable:
            shared = cls._share_loader(loader, obstacle)
        else:
            shared = cls._share_metadata(held, metadata, f"{obstacle}, and its loader cannot be pickled")
        return shared

    @classmethod
    def _share_inherited(
        cls, loader: Loader, held: Any, connections: list[Any], sendable: bool
    ) -> SharedBundle:
        delivery = Inherited(loader)
        adopt(delivery.token, held, connections)
        others = "load it once each" if sendable else "cannot have it: the loader cannot be pickled"
        reason = f"loaded in process {os.getpid()} and inherited by workers forked from it; others {others}"
        shared = cls("fork", reason, delivery)
        release_at_end(shared, delivery.token)
        return shared

    @classmethod
    def _share_metadata(cls, held: Any, metadata: Any, why: str) -> SharedBundle:
        extracted = metadata(held) if metadata is not None else extract_metadata(held)
        return cls("metadata", f"{why}: only its plain attributes are sent", Extracted(extracted))

    @property
    def fingerprint(self) -> str | None:
        """The fingerprint of the sealed bundle that is shared; None for what a loader returns."""
        return getattr(self._open(), "fingerprint", None)

    @property
    def rechecks(self) -> bool:
        """Whether ``get()`` must be called for every use: a sealed bundle may be replaced while workers are kept."""
        return isinstance(self._delivery, Mapped)

    @property
    def closed(self) -> bool:
        """True after ``close()``."""
        return self._delivery is None

    def get(self) -> Any:
        """The bundle in this process, the same at every call; a sealed one is checked for change each time.

        Raises StaleBundle or TamperedBundle when the bundle on disk is not the one shared, SharingError
        when it cannot reach this process, BundleClosed after ``close()``.
        """
        return self._open().get()

    def preload(self) -> None:
        """Load what forked workers shall inherit; for a fork server, the creator has done it already."""
        self._open().preload()

    def close(self) -> None:
        """Let go of it in this process; workers keep theirs until they end. Closing twice is fine."""
        if self._delivery is not None:
            self._delivery.close()
        self._delivery = None

    def _open(self) -> Delivery:
        if self._delivery is None:
            raise BundleClosed("a shared bundle cannot be used after close(); create it again")
        return self._delivery

    def __enter__(self) -> SharedBundle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        self._open()
        return vars(self)

    def __repr__(self) -> str:
        return f"<SharedBundle {'closed' if self.closed else self.strategy}>"
