"""One row of the acceptance bars: what a bar asks and what was reached."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.statistics.sessions import Outcome
from pytest_optbench.core.goal import Goal

GOAL = Goal("speedup", 0.05)
"""The question all bars are about: at least 5 % of the time saved."""


@dataclass(frozen=True)
class Bar:
    """One row: which bar, what it asks, what was reached, and whether that passes (None: cannot be shown)."""

    number: str
    name: str
    required: str
    achieved: str
    passed: bool | None


def accept_percent(outcome: Outcome) -> float:
    """Share of the sessions that ended with ACCEPT, in per cent."""
    return 100.0 * outcome.accept_rate


def at_most(number: str, name: str, value: float, limit: float, where: str = "", unit: str = "%") -> Bar:
    """Return the row of a bar that `value` must not exceed; `where` says in which model it was reached."""
    where = f" ({where})" if where else ""
    return Bar(number, name, f"<= {limit:g}{unit}", f"{value:.2f}{unit}{where}", value <= limit)


def at_least(number: str, name: str, value: float, limit: float, where: str = "", unit: str = "%") -> Bar:
    """Return the row of a bar that `value` must reach; `where` says in which model it was measured."""
    where = f" ({where})" if where else ""
    return Bar(number, name, f">= {limit:g}{unit}", f"{value:.2f}{unit}{where}", value >= limit)
