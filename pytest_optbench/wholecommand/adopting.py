"""Becomes the process that adopts orphans, then the program named on the command line, under the same number.

    python -I -S adopting.py PROGRAM ARGUMENT...

On Linux a process whose parent ends is adopted by the nearest ancestor that asked for it. A command may leave its
process group and session (``setsid``, daemons), but not its ancestry: whatever it started stays below the spawner,
which can end it. A program of its own, because ``ctypes`` would make the spawner larger, and the mark survives exec.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def main() -> None:
    """Ask for orphans and become the program; raises `OSError` when the kernel refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "prctl(PR_SET_CHILD_SUBREAPER)")
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
