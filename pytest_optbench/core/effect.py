"""The effect on the log scale of optimized/baseline, with its interval and the tests that go with it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_optbench.core.distributions import t_critical, t_upper
from pytest_optbench.core.goal import Goal


@dataclass(frozen=True)
class Effect:
    """An estimate with its standard error and degrees of freedom, and what follows from them at `limit`.

    [low, high] has level 1 - 2 * limit. t values are positive when the optimized arm is faster (than the
    threshold, than the baseline); p_margin is one-sided, p_zero two-sided. NaN where nothing can be said.
    """

    theta: float
    se: float
    df: float
    limit: float
    low: float = math.nan
    high: float = math.nan
    t_margin: float = math.nan
    p_margin: float = math.nan
    t_zero: float = math.nan
    p_zero: float = math.nan

    @property
    def saved(self) -> tuple[float, float, float]:
        """Fraction of time saved: estimate, low, high."""
        return -math.expm1(self.theta), -math.expm1(self.high), -math.expm1(self.low)

    @property
    def ratio(self) -> tuple[float, float, float]:
        """Ratio baseline/optimized (above 1 is faster): estimate, low, high."""
        return math.exp(-self.theta), math.exp(-self.high), math.exp(-self.low)


def effect_of(theta: float, se: float, df: float, limit: float, goal: Goal) -> Effect:
    """Return what an estimate says of `goal`; without a standard error that is the estimate alone."""
    if not (math.isfinite(se) and df > 0.0):
        return Effect(theta, se, df, limit)
    half = float(t_critical(limit, df)) * se
    t_margin, t_zero = (goal.log_threshold - theta) / se, -theta / se
    return Effect(
        theta=theta,
        se=se,
        df=df,
        limit=limit,
        low=theta - half,
        high=theta + half,
        t_margin=t_margin,
        p_margin=float(t_upper(t_margin, df)),
        t_zero=t_zero,
        p_zero=float(2.0 * t_upper(abs(t_zero), df)),
    )
