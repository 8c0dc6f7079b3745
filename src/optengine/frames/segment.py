"""Memory that one process owns and others map read-only by an address that fits in a pickle.

    owner                                     worker (fork, forkserver or spawn)
    Segment.create(write) ── memfd, sealed    open_segment(address) ── read-only descriptor
    .address ─────────── pickle ───────────►  mmap
    .close()  closes the descriptor           mapping lives until its last view dies

Who cleans up: nobody has to. The memory is an anonymous file (``memfd_create``) without a name, reached
through ``/proc/<owner>/fd/<n>``; the kernel frees it when the owner is gone and the last view is dropped,
also after ``kill -9``. It is sealed, so no process can write to it or shorten it under a reader, and it
does not count against the size of /dev/shm. Where ``memfd_create`` or /proc is missing, a named file is
used: on /dev/shm if it fits, else in the temporary directory. The owner holds a lock on it; files whose
lock is free belong to a dead owner and are removed by the next owner.

A forked child closes the owner's descriptors it inherited and never removes the owner's file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from optengine.frames.errors import FrameError, SharedFrameClosed
from optengine.resources import exhaustion_told, told

Backing = Literal["auto", "memory", "file"]

_PREFIX = "optengine-"
_SUFFIX = ".frame"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a segment is: ``path`` to open, the owner's process id, and what the file must be."""

    path: str
    owner: int
    device: int
    inode: int
    nbytes: int

    def exists(self) -> bool:
        """True while the owner keeps the segment."""
        try:
            return self._matches(Path(self.path).stat())
        except OSError:  # the owner's end takes the path away, or gives its process id to another user
            return False

    def open(self) -> int:
        """A read-only descriptor. Raises SharedFrameClosed when the owner closed the segment or ended."""
        cause: OSError | None = None
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            exhausted = told(error, "attaching a shared frame")
            if exhausted is not None:  # of this process; the owner may well keep the segment
                raise exhausted from error
            cause = error
        else:
            if self._matches(os.fstat(descriptor)):
                return descriptor
            os.close(descriptor)
        raise SharedFrameClosed(
            f"a shared frame can be attached while its owner keeps it; process {self.owner} closed it or "
            f"ended ({self.path}); attach before SharedFrame.close()"
        ) from cause

    def _matches(self, found: os.stat_result) -> bool:
        return (found.st_dev, found.st_ino, found.st_size) == (self.device, self.inode, self.nbytes)


class Segment:
    """Owner of one segment; closing it, dropping it or ending the process releases it exactly once."""

    def __init__(self, descriptor: int, path: str, *, named: bool) -> None:
        found = os.fstat(descriptor)
        self.address = Address(path, os.getpid(), found.st_dev, found.st_ino, found.st_size)
        self._release = weakref.finalize(self, _release, os.getpid(), descriptor, path if named else None)
        _owned.add(self)

    @classmethod
    def create(cls, write: Callable[[BinaryIO], None], nbytes: int, backing: Backing = "auto") -> Segment:
        """A segment holding what ``write`` writes, about ``nbytes``.

        Raises ``ResourceExhausted`` when the system has no room or descriptor for it.
        """
        if backing not in ("auto", "memory", "file"):
            raise FrameError(f"backing must be 'auto', 'memory' or 'file'; received {backing!r}")
        with exhaustion_told(f"sharing about {nbytes:,} bytes", descriptors=3):
            if backing == "file" or (backing == "auto" and not _has_memory_files()):
                return cls._create_file(write, nbytes)
            return cls._create_memory(write)

    @classmethod
    def _create_memory(cls, write: Callable[[BinaryIO], None]) -> Segment:
        descriptor = os.memfd_create("optengine", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                write(file)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor, f"/proc/{os.getpid()}/fd/{descriptor}", named=False)

    @classmethod
    def _create_file(cls, write: Callable[[BinaryIO], None], nbytes: int) -> Segment:
        folder = _folder(nbytes)
        sweep(folder)
        path, descriptor = _locked_file(folder)
        try:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                write(file)
            os.fchmod(descriptor, 0o400)
        except BaseException:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        return cls(descriptor, str(path), named=True)

    @property
    def closed(self) -> bool:
        """True after ``close()``; and in a forked child, which never owns its parent's segments."""
        return not self._release.alive

    def close(self) -> None:
        """Release the segment. Existing views stay valid, later attaching is an error; twice is fine."""
        self._release()


_owned: weakref.WeakSet[Segment] = weakref.WeakSet()


def _release(owner: int, descriptor: int, path: str | None) -> None:
    if os.getpid() != owner:
        return
    if path is not None:
        Path(path).unlink(missing_ok=True)
    os.close(descriptor)


def _disown() -> None:
    """In a forked child: drop inherited descriptors, so that it does not keep the owner's memory alive."""
    for segment in list(_owned):
        if (finalizer := segment._release.detach()) is not None:
            with contextlib.suppress(OSError):  # the child may have closed it; nobody could be told here
                os.close(finalizer[2][1])
    _owned.clear()


os.register_at_fork(after_in_child=_disown)


def _has_memory_files() -> bool:
    return hasattr(os, "memfd_create") and Path(f"/proc/{os.getpid()}/fd").is_dir()


def _locked_file(folder: Path) -> tuple[Path, int]:
    while True:
        path = folder / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(8)}{_SUFFIX}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return path, descriptor
        os.close(descriptor)  # another owner's sweep came between creation and lock


def _folder(nbytes: int) -> Path:
    shared = Path("/dev/shm")
    with contextlib.suppress(OSError):  # no /dev/shm: then the temporary directory
        free = os.statvfs(shared)
        if os.access(shared, os.W_OK) and free.f_bavail * free.f_frsize > nbytes * 1.1 + 2**20:
            return shared
    return Path(tempfile.gettempdir())


def sweep(folder: Path) -> list[Path]:
    """Remove the named segments in ``folder`` whose owner is dead; the paths removed.

    An owner holds a lock for as long as it lives, so a free lock is proof even when its process id was
    reused.
    """
    removed = []
    for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        with contextlib.suppress(OSError):  # its owner lives, or another sweep was faster
            if path.stat().st_uid != os.getuid():
                continue
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                removed.append(path)
            finally:
                os.close(descriptor)
    return removed
