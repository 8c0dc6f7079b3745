"""Errors of the operating system that mean "there is no more of it", told with the limit behind them and the cure.

The number of an error alone helps nobody: "[Errno 11] Resource temporarily unavailable" of a fork means processes.
"""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from optengine.cpus import own_cgroups
from optengine.errors import ResourceExhausted

_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, getattr(errno, "ETOOMANYREFS", errno.EMFILE))
_SPACE = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
_NO_THREAD = "can't start new thread"  # CPython's words for a refused thread, which has no error number


def told(error: BaseException, doing: str, *, descriptors: int = 1) -> ResourceExhausted | None:
    """``error`` as a ``ResourceExhausted`` that names the limit and the cure; ``None`` for any other error.

    ``doing`` begins the sentence ("starting a pool of 4 workers"), ``descriptors`` is how many open files that takes.
    """
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, ResourceExhausted):
        return error
    if number in _DESCRIPTORS:
        return ResourceExhausted(number, _no_descriptor(doing, descriptors, system=number == errno.ENFILE))
    if number == errno.EAGAIN or (isinstance(error, RuntimeError) and _NO_THREAD in str(error)):
        return ResourceExhausted(errno.EAGAIN, _no_process(doing, error))
    if number == errno.ENOMEM or isinstance(error, MemoryError):
        return ResourceExhausted(
            errno.ENOMEM,
            f"{doing} needs memory that the system refuses ({_words(error)}): RLIMIT_AS, the address space of one "
            f"process, is {_limit(resource.RLIMIT_AS)}; raise it (ulimit -v), free memory, or use fewer workers",
        )
    if number in _SPACE:
        return ResourceExhausted(
            number,
            f"{doing} needs room that the system refuses ({_words(error)}): RLIMIT_FSIZE, the size of one file, is "
            f"{_limit(resource.RLIMIT_FSIZE)}; raise it (ulimit -f), or free space on the file system and in memory",
        )
    return None


@contextmanager
def exhaustion_told(doing: str, *, descriptors: int = 1) -> Iterator[None]:
    """Raise what :func:`told` makes of an error of the block; other errors pass as they are."""
    try:
        yield
    except (OSError, RuntimeError, MemoryError) as error:
        found = told(error, doing, descriptors=descriptors)
        if found is None or found is error:
            raise
        raise found from error


def make_sure_of_descriptors(count: int) -> None:
    """Raise ``OSError`` unless ``count`` more files can be open here, for callees that would leak the first of them."""
    with ExitStack() as undo:
        for _ in range(count // 2):
            for end in os.pipe():
                undo.callback(os.close, end)


def _no_descriptor(doing: str, descriptors: int, *, system: bool) -> str:
    needed = f"{doing} needs {descriptors} file descriptors, more than are left"
    if system:
        return f"{needed} on this machine (fs.file-max); raise that, or close files of other programs"
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return (
        f"{needed} to this process: RLIMIT_NOFILE is {_limit(resource.RLIMIT_NOFILE)}; raise it "
        f"(ulimit -n {soft + max(descriptors, soft)}), close files, or use fewer workers"
    )


def _no_process(doing: str, error: BaseException) -> str:
    # The tightest limit is that of the control group as often as the user's.
    group = next(
        (text for path in own_cgroups("pids") if (text := _read(path / "pids.max")) not in ("", "max")),
        "none",
    )
    space = _limit(resource.RLIMIT_AS)  # a thread without room for its stack is refused with the same words
    return (
        f"{doing} needs another process or thread, which the system refuses ({_words(error)}): RLIMIT_NPROC, for all "
        f"processes and threads of this user, is {_limit(resource.RLIMIT_NPROC)}, pids.max of the control group is "
        f"{group}{'' if space == 'unlimited' else f', RLIMIT_AS is {space}'}; raise it (ulimit -u"
        f"{'' if space == 'unlimited' else ' or -v'}), end other processes, or use fewer workers"
    )


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:  # not every group has the controller, and an error's text must not raise another error
        return ""


def _limit(which: int) -> str:
    soft, hard = (
        "unlimited" if value == resource.RLIM_INFINITY else str(value) for value in resource.getrlimit(which)
    )
    return soft if soft == hard else f"{soft} (at most {hard})"


def _words(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
