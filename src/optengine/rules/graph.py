"""Dependencies between rules: checked, and cut into batches whose rules do not depend on each other. Pure.

A batch holds every rule whose longest chain of requirements has the same length, so batch 0 needs nothing and
every rule comes after all it requires.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from optengine.rules.errors import DependencyCycle, UnknownDependency

Requirements = Mapping[str, Sequence[str]]


def check(requires: Requirements) -> None:
    """Return nothing when every requirement exists and none forms a circle.

    Raises:
        UnknownDependency: names the rule and the missing id.
        DependencyCycle: names the circle as a path that ends where it began.
    """
    for rule, needed in requires.items():
        for name in needed:
            if name not in requires:
                raise UnknownDependency(rule, name, difflib.get_close_matches(name, list(requires), n=3))
    if circle := find_cycle(requires):
        raise DependencyCycle(circle)


def find_cycle(requires: Requirements) -> list[str] | None:
    """A circle as ``[a, b, c, a]`` (a requires b, b requires c), or None. Iterative, so depth is no limit."""
    done: set[str] = set()
    for start in requires:
        if start in done:
            continue
        path: list[str] = [start]
        on_path = {start}
        waiting = [iter(requires[start])]
        while waiting:
            name = next(waiting[-1], None)
            if name is None:
                waiting.pop()
                finished = path.pop()
                on_path.discard(finished)
                done.add(finished)
            elif name in on_path:
                return [*path[path.index(name) :], name]
            elif name not in done:
                path.append(name)
                on_path.add(name)
                waiting.append(iter(requires[name]))
    return None


def batches(requires: Requirements) -> list[list[str]]:
    """Ids in batches, each batch in the order of *requires*; checked first.

    Raises:
        UnknownDependency, DependencyCycle: as :func:`check`.
    """
    check(requires)
    dependents: dict[str, list[str]] = {name: [] for name in requires}
    open_needs = {name: len(set(needed)) for name, needed in requires.items()}
    for name, needed in requires.items():
        for other in set(needed):
            dependents[other].append(name)
    position = {name: place for place, name in enumerate(requires)}
    result: list[list[str]] = []
    ready = [name for name, count in open_needs.items() if count == 0]
    while ready:
        result.append(ready)
        following: list[str] = []
        for name in ready:
            for dependent in dependents[name]:
                open_needs[dependent] -= 1
                if open_needs[dependent] == 0:
                    following.append(dependent)
        ready = sorted(following, key=position.__getitem__)
    return result


def closure(requires: Requirements, wanted: Sequence[str]) -> list[str]:
    """*wanted* and everything it requires, directly or not, in the order of *requires*."""
    keep: set[str] = set()
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        if name not in keep:
            keep.add(name)
            waiting.extend(requires[name])
    return [name for name in requires if name in keep]
