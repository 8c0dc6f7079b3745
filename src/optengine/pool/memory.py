"""How much memory a worker holds for itself, and how much the machine has left.

Shared pages (inherited from the fork server, memory-mapped bundles and frames, all of shared memory) are not
the worker's: they are not counted. Virtual size is never used; memory-mapped data and BLAS arenas make it
meaningless.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from optengine.cpus import own_cgroups
from optengine.errors import ConfigurationError

_PAGE = 4096
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
SOFT_SHARE = 0.8


class MemoryLimit(NamedTuple):
    """Bytes of unshared memory: above ``soft`` a worker is replaced after its task, above ``hard`` killed."""

    soft: int
    hard: int


def parse_bytes(value: int | str) -> int:
    """Bytes from a number or a text such as ``"512MB"`` or ``"1.5 GiB"`` (powers of 1024).

    Raises ``ConfigurationError``.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        amount: float = value
    else:
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?\s*", str(value).upper())
        if match is None:
            raise ConfigurationError(
                f"memory must be a number of bytes or a text such as '512MB'; got {value!r}"
            )
        amount = float(match[1]) * _UNITS[match[2]]
    if amount < 1:
        raise ConfigurationError(f"memory must be at least one byte; got {value!r}")
    return int(amount)


def parse_limit(value: int | str | tuple[int | str, int | str] | None) -> MemoryLimit | None:
    """The limit a pool was given: one number (hard; soft is 80 % of it) or a pair (soft, hard)."""
    if value is None:
        return None
    if isinstance(value, tuple):
        soft, hard = (parse_bytes(part) for part in value)
        if soft > hard:
            raise ConfigurationError(f"memory_limit=(soft, hard) must have soft <= hard; got {value!r}")
        return MemoryLimit(soft, hard)
    hard = parse_bytes(value)
    return MemoryLimit(int(hard * SOFT_SHARE), hard)


def unshared_bytes(pid: int, enough: int = 0) -> int | None:
    """Bytes only this process holds, ``None`` if it is gone.

    The cheap upper bound (resident anonymous pages) is returned when it is below ``enough``; only above that
    are the page tables walked.
    """
    try:
        _, resident, file_backed, *_ = Path(f"/proc/{pid}/statm").read_text().split()
        anonymous = (int(resident) - int(file_backed)) * _PAGE
        if anonymous < enough:
            return anonymous
        private = sum(
            int(line.split()[1]) << 10
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            if line.startswith(("Private_Clean:", "Private_Dirty:"))
        )
        return min(anonymous, private)
    except (OSError, ValueError):
        return _portable_unshared_bytes(pid)


def _portable_unshared_bytes(pid: int) -> int | None:
    try:
        import psutil

        return int(psutil.Process(pid).memory_full_info().uss)
    except Exception:  # noqa: BLE001 - gone, forbidden or no psutil: all mean unknown
        return None


class HostMemory(NamedTuple):
    """Bytes the tightest enclosing limit (machine or cgroup) grants, and how many of them are left."""

    total: int
    available: int


def host_memory() -> HostMemory | None:
    """Memory of the machine or of this cgroup, whichever has less left; ``None`` if unknown."""
    candidates = [_machine(), *(_cgroup(path) for path in own_cgroups("memory"))]
    known = [memory for memory in candidates if memory is not None]
    return min(known, key=lambda memory: memory.available, default=None)


def _machine() -> HostMemory | None:
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return HostMemory(_kib(fields["MemTotal"]), _kib(fields["MemAvailable"]))
    except (OSError, KeyError, ValueError):  # not Linux: the machine's memory is unknown, and not guarded
        return None


def _kib(text: str) -> int:
    return int(text.split()[0]) << 10


def _cgroup(directory: Path) -> HostMemory | None:
    for limit_name, usage_name in (
        ("memory.max", "memory.current"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        try:
            limit_text = (directory / limit_name).read_text().strip()
            if limit_text == "max" or int(limit_text) >= 1 << 60:
                return None
            usage = int((directory / usage_name).read_text())
            statistics = dict(line.split() for line in (directory / "memory.stat").read_text().splitlines())
            # Page cache is given back under pressure, so it counts as available.
            cache = int(statistics.get("inactive_file", 0)) + int(statistics.get("active_file", 0))
            return HostMemory(int(limit_text), int(limit_text) - max(0, usage - cache))
        except (OSError, ValueError):  # the other version of cgroups, or a group without this controller
            continue
    return None
