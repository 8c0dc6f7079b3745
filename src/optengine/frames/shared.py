"""A DataFrame stored once and attached by any number of processes without a copy."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

from optengine.frames.errors import FrameError, SharedFrameClosed
from optengine.frames.ipc import map_batch, write_batch
from optengine.frames.segment import Address, Backing, Segment
from optengine.frames.stored import StoredFrame

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_CACHED = 16


@dataclass(frozen=True, slots=True)
class FrameHandle:
    """What a worker needs to attach a shared frame: an address. Small, immutable and picklable."""

    address: Address

    @property
    def nbytes(self) -> int:
        """Bytes of the shared memory."""
        return self.address.nbytes

    def get(self) -> pd.DataFrame:
        """The shared frame, attached; same as ``SharedFrame.attach(handle).frame``."""
        return SharedFrame.attach(self).frame

    def preload(self) -> None:
        """Attach and decode it in this process, a fork server, for the workers it will fork."""
        _ = SharedFrame.attach(self).frame


class SharedFrame:
    """Owner of a DataFrame in shared memory. The values are copied once, on creation, and never again.

    >>> with SharedFrame.create(prices) as shared:                          # doctest: +SKIP
    ...     pool.run_batch(backtest, [(shared.handle, p) for p in points])
    >>> def backtest(task):                                                 # doctest: +SKIP
    ...     prices = SharedFrame.attach(task[0]).frame

    Leaving the block, ``close()``, garbage collection, the end of the process and ``kill -9`` all release
    the memory.
    """

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._handle = FrameHandle(segment.address)

    @classmethod
    def create(cls, frame: pd.DataFrame, *, backing: Backing = "auto") -> SharedFrame:
        """A shared copy of ``frame``: numbers, booleans, strings, categories, times; any index of these.

        ``backing`` is "memory" (anonymous, sealed), "file" (named, for systems without memfd) or "auto".
        Raises UnsupportedColumn naming a column, index or label that has no shared form.
        """
        import pandas as pd

        from optengine.frames.encode import encode_frame

        if not isinstance(frame, pd.DataFrame):
            raise FrameError(
                f"SharedFrame.create takes a pandas DataFrame; received {type(frame).__name__}; "
                "use series.to_frame() for a Series, table.to_pandas() for an Arrow table"
            )
        batch = encode_frame(frame)
        return cls(Segment.create(lambda file: write_batch(batch, file), batch.nbytes, backing))

    @staticmethod
    def attach(handle: FrameHandle) -> AttachedFrame:
        """The frame behind ``handle``, in any process of this machine and user, in constant time.

        Attaching again in the same process reuses the mapping. Raises SharedFrameClosed when the owner
        closed the frame or ended.
        """
        if not isinstance(handle, FrameHandle):
            raise FrameError(
                f"attach takes the handle of a shared frame; received {handle!r}; pass SharedFrame.handle"
            )
        return AttachedFrame(handle, _mappings.get(handle.address))

    @property
    def handle(self) -> FrameHandle:
        """The picklable handle to send to workers."""
        return self._handle

    @property
    def nbytes(self) -> int:
        """Bytes of the shared memory."""
        return self._handle.nbytes

    @property
    def closed(self) -> bool:
        """True when this process no longer owns the memory."""
        return self._segment.closed

    def get(self) -> pd.DataFrame:
        """The shared frame as the owner's own read-only view."""
        return self._handle.get()

    def close(self) -> None:
        """Release the memory as soon as the last view in any process is gone. Closing twice is fine."""
        self._segment.close()

    def __enter__(self) -> SharedFrame:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SharedFrame stays with its owner; send SharedFrame.handle to the workers instead")

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"owner {self._handle.address.owner}"
        return f"<SharedFrame {self.nbytes} bytes, {state}>"


class AttachedFrame:
    """Read-only views of a shared frame in this process."""

    def __init__(self, handle: FrameHandle, stored: StoredFrame) -> None:
        self._handle = handle
        self._stored: StoredFrame | None = stored

    @property
    def frame(self) -> pd.DataFrame:
        """A new DataFrame over the shared, read-only values; keep it, each access makes another."""
        return self._open().frame()

    @property
    def table(self) -> pa.Table:
        """The values as an Arrow table: the columns, then the index levels."""
        return self._open().table

    @property
    def copied_columns(self) -> dict[str, str]:
        """Columns that had to be copied in this process: name -> reason."""
        return self._open().copied_columns

    @property
    def changed_dtypes(self) -> dict[str, str]:
        """Columns whose dtype differs from the owner's frame: name -> "old -> new"."""
        return self._open().changed_dtypes

    @property
    def nbytes(self) -> int:
        """Bytes of the shared memory."""
        return self._handle.nbytes

    def close(self) -> None:
        """Give up this attachment. Frames and tables taken from it stay valid. Closing twice is fine."""
        self._stored = None

    def _open(self) -> StoredFrame:
        if self._stored is None:
            raise SharedFrameClosed("this attachment is closed; call SharedFrame.attach(handle) again")
        return self._stored

    def __enter__(self) -> AttachedFrame:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Mappings:
    """The frames mapped by this process, most recent last; those without owner go at the next attach.

    A task attaches, works and returns; without this the next task would map and decode the same frame again.
    """

    def __init__(self) -> None:
        self._mapped: OrderedDict[Address, StoredFrame] = OrderedDict()
        self._renew_lock()
        # Another thread may hold the lock at the moment of a fork; the child has only its own.
        os.register_at_fork(after_in_child=self._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def get(self, address: Address) -> StoredFrame:
        with self._lock:
            for known in [known for known in self._mapped if not known.exists()]:
                del self._mapped[known]
            stored = self._mapped.get(address)
            if stored is None:
                stored = self._mapped[address] = map_segment(address)
            self._mapped.move_to_end(address)
            while len(self._mapped) > _CACHED:
                self._mapped.popitem(last=False)
            return stored


def map_segment(address: Address) -> StoredFrame:
    """A new mapping of the segment, not kept. Raises SharedFrameClosed when it is gone."""
    descriptor = address.open()
    try:
        return StoredFrame(map_batch(descriptor, address.path))
    finally:
        os.close(descriptor)


_mappings = _Mappings()
