"""What a test says of itself: the keys of its ``optbench`` markers, and the description among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from .options import DESCRIPTION_KEYS, OptionError, parse_time_saved


def marker_keys(item: pytest.Item) -> dict[str, Any]:
    """Return the keys of the closest markers; class and module markers supply what the test leaves out.

    A marker with anything but keywords fails the test.
    """
    keys: dict[str, Any] = {}
    for marker in item.iter_markers("optbench"):
        if marker.args:
            pytest.fail(
                f"optbench: @pytest.mark.optbench takes keywords only, received {marker.args!r}; "
                "write @pytest.mark.optbench(title=...)",
                pytrace=False,
            )
        keys = {**marker.kwargs, **keys}
    return keys


def with_case(item: pytest.Item, keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``keys`` with the parameters of the test in the title: one marker stands for all of them."""
    case = getattr(item, "callspec", None)
    if case is None or "title" not in keys:
        return dict(keys)
    return {**keys, "title": f"{keys['title']} [{case.id}]"}


def description(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``keys`` say of the benchmark, ``expected`` as a fraction of time saved; raises `OptionError`."""
    found = {key: keys[key] for key in DESCRIPTION_KEYS if keys.get(key) is not None}
    if "rank" in found and (isinstance(found["rank"], bool) or not isinstance(found["rank"], int)):
        raise OptionError(
            f"rank: must be a whole number, received {found['rank']!r}; write rank=1 for the first"
        )
    if "expected" in found:
        try:
            found["expected"] = parse_time_saved(found["expected"])
        except OptionError as error:
            raise OptionError(f"expected: {error}") from None
    return found
