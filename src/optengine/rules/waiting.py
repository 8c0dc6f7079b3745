"""Rules that wait for a worker, and which of them a free worker gets. Pure.

Waiting rules are planned into units again when others join them, so that rules of one group that became ready
at different times still run together. Rules that lost their worker come back in units that stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from optengine.rules.grouping import UNITS_PER_WORKER, Unit
from optengine.rules.model import Rule

Plan = Callable[[Sequence[Rule], Sequence[Rule]], list[Unit]]


class WaitingRules:
    """The queue of one run.

    Args:
        plan: units for rules that wait, most urgent first, given the rules under way.
        workers: workers that take units.
    """

    def __init__(self, plan: Plan, workers: int) -> None:
        self._plan = plan
        self._enough = workers * UNITS_PER_WORKER
        self._units: list[list[Rule]] = []
        self._again: list[list[Rule]] = []
        self._home: dict[str, int] = {}

    def __bool__(self) -> bool:
        """Whether any rule waits."""
        return bool(self._units or self._again)

    @property
    def low(self) -> bool:
        """Whether so few units wait that others should join; with more, planning anew would only cost time."""
        return len(self._units) < self._enough

    def join(self, rules: Sequence[Rule], running: Sequence[Rule]) -> None:
        """Add *rules* that became ready; *running* are under way."""
        if rules:
            waiting = [rule for unit in self._units for rule in unit]
            self._units = [list(unit.rules) for unit in self._plan([*waiting, *rules], running)]

    def rejoin(self, rules: Sequence[Rule]) -> None:
        """Add *rules* that lost their worker: they run together, with no others, before all that wait."""
        self._again.append(list(rules))

    def settle(self, group: str, worker: int) -> None:
        """Take note that *worker* holds the shared input of *group*; the first to build it stays its home."""
        self._home.setdefault(group, worker)

    def next(self, free: int | None, busy: Collection[int | None]) -> list[Rule]:
        """Take the most urgent unit whose group the worker *free* knows, else whose group none knows, else any.

        The pool hands a unit to the worker that is free, and with all others busy that is the one that landed
        last. A wrong guess costs building the group's input once more. While many units wait, a worker gets two that
        it knows the inputs of, which spares it one wait for the next.
        """
        if self._again:
            return self._again.pop(0)
        if free is not None and free not in busy:
            for wanted in (free, None):
                place = self._first_at(wanted)
                if place is not None:
                    rules = self._units.pop(place)
                    if (
                        wanted is None
                        or len(self._units) < self._enough
                        or (place := self._first_at(free)) is None
                    ):
                        return rules
                    return rules + self._units.pop(place)
        return self._units.pop(0)

    def _first_at(self, worker: int | None) -> int | None:
        """Position of the most urgent unit whose group *worker* knows; None for a group that no worker knows."""
        homes = (self._home.get(rules[0].group or "") for rules in self._units)
        return next((place for place, home in enumerate(homes) if home == worker), None)
