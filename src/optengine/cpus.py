"""How many CPUs this process may really use, and which: affinity, cgroup quota, thread caps.

``os.cpu_count()`` tells what the machine has. A container with a quota of 1.5 CPUs on a 64-core host should start 2
workers, not 64: the quota is read from cgroup v2 (``cpu.max``) or v1 (``cpu.cfs_quota_us``).
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
CGROUP_OF_SELF = Path("/proc/self/cgroup")
MAX_DEFAULT_WORKERS = 61

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def usable_cpus() -> int:
    """CPUs this process may use: the smaller of affinity and cgroup quota (rounded up), at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    quota = cgroup_cpu_quota()
    return max(1, allowed if quota is None else min(allowed, math.ceil(quota)))


def default_workers() -> int:
    """Workers a pool starts when it is not told: the usable CPUs, at most 61."""
    return min(usable_cpus(), MAX_DEFAULT_WORKERS)


def own_cgroups(controller: str, *, root: Path = CGROUP_ROOT, listing: Path = CGROUP_OF_SELF) -> list[Path]:
    """Existing directories that may limit this process, from its own cgroup up to the root (v2 and v1)."""
    try:
        lines = listing.read_text().splitlines()
    except OSError:  # no /proc, hence no cgroups
        return []
    found: list[Path] = []
    for line in lines:
        _, controllers, relative = line.split(":", 2)
        if controllers == "":
            base = root
        elif controller in controllers.split(","):
            base = next(
                (root / name for name in (controller, controllers) if (root / name).is_dir()),
                root / controller,
            )
        else:
            continue
        here = base / relative.lstrip("/")
        # Inside a container the listed path may not exist under the mount: then only the root applies.
        chain = [here, *here.parents]
        found += [path for path in chain[: chain.index(base) + 1] if path.is_dir()]
    return found


def cgroup_cpu_quota(*, root: Path = CGROUP_ROOT, listing: Path = CGROUP_OF_SELF) -> float | None:
    """CPUs' worth of time per second granted by the tightest cgroup; ``None`` without a limit."""
    quotas = [_quota(path) for path in own_cgroups("cpu", root=root, listing=listing)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(directory: Path) -> float | None:
    try:
        v2 = directory / "cpu.max"
        if v2.exists():
            quota, period = v2.read_text().split()
            return None if quota == "max" else int(quota) / int(period)
        v1 = int((directory / "cpu.cfs_quota_us").read_text())
        return v1 / int((directory / "cpu.cfs_period_us").read_text()) if v1 > 0 else None
    except (OSError, ValueError):  # this group sets no quota; what others and the affinity say still holds
        return None


def thread_caps(threads: int, environment: Iterable[str]) -> dict[str, str]:
    """Environment variables that cap BLAS and OpenMP at ``threads``; those the user already set are left alone."""
    taken = set(environment)
    return {name: str(threads) for name in THREAD_VARIABLES if name not in taken}


def cap_loaded_threads(threads: int) -> None:
    """Cap thread pools of libraries that are already loaded; environment variables come too late for those."""
    if "numpy" not in sys.modules and "scipy" not in sys.modules:
        return
    import threadpoolctl

    threadpoolctl.threadpool_limits(limits=threads)


def pin(cpus: Sequence[int]) -> None:
    """Pin the calling process to ``cpus``; a no-op where the system has no affinity."""
    if cpus and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cpus)
