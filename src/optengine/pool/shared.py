"""What a worker can reach by name: the share handles given to its pool as ``shared={"name": handle}``.

A handle is any object with a ``get()`` method without arguments. ``shared(name)`` calls it once per process and keeps
the answer, or each time if the handle says ``rechecks = True``: what it shares may change on disk. A handle may also
have ``preload()``: it runs once in the fork server before workers are forked (start methods ``preload`` and ``fork``),
so that what it loads is inherited instead of loaded again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from optengine.errors import ConfigurationError, NestedPoolError, SharedNameError

_handles: dict[str, Any] | None = None
_values: dict[tuple[int, str], Any] = {}
_worker_pid: int | None = None


def shared(name: str) -> Any:
    """The value of the pool's share handle ``name``, the same object at each call in one worker while it is valid.

    Raises ``SharedNameError`` outside a worker or for a name the pool was not given.
    """
    if not in_worker():
        raise SharedNameError(
            f"shared({name!r}) must be called inside a task of a pool; "
            f"give the pool shared={{{name!r}: handle}} and call it there"
        )
    handles = installed()
    if name not in handles:
        raise SharedNameError(f"shared name must be one of {sorted(handles)}; got {name!r}")
    if getattr(handles[name], "rechecks", False):
        return handles[name].get()
    # Keyed by process: a value made in the fork server must be asked for again in the worker.
    key = (os.getpid(), name)
    if key not in _values:
        _values[key] = handles[name].get()
    return _values[key]


def check_handles(handles: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of ``handles``; raises ``ConfigurationError`` for a value without ``get()``."""
    for name, handle in handles.items():
        if not callable(getattr(handle, "get", None)) or isinstance(handle, Mapping):
            raise ConfigurationError(
                f"shared[{name!r}] must be a share handle with a get() method (SharedBundle.create(...)); "
                f"got {type(handle).__name__}"
            )
    return dict(handles)


def install(handles: Mapping[str, Any] | None) -> None:
    """Make ``handles`` reachable in this process (worker or fork server)."""
    global _handles
    _values.clear()
    _handles = None if handles is None else dict(handles)


def installed() -> Mapping[str, Any]:
    """The handles installed in this process."""
    return _handles or {}


def become_worker() -> None:
    """Mark this process as a worker, where pools are refused."""
    global _worker_pid
    _worker_pid = os.getpid()


def in_worker() -> bool:
    """Whether this process is a worker, a fork server, or was forked by one."""
    return _worker_pid is not None


def refuse_in_worker(what: str) -> None:
    """Raise ``NestedPoolError`` inside a worker."""
    if in_worker():
        raise NestedPoolError(
            f"{what} must happen in the main program; got a call inside worker process {os.getpid()}. "
            "Return the work to the parent and let its pool run it. If this came while importing the main "
            "module, put the program under `if __name__ == '__main__':`"
        )
