"""The peak memory of this process during one benchmark, with what its children hold at the end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ..measure.memory_sampler import held

if sys.platform != "win32":
    import resource

_STATUS = Path("/proc/self/status")


class Peak:
    """Starts a new high-water mark where the kernel allows (Linux), else counts from the start of the process."""

    def __init__(self) -> None:
        """Take the level before the benchmark."""
        self._how = "peak RSS of the child process"
        self._before = 0
        if sys.platform == "linux":
            try:
                Path("/proc/self/clear_refs").write_text("5")
            except OSError:
                self._how += ", its start included"
            self._before = _kernel("VmRSS")

    def report(self, pid: int) -> dict[str, Any]:
        """Return in bytes ``peak``, ``before`` (the level then) and ``children`` (what they hold now), and ``how``.

        None where it is unknown.
        """
        if sys.platform == "linux":
            peak = _kernel("VmHWM")
        elif sys.platform == "win32":
            return {"peak": None, "before": None, "children": None, "how": "not measured on this system"}
        else:
            unit = 1 if sys.platform == "darwin" else 1024
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return {"peak": peak, "before": self._before, "children": held(pid), "how": self._how}


def _kernel(field: str) -> int:
    """Return a field of the status file in bytes."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"{_STATUS} has no {field}")
