"""Folders for the temporary files of a run, each with a record of its owner, so that the next run can clear up.

    <tmp>/optbench-XXXX/owner.json     who made it: process, its start time, its process namespace

The owner removes its folder; what a killed owner left is removed by whoever makes the next one. Only folders of
this user are looked at, links are never followed, and without a record of a dead owner nothing is touched.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

PREFIX: Final = "optbench-"
OWNER: Final = "owner.json"
_MOST_BYTES: Final = 4096


def make() -> Path:
    """Return a new folder that says whose it is, after removing those of owners that are gone."""
    prune()
    record = json.dumps(
        _me()
    )  # before the folder: one without a record would stay if this process were killed now
    home = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
    (home / OWNER).write_text(record, encoding="utf-8")
    return home


@contextmanager
def folder() -> Iterator[Path]:
    """Yield a folder as `make` makes it; it is gone afterwards."""
    home = make()
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def prune() -> list[Path]:
    """Remove the folders of this user whose owner is gone; return them."""
    try:
        found = sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))
    except OSError:
        return []
    gone = [home for home in found if _is_own_folder(home) and abandoned(home)]
    for home in gone:
        # Refuses links, and removes those inside, not what they lead to.
        shutil.rmtree(home, ignore_errors=True)
    return gone


def abandoned(home: Path) -> bool:
    """Return whether the process that made ``home`` is known to be gone."""
    if not home.exists():
        return True
    try:
        owner = json.loads(_record(home / OWNER))
        pid, started, space = int(owner["pid"]), float(owner["started"]), owner["namespace"]
    except (OSError, ValueError, KeyError, TypeError):
        return False  # just being made, or not ours: never remove on a guess
    if space != _namespace():
        return False  # a process of another container cannot be looked up from here
    import psutil

    try:
        return bool(abs(psutil.Process(pid).create_time() - started) > 1.0)
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def _is_own_folder(home: Path) -> bool:
    try:
        found = home.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def _record(path: Path) -> str:
    """Return the text of a regular file that is no link and no larger than a record."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, encoding="utf-8") as file:  # noqa: PTH123 - no path: a descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{OWNER} must be a regular file")
        return file.read(_MOST_BYTES)


def _me() -> dict[str, Any]:
    import psutil

    return {"pid": os.getpid(), "started": psutil.Process().create_time(), "namespace": _namespace()}


def _namespace() -> str:
    """Return what tells apart the process tables of containers that share a file system."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 (no path: pid:[4026531836])
    except OSError:
        return ""
