"""Several optimizations in a row: time ratios multiply, percentages never add.

Saving 74.97 % and then 98.76 % of what is left saves 99.689628 % of the original (322.19 times faster),
not 173.73 %. Only valid when each stage's baseline is the previous stage's optimized version on the same
workload; measuring the first against the last directly is better still.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_optbench.core.distributions import normal_critical, t_critical


@dataclass(frozen=True)
class Stage:
    """One decided optimization: log time ratio theta (below 0 is faster), its standard error and df.

    Raises:
        ValueError: a number that is not finite, a negative standard error, or df not above 0.
    """

    theta: float
    se: float
    df: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.theta) and math.isfinite(self.se) and self.se >= 0.0 and self.df > 0.0):
            raise ValueError(
                "a stage needs a finite theta, se >= 0 and df > 0, "
                f"got {self.theta!r}, {self.se!r}, {self.df!r}"
            )

    @classmethod
    def from_time_saved(cls, fraction: float, se: float = 0.0, df: float = math.inf) -> Stage:
        """Return the stage that saves this fraction of the time.

        Raises:
            ValueError: the fraction is 1 or more: no work takes less than no time.
        """
        if not fraction < 1.0:
            raise ValueError(
                f"time saved must be below 1 (100 %), got {fraction!r}; percentages do not add up"
            )
        return cls(math.log1p(-fraction), se, df)


@dataclass(frozen=True)
class Composition:
    """All stages together: log ratio, fraction of time saved and ratio, with the interval of both."""

    theta: float
    se: float
    df: float
    time_saved: float
    time_saved_low: float
    time_saved_high: float
    ratio: float
    ratio_low: float
    ratio_high: float


def compose(stages: Sequence[Stage], alpha: float = 0.05) -> Composition:
    """Return the cumulative effect of `stages` with its 1 - alpha interval; no stages change nothing.

    theta is the sum, the variance the sum of variances, df by Welch-Satterthwaite; the stages must come
    from independent sessions.
    """
    theta = math.fsum(s.theta for s in stages)
    variance = math.fsum(s.se**2 for s in stages)
    slack = math.fsum(s.se**4 / s.df for s in stages)
    df = variance**2 / slack if slack > 0.0 else math.inf
    half = _critical(alpha / 2.0, df) * math.sqrt(variance)
    low, high = theta - half, theta + half
    saved = -math.expm1(theta)
    assert saved < 1.0 or theta < -36.0, "a product of positive ratios saves less than everything"
    return Composition(
        theta=theta,
        se=math.sqrt(variance),
        df=df,
        time_saved=saved,
        time_saved_low=-math.expm1(high),
        time_saved_high=-math.expm1(low),
        ratio=math.exp(-theta),
        ratio_low=math.exp(-high),
        ratio_high=math.exp(-low),
    )


def _critical(p: float, df: float) -> float:
    return float(t_critical(p, df)) if math.isfinite(df) else float(normal_critical(p))
