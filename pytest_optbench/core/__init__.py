"""The pure part: from pairs of seconds to a decision.

Sees no pytest, no files, no clocks and no environment; needs numpy only. What is imported from this
package loads on first use: `Finding` and `Equivalence` need the standard library only. Data flows one way::

    Trial, Pairs -> huber, total_time -> look (a planned one) -> decide -> Decision.document()

Every numerical function takes arrays of shape (R, n), so the simulations run the code that ships.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_optbench.core.criteria import Criterion
    from pytest_optbench.core.decision import Decision, decide
    from pytest_optbench.core.equivalence import Equivalence
    from pytest_optbench.core.findings import Finding
    from pytest_optbench.core.goal import Goal
    from pytest_optbench.core.judge import LookResult, look, look_candidates
    from pytest_optbench.core.orders import micro_orders, micro_pairs, plan_orders
    from pytest_optbench.core.pairs import Pairs, Trial, adjacent_control, control_log_ratios, trial_log_ratio
    from pytest_optbench.core.sequential import MIN_PAIRS, PlanError, Schedule, schedule
    from pytest_optbench.core.verdicts import Reason, Verdict

_HOMES = {
    "Criterion": "criteria",
    "Decision": "decision",
    "Equivalence": "equivalence",
    "Finding": "findings",
    "Goal": "goal",
    "LookResult": "judge",
    "MIN_PAIRS": "sequential",
    "Pairs": "pairs",
    "PlanError": "sequential",
    "Reason": "verdicts",
    "Schedule": "sequential",
    "Trial": "pairs",
    "Verdict": "verdicts",
    "adjacent_control": "pairs",
    "control_log_ratios": "pairs",
    "decide": "decision",
    "look": "judge",
    "look_candidates": "judge",
    "micro_orders": "orders",
    "micro_pairs": "orders",
    "plan_orders": "orders",
    "schedule": "sequential",
    "trial_log_ratio": "pairs",
}

__all__ = [
    "MIN_PAIRS",
    "Criterion",
    "Decision",
    "Equivalence",
    "Finding",
    "Goal",
    "LookResult",
    "Pairs",
    "PlanError",
    "Reason",
    "Schedule",
    "Trial",
    "Verdict",
    "adjacent_control",
    "control_log_ratios",
    "decide",
    "look",
    "look_candidates",
    "micro_orders",
    "micro_pairs",
    "plan_orders",
    "schedule",
    "trial_log_ratio",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module that holds it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
