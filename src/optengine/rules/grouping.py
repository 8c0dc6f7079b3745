"""Which rules run together: units of work for rules that can run now. Pure.

Rules of one group share an expensive input, so they stay together in one worker. A group is cut only where it
would keep one worker busy while others have nothing to do, and only when building the input again costs less
than waiting. Rules without a group are packed so that no unit is larger than its share. Units that most other
rules wait for come first, among these the longest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from optengine.rules.adaptive import building_key
from optengine.rules.model import Rule

#: Units per worker that ungrouped rules are packed into: enough to even out, few enough to cost nothing.
UNITS_PER_WORKER = 4
DEFAULT_COST_S = 0.01


@dataclass(frozen=True)
class Unit:
    """Rules that one worker runs one after another. ``cost_s`` is a prediction used for ordering only."""

    group: str | None
    rules: tuple[Rule, ...]
    cost_s: float


def plan(
    rules: Sequence[Rule],
    workers: int,
    *,
    costs: Mapping[str, float] | None = None,
    followers: Mapping[str, int] | None = None,
    running: Sequence[Rule] = (),
    grouping: bool = True,
) -> list[Unit]:
    """Units for *rules*, most urgent first; every rule is in exactly one.

    Args:
        rules: rules that do not depend on each other.
        workers: workers that will run them.
        costs: seconds per rule id, as far as known from earlier, and under
            :func:`optengine.rules.adaptive.building_key` what it spent on building shared inputs.
        followers: per rule id the longest chain of rules that waits for it; see
            :func:`optengine.rules.graph.followers`. Without it the longest units come first.
        running: rules under way, which keep their workers busy meanwhile.
        grouping: False puts every rule into a unit of its own.
    """
    known = costs or {}
    of_rules = sorted(seconds for name, seconds in known.items() if " " not in name)
    typical = of_rules[len(of_rules) // 2] if of_rules else DEFAULT_COST_S

    def cost(rule: Rule) -> float:
        # The inputs of a group are its own cost, whichever of its rules happened to build them.
        building = known.get(building_key(rule.id), 0.0) if rule.group is None else 0.0
        return max(known.get(rule.id, typical) + building, 1e-6)

    def urgency(unit: Unit) -> tuple[int, float]:
        return -max((followers or {}).get(rule.id, 0) for rule in unit.rules), -unit.cost_s

    if not grouping:
        return sorted([Unit(rule.group, (rule,), cost(rule)) for rule in rules], key=urgency)
    total = sum(map(cost, rules)) + sum(map(cost, running))
    share = total / workers if workers else total
    groups: dict[str, list[Rule]] = {}
    single: list[Rule] = []
    for rule in rules:
        (groups.setdefault(rule.group, []) if rule.group is not None else single).append(rule)
    units: list[Unit] = []
    for name, members in groups.items():
        build = max(known.get(building_key(rule.id), 0.0) for rule in members)
        whole = sum(map(cost, members))
        pieces = 1
        if workers > 1 and whole > 1.2 * share:
            pieces = min(workers, len(members), math.ceil(whole / share) if share else 1)
            if build + whole / pieces >= whole:
                pieces = 1
        units.extend(
            Unit(name, tuple(part), build + sum(map(cost, part))) for part in _deal(members, pieces, cost)
        )
    bins = min(len(single), workers * UNITS_PER_WORKER) if workers > 1 else min(1, len(single))
    units.extend(Unit(None, tuple(part), sum(map(cost, part))) for part in _deal(single, bins, cost))
    return sorted(units, key=urgency)


def _deal(rules: Sequence[Rule], bins: int, cost: Callable[[Rule], float]) -> list[list[Rule]]:
    """*rules* in *bins* parts of nearly equal cost, each in the original order."""
    if bins <= 1:
        return [list(rules)] if rules else []
    loads = [0.0] * bins
    place: dict[str, int] = {}
    for rule in sorted(rules, key=cost, reverse=True):
        target = loads.index(min(loads))
        loads[target] += cost(rule)
        place[rule.id] = target
    parts: list[list[Rule]] = [[] for _ in range(bins)]
    for rule in rules:
        parts[place[rule.id]].append(rule)
    return [part for part in parts if part]
