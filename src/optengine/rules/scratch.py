"""Anonymous files that other processes open by path and that vanish with their owner, also on ``kill -9``.

On Linux a file made by ``memfd_create`` has no name in any folder; other processes of the same user open it
through ``/proc/<owner>/fd/<number>``. Where that does not exist a temporary file is used and removed by the
owner on close.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path
from typing import Self


class ScratchFile:
    """A file owned by this process; ``path`` is what to hand to others. A context manager that frees it."""

    def __init__(self, label: str) -> None:
        self.owner = os.getpid()
        self._named: str | None = None
        if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
            flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
            self.fd = os.memfd_create(f"optengine-{label}", flags)
            self.path = f"/proc/{self.owner}/fd/{self.fd}"
        else:  # pragma: no cover - not on Linux
            self.fd, self._named = tempfile.mkstemp(prefix=f"optengine-{label}-")
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
