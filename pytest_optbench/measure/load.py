"""Load: how busy the machine was with other work while measuring, and how much the host took away.

Numbers only: what they mean for a verdict is for `core.diagnose` to say.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import psutil

_MIN_WINDOW_S = 0.05  # the kernel counts in ticks of 10 ms; shorter windows are mostly rounding


@dataclass(frozen=True, slots=True)
class LoadSample:
    """Counters of the machine since boot, in CPU seconds, and of this process and its children."""

    total_s: float
    idle_s: float
    steal_s: float
    own_s: float
    load_1m: float


def sample_load() -> LoadSample:
    """Return the counters now. Costs well below a millisecond; never fails for lack of ``/proc``."""
    times = psutil.cpu_times()
    # Guest time is already inside user time on Linux; counting it again would hide load.
    fields = {name: value for name, value in times._asdict().items() if not name.startswith("guest")}
    return LoadSample(
        total_s=sum(fields.values()),
        idle_s=fields.get("idle", 0.0) + fields.get("iowait", 0.0),
        steal_s=fields.get("steal", 0.0),
        own_s=_own_cpu_s(),
        load_1m=psutil.getloadavg()[0],
    )


@dataclass(frozen=True, slots=True)
class Load:
    """What happened between two samples.

    ``elsewhere`` is the fraction of all CPU time that other processes used, ``steal`` the fraction that the
    host gave to other machines; both None when the window was too short to tell.
    """

    elsewhere: float | None
    steal: float | None
    load_1m_before: float
    load_1m_after: float

    def record(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values."""
        return {
            "busy_elsewhere": self.elsewhere,
            "steal": self.steal,
            "load_1m_before": self.load_1m_before,
            "load_1m_after": self.load_1m_after,
        }


def load_between(before: LoadSample, after: LoadSample) -> Load:
    """Return the load of the time between two samples."""
    total = after.total_s - before.total_s
    elsewhere = steal = None
    if total > _MIN_WINDOW_S * (os.cpu_count() or 1):
        steal = _fraction((after.steal_s - before.steal_s) / total)
        busy = total - (after.idle_s - before.idle_s) - (after.steal_s - before.steal_s)
        elsewhere = _fraction((busy - (after.own_s - before.own_s)) / total)
    return Load(elsewhere, steal, before.load_1m, after.load_1m)


def _fraction(value: float) -> float:
    return min(1.0, max(0.0, value))


def _own_cpu_s() -> float:
    """Return CPU seconds of this process, its children waited for, and its live descendants."""
    times = os.times()
    own = times.user + times.system + times.children_user + times.children_system
    for child in psutil.Process().children(recursive=True):
        try:
            used = child.cpu_times()
        except psutil.Error:  # it ended meanwhile: what it used counts as somebody else's, never less load
            continue
        own += used.user + used.system + used.children_user + used.children_system
    return own
