"""The tests beside the decision: what other methods say of the same pairs. None of them decides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_optbench.core.classic import TTest, paired_t, welch_t
from pytest_optbench.core.diagnose import order_effect
from pytest_optbench.core.estimate import least_squares, total_time
from pytest_optbench.core.pairs import Pairs
from pytest_optbench.core.ranks import RankTest, crossover

COMPANION_ALPHA = 0.05
"""The tests beside the decision are plain 95 % ones; looks and attempts do not change them."""


@dataclass(frozen=True)
class Companions:
    """The tests beside the decision, all at 95 %, on the log speedup (positive is faster); Welch on seconds.

    total_ratio is total baseline / total optimized time with its Fieller interval.
    """

    paired_t: TTest
    welch_t: TTest
    ranks: RankTest
    total_ratio: tuple[float, float, float]
    order_ratio: float
    order_p: float


def companions_of(pairs: Pairs) -> Companions:
    """Return the companion tests on estimable pairs."""
    total = total_time(pairs.baseline_s, pairs.optimized_s, COMPANION_ALPHA)
    order_ratio, order_p = order_effect(least_squares(pairs.log_ratio, pairs.order))
    with np.errstate(divide="ignore"):
        inverse = tuple(float(v) for v in 1.0 / np.array([total.ratio[0], total.high[0], total.low[0]]))
    ranks = crossover(pairs.log_ratio, pairs.order, COMPANION_ALPHA)
    return Companions(
        paired_t=paired_t(-pairs.log_ratio, alpha=COMPANION_ALPHA),
        welch_t=welch_t(pairs.baseline_s, pairs.optimized_s, COMPANION_ALPHA),
        ranks=RankTest(ranks.statistic, ranks.p, -ranks.estimate, -ranks.high, -ranks.low),
        total_ratio=(inverse[0], inverse[1], inverse[2]),
        order_ratio=order_ratio,
        order_p=order_p,
    )
