"""Global state: what one untimed call of an arm leaves changed in the process, by name.

An arm that changes what the other arm sees makes the two unequal in a way no order of trials can balance. The
names of what changed are reported, never values; what can be put back is put back, so that later calls start
where the first one did.
"""

from __future__ import annotations

import gc
import hashlib
import os
import random
import re
import signal
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ..core.findings import Finding, Level


@dataclass(frozen=True, slots=True)
class Probe:
    """One piece of global state.

    ``read`` returns a snapshot that compares by value; ``name`` the words for a change from one snapshot to
    another; ``restore`` puts a snapshot back, or is None where that is impossible or would do harm.
    """

    read: Callable[[], Any]
    name: Callable[[Any, Any], str]
    restore: Callable[[Any], object] | None = None
    level: Level = "warn"


@contextmanager
def watched_state(arm: str) -> Iterator[list[Finding]]:
    """Compare global state before and after the body; the list yielded is filled when it ends.

    Leftover processes and threads are reported too (as information: keeping a pool is a fair optimization),
    but left alone. Nothing is reported when the body raises; what changed is put back all the same.
    """
    found: list[Finding] = []
    before = [probe.read() for probe in _PROBES]
    processes, threads = _processes(), _threads()
    try:
        yield found
    finally:
        changed: dict[Level, list[str]] = {}
        for probe, old in zip(_PROBES, before, strict=True):
            new = probe.read()
            if new != old:
                changed.setdefault(probe.level, []).append(probe.name(old, new))
                if probe.restore is not None:
                    probe.restore(old)
    for level, names in changed.items():
        found.append(
            Finding(
                "global-state", level, f"one call of arm {arm!r} changes {', '.join(names)} of the process"
            )
        )
    found += _leftovers(arm, processes, threads)


def _leftovers(arm: str, processes: dict[int, str], threads: dict[int, str]) -> Iterator[Finding]:
    new = {pid: name for pid, name in _processes().items() if pid not in processes}
    zombies = sum(name == _ZOMBIE for name in new.values())
    alive = Counter(name for name in new.values() if name != _ZOMBIE)
    if zombies:
        yield Finding(
            "leftover-processes",
            "warn",
            f"one call of arm {arm!r} leaves {zombies} ended processes behind that nobody waited for",
        )
    if alive:
        yield Finding(
            "leftover-processes",
            "info",
            f"one call of arm {arm!r} leaves processes running: {_counted(alive)}",
        )
    started = Counter(_without_number(name) for ident, name in _threads().items() if ident not in threads)
    if started:
        yield Finding(
            "leftover-threads", "info", f"one call of arm {arm!r} leaves threads running: {_counted(started)}"
        )


_ZOMBIE = ""


def _processes() -> dict[int, str]:
    found = {}
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it ended meanwhile, so it was not left behind
            found[child.pid] = _ZOMBIE if child.status() == psutil.STATUS_ZOMBIE else child.name()
    return found


def _threads() -> dict[int, str]:
    return {id(thread): thread.name for thread in threading.enumerate()}


def _without_number(name: str) -> str:
    return re.sub(r"[-_ ]?\d+\b", "", name) or "unnamed"


def _counted(names: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(names.items()))


def _fixed(name: str) -> Callable[[Any, Any], str]:
    return lambda _old, _new: name


def _named_keys(name: str) -> Callable[[Any, Any], str]:
    def words(old: dict[Any, Any], new: dict[Any, Any]) -> str:
        keys = sorted(str(key) for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        return f"{name} {', '.join(keys)}"

    return words


def _read_cwd() -> str | None:
    try:
        return str(Path.cwd())
    except OSError:  # it was deleted
        return None


def _restore_cwd(cwd: str | None) -> None:
    if cwd is not None:
        with suppress(OSError):  # the arm deleted it, which is reported; both arms go on where it left them
            os.chdir(cwd)


def _restore_environ(environ: dict[str, str]) -> None:
    for name in os.environ.keys() - environ.keys():
        del os.environ[name]
    os.environ.update(environ)


def _read_handlers() -> dict[str, Any]:
    return {number.name: signal.getsignal(number) for number in signal.Signals}


def _restore_handlers(handlers: dict[str, Any]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for name, handler in handlers.items():
        number = signal.Signals[name]
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


def _read_umask() -> str | None:
    """Return the mask for new files; only where reading it does not mean setting it."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:  # not Linux
        return None
    found = re.search(r"^Umask:\s*(\d+)", status, re.MULTILINE)
    return found.group(1) if found else None


def _read_random() -> str:
    return _digest(random.getstate())


def _read_numpy_random() -> str | None:
    numpy_random = sys.modules.get("numpy.random")
    return None if numpy_random is None else _digest(numpy_random.get_state(legacy=False))


def _digest(state: object) -> str:
    return hashlib.sha256(repr(state).encode()).hexdigest()


def _read_policy() -> type | None:
    """Return the class of the event loop policy; None for asyncio's own, the one of a process without asyncio too."""
    asyncio = sys.modules.get("asyncio")  # loading it takes longer than a decision
    if asyncio is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.14 says it will go
        policy = type(asyncio.get_event_loop_policy())
        return None if policy is asyncio.DefaultEventLoopPolicy else policy


def _restore_list(target: list[Any]) -> Callable[[Iterable[Any]], None]:
    def restore(items: Iterable[Any]) -> None:
        target[:] = items

    return restore


_PROBES = (
    Probe(_read_cwd, _fixed("the working directory"), _restore_cwd),
    Probe(lambda: dict(os.environ), _named_keys("the environment variables"), _restore_environ),
    Probe(_read_handlers, _named_keys("the handlers of"), _restore_handlers),
    Probe(
        gc.isenabled,
        _fixed("whether the garbage collector is enabled"),
        lambda enabled: gc.enable() if enabled else gc.disable(),
    ),
    Probe(
        gc.get_threshold,
        _fixed("the thresholds of the garbage collector"),
        lambda thresholds: gc.set_threshold(*thresholds),
    ),
    Probe(sys.getrecursionlimit, _fixed("the recursion limit"), sys.setrecursionlimit),
    Probe(
        sys.getswitchinterval,
        _fixed("the thread switch interval"),
        lambda seconds: sys.setswitchinterval(seconds),
    ),
    Probe(lambda: tuple(sys.path), _fixed("sys.path"), lambda path: _restore_list(sys.path)(path)),
    Probe(lambda: tuple(warnings.filters), _fixed("the warning filters")),
    Probe(_read_umask, _fixed("the umask"), lambda mask: mask and os.umask(int(mask, 8))),
    Probe(_read_policy, _fixed("the event loop policy")),
    Probe(_read_random, _fixed("the state of the random module"), level="info"),
    Probe(_read_numpy_random, _fixed("the state of numpy.random"), level="info"),
)
