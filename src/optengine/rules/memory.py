"""Memory of a set of processes: proportional set size where the kernel tells it, peak resident size
otherwise."""

from __future__ import annotations

import contextlib
import resource
import sys
from collections.abc import Iterable
from pathlib import Path


def tree_bytes(pids: Iterable[int]) -> tuple[int, str]:
    """Bytes used by the processes *pids* now, shared pages counted once in all, and how that was measured.

    Processes that are gone count nothing. Cost: about a millisecond per process.
    """
    total, how = 0, "PSS"
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            try:
                total += _field(Path(f"/proc/{pid}/smaps_rollup").read_text(), "Pss:")
            except PermissionError:
                total += _field(Path(f"/proc/{pid}/status").read_text(), "VmHWM:")
                how = "peak RSS, shared pages counted in every process,"
    return total, how


def own_peak_bytes() -> int:
    """Peak resident size of this process since it began."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def available_bytes() -> int:
    """Memory that new processes can have without swapping."""
    import psutil

    return int(psutil.virtual_memory().available)


def _field(text: str, name: str) -> int:
    for line in text.splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0
