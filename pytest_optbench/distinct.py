"""Names that must stay apart when they are turned into text: nothing is lost because two of them became alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def renamed(items: Mapping[Any, Any], names: Mapping[Any, str]) -> dict[str, Any]:
    """Return ``items`` under ``names``, in their order; a name that is taken already gets a number: ``x (2)``.

    A key whose name is itself keeps it, wherever it stands.
    """
    taken = {key for key, name in names.items() if isinstance(key, str) and key == name}
    found: dict[str, Any] = {}
    for key, value in items.items():
        name, number = names[key], 1
        while name in taken and name != key:
            number += 1
            name = f"{names[key]} ({number})"
        taken.add(name)
        found[name] = value
    return found
