"""Anonymous files that other processes open by path and that vanish with their owner, also on ``kill -9``.

On Linux a file made by ``memfd_create`` has no name in any folder; other processes of the same user open it
through ``/proc/<owner>/fd/<number>``. Where that does not exist a temporary file is used and removed by the
owner on close.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import tempfile
from pathlib import Path
from typing import Self

_numbers = itertools.count(1)


def open_scratch(path: str, name: str, flags: int) -> int:
    """A descriptor of the scratch file *name* that its owner made known as *path*.

    Raises:
        FileNotFoundError: the file is gone; the path may meanwhile lead to another one.
    """
    fd = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    if path.startswith("/proc/") and f":{name} " not in f"{Path(f'/proc/self/fd/{fd}').readlink()} ":
        os.close(fd)
        raise FileNotFoundError(2, f"The scratch file {name} is gone", path)
    return fd


class ScratchFile:
    """A file owned by this process; ``path`` is what to hand to others. A context manager that frees it."""

    def __init__(self, label: str) -> None:
        self.owner = os.getpid()
        #: Unique among the files of this owner, so that a number that is used again is not mistaken for this
        # file.
        self.name = f"optengine-{label}-{self.owner}-{next(_numbers)}"
        self._named: str | None = None
        if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
            flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
            self.fd = os.memfd_create(self.name, flags)
            self.path = f"/proc/{self.owner}/fd/{self.fd}"
        else:  # pragma: no cover - not on Linux
            self.fd, self._named = tempfile.mkstemp(prefix=f"{self.name}-")
            self.path = self._named

    def seal(self) -> bool:
        """Make the content unchangeable for everyone; False where the system cannot."""
        if self._named is not None or not hasattr(fcntl, "F_ADD_SEALS"):
            return False
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, seals)
        return True

    def close(self) -> None:
        """Free the file. Only the owner's call does anything; mappings of others stay valid."""
        if self.fd >= 0 and os.getpid() == self.owner:
            os.close(self.fd)
            if self._named is not None:  # pragma: no cover - not on Linux
                Path(self._named).unlink(missing_ok=True)
        self.fd = -1

    def __enter__(self) -> Self:
        """The file itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Free the file."""
        self.close()
