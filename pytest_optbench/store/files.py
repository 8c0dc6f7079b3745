"""Files of a report folder: replaced whole or not at all, by one writer at a time, never outside the folder.

A file is written under a temporary name in the same folder, flushed to the disk and renamed over the old one,
so a reader, a crash or a full disk sees the old file or the new one. Whoever reads, decides and writes holds
`folder_lock`, an advisory lock on ``.optbench.lock`` that the system drops when its holder dies.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from .errors import StoreError

LOCK_NAME: Final = ".optbench.lock"
TEMPORARY_PREFIX: Final = ".optbench-"
TEMPORARY_SUFFIX: Final = ".tmp"
GENERATED_SUFFIXES: Final = (".json", ".md", ".svg", ".html", ".png")
LOCK_TIMEOUT_S: Final = 60.0
STALE_S: Final = 3600.0
"""Age after which a temporary file belongs to no living writer."""

_CURE: Final = (
    "choose a folder you can write: --optbench-report-dir=DIR or ini key optbench_report_dir in pytest, "
    "--report-dir=DIR of the optbench command, report_dir in the file of a campaign"
)


def check_writable(folder: Path) -> None:
    """Return when reports can be written to ``folder``, creating it; to be called before measuring.

    Raises StoreError naming the folder and the cure: it cannot be created, is no folder, cannot be written,
    or holds a symbolic link where a report would go.
    """
    with folder_lock(folder):
        for path in folder.iterdir():
            if path.name.endswith(GENERATED_SUFFIXES):
                _refuse_link(path)
        probe = f"probe-{os.getpid()}"
        replace(folder, probe, b"")
        (folder / probe).unlink()


def replace(folder: Path, name: str, data: bytes) -> Path:
    """Write ``data`` to the file ``name`` of ``folder``, whole or not at all; return its path.

    Raises StoreError when ``name`` is not a plain file name, a link stands in its place, or the system
    refuses; an earlier file is then untouched.
    """
    if not name or name != os.path.basename(name) or name in (".", "..") or "\0" in name or "\\" in name:  # noqa: PTH119
        raise StoreError(f"a report must be a plain file name inside {folder}, received {name!r}")
    path = folder / name
    _refuse_link(path)
    temporary = folder / f"{TEMPORARY_PREFIX}{os.getpid()}-{time.monotonic_ns():x}{TEMPORARY_SUFFIX}"
    try:
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(folder)
    except OSError as error:
        raise StoreError(f"the report {path} cannot be written: {_reason(error)}; {_CURE}") from error
    return path


def read(path: Path) -> bytes:
    """Return the contents of the regular file ``path``; links and devices are refused with StoreError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise StoreError(f"{path.name} is not a regular file")
            return stream.read()
    except OSError as error:
        reason = "it is a symbolic link" if error.errno == errno.ELOOP else _reason(error)
        raise StoreError(f"{path.name} cannot be read: {reason}") from error


@contextmanager
def folder_lock(folder: Path, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold ``folder``, created if need be, for one writer; waits for another up to ``timeout_s`` seconds.

    Not re-entrant. The lock is between processes and between threads. Raises StoreError when the folder
    cannot be written or another writer keeps it.
    """
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the report folder {folder} cannot be created: {_reason(error)}; {_CURE}"
        ) from error
    path = folder / LOCK_NAME
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        raise StoreError(
            f"the report folder {folder} cannot be written: {LOCK_NAME}: {_reason(error)}; {_CURE}"
        ) from error
    try:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise StoreError(
                        f"the report folder {folder} cannot be locked: {_reason(error)}"
                    ) from error
            if time.monotonic() >= deadline:
                raise StoreError(
                    f"the report folder {folder} must be free within {timeout_s:g} s, but another run holds "
                    f"{LOCK_NAME}; wait for it to end or give each run a report folder of its own"
                )
            time.sleep(0.02)
        _sweep(folder)
        yield
    finally:
        os.close(descriptor)


def _sweep(folder: Path) -> None:
    """Remove temporary files that a killed writer left behind."""
    oldest = time.time() - STALE_S
    for path in folder.glob(f"{TEMPORARY_PREFIX}*{TEMPORARY_SUFFIX}"):
        with suppress(OSError):  # another run was faster, or it is not ours to remove: it does no harm
            if path.lstat().st_mtime < oldest:
                path.unlink()


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise StoreError(
            f"a report must be a file inside its folder, but {path} is a symbolic link; "
            "remove the link, or choose another report folder"
        )


def _sync_folder(folder: Path) -> None:
    """Make the rename survive a power cut, where the file system can."""
    with suppress(OSError):  # network file systems know no such thing; the file itself is on the disk
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
