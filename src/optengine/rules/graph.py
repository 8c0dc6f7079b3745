"""Dependencies between rules: checked, cut into batches whose rules do not depend on each other, and followed
while rules finish. Pure.

A batch holds every rule whose longest chain of requirements has the same length, so batch 0 needs nothing and
every rule comes after all it requires. A frontier needs no batches: a rule is ready once its own requirements
are done.
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


class Frontier:
    """What can start while rules finish one after another: rules whose requirements are all done.

    Args:
        requires: requirements of every rule; its order is the order of what is ready at the same time.

    Raises:
        UnknownDependency, DependencyCycle: as :func:`check`.
    """

    def __init__(self, requires: Requirements) -> None:
        check(requires)
        self._dependents: dict[str, list[str]] = {name: [] for name in requires}
        self._open_needs = {name: len(set(needed)) for name, needed in requires.items()}
        for name, needed in requires.items():
            for other in set(needed):
                self._dependents[other].append(name)
        self._position = {name: place for place, name in enumerate(requires)}
        self._ready = [name for name, count in self._open_needs.items() if count == 0]

    def take(self) -> list[str]:
        """Rules that became ready since the last call; each is given once."""
        taken, self._ready = sorted(self._ready, key=self._position.__getitem__), []
        return taken

    def finish(self, name: str) -> None:
        """Take note that *name* is done; called once per rule."""
        for dependent in self._dependents[name]:
            self._open_needs[dependent] -= 1
            if self._open_needs[dependent] == 0:
                self._ready.append(dependent)


def batches(requires: Requirements) -> list[list[str]]:
    """Ids in batches, each batch in the order of *requires*; checked first.

    Raises:
        UnknownDependency, DependencyCycle: as :func:`check`.
    """
    frontier = Frontier(requires)
    result: list[list[str]] = []
    while ready := frontier.take():
        result.append(ready)
        for name in ready:
            frontier.finish(name)
    return result


def followers(requires: Requirements) -> dict[str, int]:
    """Per rule the length of the longest chain of rules that wait for it; 0 when nothing does.

    Starting rules with the longest chain first is the list scheduling of Graham (1969) by critical path.
    """
    longest = dict.fromkeys(requires, 0)
    for batch in reversed(batches(requires)):
        for name in batch:
            for needed in requires[name]:
                longest[needed] = max(longest[needed], longest[name] + 1)
    return longest


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
