"""The pure part: from pairs of seconds to a decision.

Sees no pytest, no files, no clocks and no environment; needs numpy and scipy only, so import it when there
is something to judge. Data flows one way::

    Trial, Pairs -> huber, total_time -> look (a planned one) -> decide -> Decision.document()

Every numerical function takes arrays of shape (R, n), so the simulations run the code that ships.
"""

from pytest_optbench.core.criteria import Criterion, Equivalence
from pytest_optbench.core.decision import Decision, decide, replay
from pytest_optbench.core.diagnose import Finding
from pytest_optbench.core.goal import Goal
from pytest_optbench.core.judge import LookResult, look, look_candidates
from pytest_optbench.core.orders import micro_orders, micro_pairs, plan_orders
from pytest_optbench.core.pairs import Pairs, Trial, adjacent_control, control_log_ratios, trial_log_ratio
from pytest_optbench.core.sequential import MIN_PAIRS, PlanError, Schedule, schedule
from pytest_optbench.core.verdicts import Reason, Verdict

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
    "replay",
    "schedule",
    "trial_log_ratio",
]
