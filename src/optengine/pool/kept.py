"""``shared_pool``: one pool per process and configuration, kept between uses."""

from __future__ import annotations

import threading
from typing import Any

from optengine.config import load_settings
from optengine.pool.executor import PersistentWorkerPool

_lock = threading.Lock()
_kept: dict[Any, PersistentWorkerPool] = {}


def shared_pool(max_workers: int | None = None, **options: Any) -> PersistentWorkerPool:
    """The process-wide pool of this configuration; the same object at each call while it can be used.

    Takes the arguments of :class:`PersistentWorkerPool`. It is closed at exit; using it in a ``with``
    statement closes it then, and the next call makes a new one. With ``OPTENGINE_PERSISTENT_POOL=false``
    every call makes a fresh pool.
    """
    if not load_settings().persistent_pool:
        return PersistentWorkerPool(max_workers, **options)
    # Settings take part in the key: a changed OPTENGINE_ variable means another configuration.
    key = (
        max_workers,
        load_settings().model_dump_json(),
        tuple(sorted((name, _key(value)) for name, value in options.items())),
    )
    with _lock:
        pool = _kept.get(key)
        if pool is None or not pool.usable:
            pool = _kept[key] = PersistentWorkerPool(max_workers, **options)
        return pool


def _key(value: Any) -> Any:
    """A hashable stand-in for an option: by value where it has one, else by identity."""
    if isinstance(value, dict):
        return tuple(sorted((name, _key(entry)) for name, entry in value.items()))
    if isinstance(value, list | tuple):
        return tuple(_key(entry) for entry in value)
    try:
        hash(value)
    except TypeError:
        return ("object", id(value))
    return value
