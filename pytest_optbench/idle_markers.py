"""Markers that describe a benchmark where there is none: nothing is measured then, and nothing else says so."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Final

import pytest

from .child.items import is_benchmark

_CURE: Final = "take the optbench fixture and call optbench.compare(), or remove the marker"


def idle_markers(
    collected: Sequence[pytest.Item], selected: Sequence[pytest.Item], *, whole: bool
) -> dict[str, list[str]]:
    """Return a warning for every optbench marker without a benchmark, by the id of the first selected test it is on.

    The marker of a class or module is judged only when ``collected`` holds all tests there are (``whole``): it is idle
    when none of those below it is a benchmark. One marker gives one warning, however many tests or parameters.
    """
    said = {key for item in collected if is_benchmark(item) for key, _ in _markers(item, whole=whole)}
    warnings: dict[str, list[str]] = {}
    for item in selected:
        for key, message in _markers(item, whole=whole):
            if key not in said:
                said.add(key)
                warnings.setdefault(item.nodeid, []).append(message)
    return warnings


def _markers(item: pytest.Item, *, whole: bool) -> Iterator[tuple[Hashable, str]]:
    """Yield what tells each marker of a test from others, with the warning that nothing is measured under it."""
    if not isinstance(item, pytest.Function):
        return
    for node in item.listchain():
        marker = next((mark for mark in node.own_markers if mark.name == "optbench"), None)
        if marker is None:
            continue
        if node is item:
            function = f"{node.parent.nodeid if node.parent else ''}::{item.originalname}"
            yield (
                function,
                f"optbench: {function} is marked with @pytest.mark.optbench but measures nothing; {_CURE}",
            )
        elif whole and isinstance(node, (pytest.Class, pytest.Module)):
            # Classes inherit the very marker of their base, and modules may share one by import.
            yield (
                (node.path, id(marker)),
                f"optbench: {node.nodeid} is marked with pytest.mark.optbench; none of its tests measures anything: "
                f"{_CURE}",
            )
