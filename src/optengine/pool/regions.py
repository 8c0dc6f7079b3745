"""Shared memory for large buffers: one anonymous file per direction and worker.

The writer (parent for arguments, worker for results) owns the space and hands out regions; the reader tells the
writer which regions it has finished with. The files have no name, so nothing can be left behind.

Pages are written with ``pwrite`` the first time, so that a full memory is an error and never a SIGBUS. From then on
they are warm: writing to them is a plain copy through a mapping, about three times as fast, and safe because the file
is sealed against shrinking. Where files cannot be sealed every write is a ``pwrite``.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import mmap
import os
import tempfile
import weakref
from typing import Any

from optengine.resources import exhaustion_told

_PAGE = 4096
_FIRST_SIZE = 1 << 21
# A copy through the mapping holds the interpreter lock: other threads get their turn between pieces.
_PIECE = 1 << 20


def anonymous_file(label: str) -> int:
    """Descriptor of an empty, nameless file in memory (an unlinked temporary file where there is no memfd)."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(label, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with tempfile.TemporaryFile(prefix=label) as file:
        return os.dup(file.fileno())


def _seal(descriptor: int) -> bool:
    """Keep the file from ever getting smaller, and whether that is so now."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    except (AttributeError, OSError):  # not Linux, or not a memfd
        return False
    return True


class RegionWriter:
    """Allocates regions of one file and fills them. Not thread-safe: one owner.

    At rest, with no region in use, it keeps at most ``limit`` bytes of memory; the rest goes back to the system.
    """

    def __init__(self, descriptor: int, *, limit: int) -> None:
        self.descriptor = descriptor
        self._limit = limit
        self._size = 0
        self._free: list[tuple[int, int]] = []
        self._used: dict[int, int] = {}
        self._sealed = _seal(descriptor)
        self._mapping: mmap.mmap | None = None
        self._warm = bytearray()  # one byte per page: 1 when it has been written and not given back since

    @property
    def used_bytes(self) -> int:
        """Bytes in regions not freed yet."""
        return sum(self._used.values())

    def put(self, buffer: memoryview | bytes) -> tuple[int, int] | None:
        """Copy ``buffer`` in and return its (offset, size); ``None`` when there is no room for it."""
        view = memoryview(buffer).cast("B")
        offset = self._allocate(view.nbytes)
        if offset is None:
            return None
        first, end = offset // _PAGE, -(-(offset + view.nbytes) // _PAGE)
        cold = self._warm.find(0, first, end)
        warm_bytes = 0 if self._mapping is None else view.nbytes if cold < 0 else (cold - first) * _PAGE
        try:
            self._copy(view[:warm_bytes], offset)
            self._write(view[warm_bytes:], offset + warm_bytes)
            self._warm[first:end] = b"\1" * (end - first)
        except OSError:  # memory is full: the buffer travels in the message
            self.free(offset)
            return None
        return offset, view.nbytes

    def close(self) -> None:
        """Let go of the mapping; the descriptor is its owner's to close."""
        if self._mapping is not None:
            self._mapping.close()
            self._mapping = None

    def _copy(self, view: memoryview, offset: int) -> None:
        for start in range(0, view.nbytes, _PIECE):
            piece = view[start : start + _PIECE]
            self._mapping[offset + start : offset + start + piece.nbytes] = piece  # type: ignore[index]

    def _write(self, view: memoryview, offset: int) -> None:
        done = 0
        while done < view.nbytes:
            done += os.pwrite(self.descriptor, view[done:], offset + done)

    def free(self, offset: int) -> None:
        """Make the region at ``offset`` available again; unknown offsets are ignored."""
        size = self._used.pop(offset, None)
        if size is None:
            return
        spans = sorted([*self._free, (offset, size)])
        merged: list[tuple[int, int]] = []
        for start, length in spans:
            if merged and merged[-1][0] + merged[-1][1] == start:
                merged[-1] = (merged[-1][0], merged[-1][1] + length)
            else:
                merged.append((start, length))
        self._free = merged
        if not self._used and self._size > self._limit:
            self._give_back()

    def _give_back(self) -> None:
        """Return the memory behind ``limit`` to the system; the file keeps its size."""
        kept = -(-self._limit // _PAGE)
        if self._mapping is None or self._warm.find(1, kept) < 0:
            return
        # A kernel that cannot: the memory stays in use until the worker ends.
        with contextlib.suppress(OSError):
            self._mapping.madvise(mmap.MADV_REMOVE, kept * _PAGE, self._size - kept * _PAGE)
            self._warm[kept:] = bytes(len(self._warm) - kept)

    def _allocate(self, size: int) -> int | None:
        size = max(_PAGE, -(-size // _PAGE) * _PAGE)
        for at, (start, length) in enumerate(self._free):
            if length >= size:
                if length == size:
                    del self._free[at]
                else:
                    self._free[at] = (start + size, length - size)
                self._used[start] = size
                return start
        # One buffer may always be as large as it likes; several at once stay below the limit.
        if self._used and self.used_bytes + size > self._limit:
            return None
        grown = max(_FIRST_SIZE, size, self._size)
        try:
            self._grow(self._size + grown)
        except OSError:  # memory or the size of files is limited: the buffer travels in the message
            return None
        start, self._size = self._size, self._size + grown
        self._used[start] = grown
        self.free(start)
        return self._allocate(size)

    def _grow(self, size: int) -> None:
        if self._mapping is not None:
            self._mapping.resize(size)  # keeps the pages mapped so far, which a new mapping would lose
        else:
            os.ftruncate(self.descriptor, size)
            if self._sealed:
                self._mapping = mmap.mmap(self.descriptor, size)
        self._warm.extend(bytes(size // _PAGE - len(self._warm)))


class RegionCopier:
    """Reads regions by copying them out (the parent's side)."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def take(self, offset: int, size: int) -> bytearray:
        """A fresh copy of the region. Raises ``EOFError`` if the file is shorter than promised."""
        copy = bytearray(size)
        view = memoryview(copy)
        done = 0
        while done < size:
            count = os.preadv(self.descriptor, [view[done:]], offset + done)
            if count == 0:
                raise EOFError(
                    f"a result region of {size} bytes must be complete; the worker's file ends early"
                )
            done += count
        return copy


class RegionMapper:
    """Reads regions without a copy (the worker's side): arrays lie directly in the shared memory.

    A region counts as released when the last object that looks into it is gone, which a weak reference
    observes; so a task may keep an argument as long as it likes.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.released: list[int] = []
        self._mapping: mmap.mmap | None = None
        self._watched: dict[int, weakref.ref[Any]] = {}

    def take(self, offset: int, size: int) -> Any:
        """A writable buffer over the region."""
        if self._mapping is None or offset + size > len(self._mapping):
            # The old mapping lives on for as long as buffers point into it.
            with exhaustion_told("taking an argument from shared memory"):
                self._mapping = mmap.mmap(self.descriptor, os.fstat(self.descriptor).st_size)
        window = (ctypes.c_char * size).from_buffer(self._mapping, offset)
        self._watched[offset] = weakref.ref(window, functools.partial(self._release, offset))
        return window

    def _release(self, offset: int, _: object) -> None:
        self._watched.pop(offset, None)
        self.released.append(offset)

    def drain(self) -> tuple[int, ...]:
        """Offsets released since the last call."""
        count = len(self.released)
        done = tuple(self.released[:count])
        del self.released[:count]
        return done
