"""The environment a decision was measured in: an allow-list of facts that matter for speed.

Nothing here names the machine, its user or a path: documents are published.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

_PACKAGES = ("pytest-optbench", "numpy", "psutil", "pytest")
# Recorded when the program has imported them: module name -> distribution name.
_WHEN_IMPORTED = {
    "numba": "numba",
    "optuna": "optuna",
    "pandas": "pandas",
    "polars": "polars",
    "pyarrow": "pyarrow",
    "ray": "ray",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "torch": "torch",
    "uvloop": "uvloop",
}
_THREAD_CAPS = (
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_CPU = Path("/sys/devices/system/cpu")
_CGROUP = Path("/sys/fs/cgroup")


def read_environment(clock_resolution_s: float | None = None, packages: Iterable[str] = ()) -> dict[str, Any]:
    """Return the facts as plain JSON values; what cannot be read is None.

    ``clock_resolution_s`` is recorded as given; ``packages`` names further distributions whose versions
    matter.
    """
    cpuinfo = _read(Path("/proc/cpuinfo")) or ""
    return {
        "cpu_model": _cpu_model(cpuinfo),
        "architecture": platform.machine(),
        "logical_cpus": os.cpu_count(),
        "usable_cpus": _usable_cpus(),
        "cgroup_cpus": cgroup_cpus(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "governor": _read(_CPU / "cpu0/cpufreq/scaling_governor"),
        "turbo": _turbo(),
        "smt": _flag(_read(_CPU / "smt/active")),
        "virtualised": _virtualised(cpuinfo),
        "os": platform.system(),
        "kernel": _major_minor(platform.release()),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "python_build": _python_build(),
        "hash_seed": _hash_seed(),
        "gil": bool(getattr(sys, "_is_gil_enabled", lambda: True)()),
        "optimize_flag": sys.flags.optimize,
        "dev_mode": sys.flags.dev_mode,
        "packages": _versions(packages),
        "thread_caps": {name: cap for name in _THREAD_CAPS if (cap := _thread_cap(name)) is not None},
        "clock_resolution_s": clock_resolution_s,
        "load_1m": round(psutil.getloadavg()[0], 2),
    }


def cgroup_cpus(root: Path = _CGROUP, membership: Path = Path("/proc/self/cgroup")) -> float | None:
    """Return how many CPUs' worth of time the control group allows; None without a quota.

    The tightest quota from the group of this process up to the root counts (cgroup v2), or the quota of the
    cpu controller (v1).
    """
    quotas = []
    for line in (_read(membership) or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        base = root if number == "0" else root / "cpu"
        if number != "0" and "cpu" not in controllers.split(","):
            continue
        place = base / group.lstrip("/")
        for level in (place, *place.parents):
            quotas.append(_quota_v2(level) if number == "0" else _quota_v1(level))
            if level == base:
                break
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota_v2(group: Path) -> float | None:
    quota, _, period = (_read(group / "cpu.max") or "").partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _quota_v1(group: Path) -> float | None:
    quota, period = (_read(group / f"cpu.cfs_{what}_us") or "" for what in ("quota", "period"))
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _usable_cpus() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _cpu_model(cpuinfo: str) -> str | None:
    found = re.search(r"^(?:model name|Hardware|cpu model)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found.group(1).strip() if found else platform.processor() or None


def _virtualised(cpuinfo: str) -> bool | None:
    flags = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    return "hypervisor" in flags.group(1).split() if flags else None


def _turbo() -> bool | None:
    off = _flag(_read(_CPU / "intel_pstate/no_turbo"))
    return _flag(_read(_CPU / "cpufreq/boost")) if off is None else not off


def _python_build() -> dict[str, bool | None]:
    arguments = sysconfig.get_config_var("CONFIG_ARGS")
    known = isinstance(arguments, str)
    return {
        "optimized": "--enable-optimizations" in arguments if known else None,
        "lto": "--with-lto" in arguments if known else None,
        "debug": hasattr(sys, "gettotalrefcount"),
    }


def _hash_seed() -> str:
    if not sys.flags.hash_randomization:
        return "0"
    seed = os.environ.get("PYTHONHASHSEED", "")
    return seed if seed.isdigit() else "random"


def _thread_cap(name: str) -> str | None:
    value = os.environ.get(name, "")
    return value if re.fullmatch(r"\d+(,\d+)*", value) else None


def _versions(packages: Iterable[str]) -> dict[str, str]:
    names = {*_PACKAGES, *packages, *(dist for mod, dist in _WHEN_IMPORTED.items() if mod in sys.modules)}
    versions = {}
    for name in sorted(names):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _major_minor(release: str) -> str | None:
    found = re.match(r"\d+(\.\d+)?", release)
    return found.group() if found else None


def _flag(text: str | None) -> bool | None:
    return {"0": False, "1": True}.get(text or "")


def _read(path: Path) -> str | None:
    """Return a small text file of the kernel, stripped; None where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
