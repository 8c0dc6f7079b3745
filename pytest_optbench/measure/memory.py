"""Memory: the peak of the whole process tree during one untimed call.

A process of its own (`memory_sampler`) samples the tree while an arm runs; one serves all arms of a benchmark.
Where the kernel tells (Linux), it adds up PSS: pages shared by several processes are shared out among them, so that
eight workers on one copy count one copy. Elsewhere it adds up RSS, which counts shared pages in every process.

What lives shorter than the sampling interval is missed. When no child process was seen, the kernel's own
high-water mark of this process closes that gap (reading it anew means resetting it, so ``ru_maxrss`` of the
program starts afresh too).
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from . import memory_sampler
from .arm import Arm

_END_S = 30.0  # generous: only a machine that stands still takes longer for a last sample


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Memory of the process tree during one call, in bytes.

    ``peak_bytes`` is the highest level seen, ``extra_bytes`` how far that was above the level just before the
    call; both None when it could not be measured. ``how`` states the method, or why there is none;
    ``samples`` how often it looked.
    """

    peak_bytes: int | None
    extra_bytes: int | None
    how: str
    samples: int


class MemoryWatch:
    """Measures the memory of arms, with one watching process for all of them; a context manager.

    The process starts while the caller does something else, is waited for at the first measurement, and is
    gone when the context ends. One that died is started again for the next arm.
    """

    def __init__(self) -> None:
        """Start nothing yet."""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start the watching process without waiting for it."""
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the watching process."""
        self._end()

    def measure(self, arm: Arm) -> MemoryUse:
        """Return the memory use of one fresh, untimed call of ``arm``, its setup included.

        The result of the call is alive for the last sample. Raises `ArmRaised`.
        """
        gc.collect()
        _return_free_memory()
        if self._ask("start") is None:  # it died meanwhile
            self._end()
            self._start()
            self._ask("start")
        try:
            high_water = _HighWater()
            result = arm.once()
            growth = high_water.growth()
        except BaseException:
            self._end()
            raise
        seen = self._ask("stop")
        del result
        return _use(seen, growth)

    def _start(self) -> None:
        # Finding the installed packages takes a while; only psutil lives there.
        bare = ["-S"] if memory_sampler.standalone() else []
        self._process = subprocess.Popen(
            [sys.executable, "-I", *bare, memory_sampler.__file__, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _ask(self, line: str) -> str | None:
        """Return the answer of the watching process to ``line``; None when it gives none."""
        if self._process is None:
            return None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{line}\n".encode())
            if os.name == "posix" and not select.select([self._process.stdout], [], [], _END_S)[0]:
                return None
            return self._process.stdout.readline().decode() or None
        except OSError:
            return None


def measure_memory(arm: Arm) -> MemoryUse:
    """Return the memory use of one fresh, untimed call of ``arm``; raises `ArmRaised`."""
    with MemoryWatch() as watch:
        return watch.measure(arm)


def _use(answer: str | None, growth: int | None) -> MemoryUse:
    """Return what the watching process saw, with ``growth`` of the kernel's mark where it applies."""
    try:
        seen: dict[str, Any] = json.loads(answer or "")
    except ValueError:
        return MemoryUse(None, None, "not measured: the watching process gave no answer", 0)
    peak = seen["peak"]
    how = f"{seen['kind']} of the process tree, sampled about every {memory_sampler.INTERVAL_S * 1000:g} ms"
    if growth is not None and not seen["saw_children"]:
        peak = max(peak, seen["before"] + growth)
        how += ", and the kernel's high-water mark"
    return MemoryUse(peak, max(0, peak - seen["before"]), how, seen["samples"])


class _HighWater:
    """The kernel's mark of the largest RSS of this process, reset when this is made."""

    def __init__(self) -> None:
        self._before: int | None = None
        if sys.platform == "linux":
            try:
                Path("/proc/self/clear_refs").write_text("5")
                self._before = _status_bytes("VmRSS")
            except (OSError, ValueError):
                pass  # a kernel that does not let it be reset: then the samples alone count

    def growth(self) -> int | None:
        """Return bytes from the level when this was made to the highest since; None where unknown."""
        return None if self._before is None else max(0, _status_bytes("VmHWM") - self._before)


def _status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"/proc/self/status has no {field}")


def _return_free_memory() -> None:
    """Let glibc hand freed memory back, so that the level before a call does not hide what the call needs."""
    if sys.platform == "linux":
        trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
