"""Becomes the process that adopts orphans, then the program named on the command line, under the same number.

A program of its own, because ``ctypes`` would make the spawner of whole commands larger, and the mark survives exec.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4


def main() -> None:
    """Ask for orphans and become the program; raises `OSError` when the kernel refuses."""
    process_control(PR_SET_CHILD_SUBREAPER, 1)
    os.execv(sys.argv[1], sys.argv[1:])


def process_control(what: int, value: int) -> None:
    """Set one property of this process, see prctl(2); raises `OSError` when the kernel refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(what, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), f"prctl({what}, {value})")
