"""Memory: the peak of the whole process tree during one untimed call.

A thread samples the tree while the arm runs. Where the kernel tells (Linux), it adds up PSS: pages shared by
several processes are shared out among them, so that eight workers on one copy count one copy. Elsewhere it
adds up RSS, which counts shared pages in every process.

What lives shorter than the sampling interval is missed, and no sample can be taken while C code holds the
interpreter lock. When no child process was seen, the kernel's own high-water mark of this process closes that
gap (reading it anew means resetting it, so ``ru_maxrss`` of the program starts afresh too).
"""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from .arm import Arm

_INTERVAL_S = 0.005
_PROC = Path("/proc")
_STATUS = _PROC / "self" / "status"


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Memory of the process tree during one call, in bytes.

    ``peak_bytes`` is the highest level seen, ``extra_bytes`` how far that was above the level just before the
    call. ``how`` states the method, ``samples`` how often it looked.
    """

    peak_bytes: int
    extra_bytes: int
    how: str
    samples: int


def measure_memory(arm: Arm) -> MemoryUse:
    """Return the memory use of one fresh, untimed call of ``arm``, its setup included.

    The result of the call is alive for the last sample. Raises `ArmRaised`.
    """
    gc.collect()
    _return_free_memory()
    sampler = _Sampler()
    high_water = _HighWater()
    sampler.start()
    try:
        result = arm.once()
        sampler.stop()
    finally:
        sampler.stop()
    del result
    peak = sampler.peak
    how = f"{sampler.kind} of the process tree, sampled about every {_INTERVAL_S * 1000:g} ms"
    if not sampler.saw_children and high_water.supported:
        peak = max(peak, sampler.before + high_water.growth())
        how += ", and the kernel's high-water mark"
    return MemoryUse(peak, max(0, peak - sampler.before), how, sampler.samples)


class _Sampler:
    """Samples the memory of this process and its descendants until stopped."""

    def __init__(self) -> None:
        self.kind = "PSS" if _pss(psutil.Process().pid) is not None else "RSS"
        self.saw_children = False
        self.samples = 0
        self.before = self.peak = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="optbench-memory", daemon=True)

    def start(self) -> None:
        self._sample()
        self.before = self.peak
        self.saw_children = False
        self._thread.start()

    def stop(self) -> None:
        """Take a last sample; only the first call does anything."""
        if not self._over.is_set():
            self._over.set()
            self._thread.join()
            self._sample()

    def _watch(self) -> None:
        pause = _INTERVAL_S
        while not self._over.wait(pause):
            began = time.perf_counter()
            self._sample()
            # Reading large processes takes long; never spend more than a third of the time on it.
            pause = max(_INTERVAL_S, 2 * (time.perf_counter() - began))

    def _sample(self) -> None:
        level = 0
        own = psutil.Process().pid
        for pid in (own, *_descendants(own)):
            self.saw_children = self.saw_children or pid != own
            level += (_pss(pid) if self.kind == "PSS" else None) or _rss(pid)
        self.samples += 1
        self.peak = max(self.peak, level)


class _HighWater:
    """The kernel's mark of the largest RSS of this process, reset when this is made."""

    def __init__(self) -> None:
        self.supported = False
        if sys.platform == "linux":
            try:
                (_PROC / "self" / "clear_refs").write_text("5")
                self._before = _status_bytes("VmRSS")
                self.supported = True
            except (OSError, KeyError, ValueError):
                pass

    def growth(self) -> int:
        """Return bytes between the level when this was made and the highest since."""
        return max(0, _status_bytes("VmHWM") - self._before)


def _status_bytes(field: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def _pss(pid: int) -> int | None:
    """Return the proportional set size in bytes; None where it cannot be read."""
    try:
        rollup = (_PROC / str(pid) / "smaps_rollup").read_text()
    except OSError:
        return None
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return None


def _rss(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0  # it ended meanwhile


def _descendants(pid: int) -> list[int]:
    """Return the process ids below ``pid``, from the kernel's lists of children where it keeps them."""
    found: list[int] = []
    pending = [pid]
    while pending:
        parent = pending.pop()
        try:
            lists = [(task / "children").read_text() for task in (_PROC / str(parent) / "task").iterdir()]
        except OSError:
            if parent != pid:
                continue  # it ended meanwhile
            return [child.pid for child in psutil.Process(pid).children(recursive=True)]
        children = [int(child) for text in lists for child in text.split()]
        found += children
        pending += children
    return found


def _return_free_memory() -> None:
    """Let glibc hand freed memory back, so that the level before a call does not hide what the call needs."""
    if sys.platform == "linux":
        trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
