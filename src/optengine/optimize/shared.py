"""What an objective can reach by name: share handles, and plain objects made into one."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from typing import Any


class SharedObject:
    """A plain object (an array, a table, a dictionary) as a share handle.

    Sent once to each worker process, not with each evaluation; on Ray once to each node, where arrays inside
    are then mapped without a copy. Workers must not change it.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    def get(self) -> Any:
        """The object."""
        return self.value

    def fingerprint(self) -> str:
        """SHA-256 of the pickled object."""
        return hashlib.sha256(pickle.dumps(self.value, protocol=5)).hexdigest()


def share_handles(shared: Mapping[str, Any] | None) -> dict[str, Any]:
    """Every entry as a share handle: an object with ``get()`` that is not itself a collection stays as it is."""
    return {
        name: value if _is_handle(value) else SharedObject(value) for name, value in (shared or {}).items()
    }


def _is_handle(value: Any) -> bool:
    # Dictionaries and data frames have a get() too, but a handle has no length.
    return callable(getattr(value, "get", None)) and not hasattr(type(value), "__len__")
