"""The measuring lock: sessions of one user on one machine take turns, or they would measure each other.

One small file in the system's folder for temporary files carries the lock. It is never deleted (deleting a
locked file lets two holders in), and the operating system frees the lock when its holder dies. Record locks
are used where there are any: unlike ``flock`` they are not inherited by worker processes, which may outlive
a session that was killed.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import MeasureError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

WAITING = "waiting for another measuring session on this machine"
_POLL_S = 0.1
_REPEAT_S = 30.0
_PID_AT = 1  # byte 0 is what is locked; Windows lets nobody read a locked byte

_in_process = threading.RLock()  # record locks do not keep threads of one process apart
_depth = 0


@contextmanager
def measuring_lock(waiting: Callable[[str], None] | None = None, path: Path | None = None) -> Iterator[None]:
    """Hold the lock for the body; wait for it as long as it takes.

    ``waiting`` receives one sentence when there is somebody to wait for, and again every 30 seconds. May be
    nested in one thread. ``path`` replaces the file. Raises `MeasureError` when the file cannot be trusted
    or opened.
    """
    global _depth
    with _in_process:
        if _depth:
            yield
            return
        descriptor = _open(lock_path() if path is None else path)
        try:
            _acquire(descriptor, waiting)
            _depth += 1
            try:
                yield
            finally:
                _depth -= 1
                _release(descriptor)
        finally:
            os.close(descriptor)


def lock_path() -> Path:
    """Return the file that carries the lock of this user."""
    if sys.platform == "win32":
        return Path(tempfile.gettempdir()) / "pytest-optbench.lock"
    # Not TMPDIR: two sessions with folders of their own still share the machine.
    folder = Path("/tmp")  # opened without following links, and checked
    if not os.access(folder, os.W_OK):
        folder = Path(tempfile.gettempdir())
    return folder / f"pytest-optbench-{os.geteuid()}.lock"


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise MeasureError(
            f"the measuring lock must be a file this user can open, received {path.name!r} in the folder for "
            f"temporary files: {error.strerror}; remove it"
        ) from error
    found = os.fstat(descriptor)
    foreign = sys.platform != "win32" and found.st_uid != os.geteuid()
    if not stat.S_ISREG(found.st_mode) or foreign or found.st_nlink != 1:
        os.close(descriptor)
        raise MeasureError(
            f"the measuring lock must be a plain file of this user, received {path.name!r} in the folder for "
            "temporary files, which is not; remove it"
        )
    return descriptor


def _acquire(descriptor: int, waiting: Callable[[str], None] | None) -> None:
    began = time.monotonic()
    announced = -_REPEAT_S
    while not _try(descriptor):
        waited = time.monotonic() - began
        if waiting is not None and waited - announced >= _REPEAT_S:
            announced = waited
            waiting(f"{WAITING}{_holder(descriptor)}")
        time.sleep(_POLL_S)
    os.lseek(descriptor, _PID_AT, os.SEEK_SET)
    os.write(descriptor, f"{os.getpid():<20}".encode())


def _holder(descriptor: int) -> str:
    os.lseek(descriptor, _PID_AT, os.SEEK_SET)
    pid = os.read(descriptor, 20).strip()
    return f" (process {pid.decode()})" if pid.isdigit() else ""


if sys.platform == "win32":

    def _try(descriptor: int) -> bool:
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _release(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:

    def _try(descriptor: int) -> bool:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def _release(descriptor: int) -> None:
        fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, 0)
