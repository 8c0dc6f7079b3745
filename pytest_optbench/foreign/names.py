"""Names of benchmarks inside one file: unique, by number where a tool allows the same one twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from .recorded import Recorded


def numbered(benchmarks: Sequence[Recorded]) -> tuple[Recorded, ...]:
    """Return the benchmarks with unique names: the second ``sleep 1`` becomes ``sleep 1 (2)``."""
    seen: Counter[str] = Counter()
    taken = {each.name for each in benchmarks}
    unique = []
    for each in benchmarks:
        seen[each.name] += 1
        name = each.name
        count = seen[each.name]
        while count > 1 and (name := f"{each.name} ({count})") in taken:
            count += 1
        taken.add(name)
        unique.append(replace(each, name=name))
    return tuple(unique)
