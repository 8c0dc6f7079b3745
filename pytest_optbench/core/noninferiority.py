"""Not slower by more than a margin, at one fixed number of pairs: non-inferiority and equivalence.

`decision.decide` with the "no-regression" goal is the sequential form; this one answers for data that is
already there. TOST: two one-sided tests (Schuirmann 1987), equivalent when the two-sided 1 - 2 alpha
interval lies inside the margin on both sides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pytest_optbench.core.arrays import BoolArray, FloatArray, scalar
from pytest_optbench.core.distributions import t_critical, t_upper
from pytest_optbench.core.estimate import Estimate, huber
from pytest_optbench.core.pairs import Pairs
from pytest_optbench.core.verdicts import Verdict


@dataclass(frozen=True)
class RegressionRows:
    """Fixed-n no-regression test of R sessions; arrays (R,). low, high bound the log time ratio."""

    not_slower: BoolArray
    slower: BoolArray
    p_noninferior: FloatArray
    p_equivalence: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True)
class NoRegression:
    """Fixed-n answer: ACCEPT no regression, REJECT regression, else INCONCLUSIVE.

    slowdown and its 1 - 2 alpha interval are fractions (0.01 = 1 % slower); equivalent is the TOST result.
    Without a usable measurement the numbers are NaN and the verdict is INCONCLUSIVE.
    """

    verdict: Verdict
    equivalent: bool
    p_noninferior: float
    p_equivalence: float
    slowdown: float
    slowdown_low: float
    slowdown_high: float


def no_regression_rows(estimate: Estimate, delta: float, alpha: float = 0.05) -> RegressionRows:
    """Return the one-sided tests of each row against log(1 + delta) and, for equivalence, its negative.

    Raises:
        ValueError: delta is not above 0.
    """
    if not delta > 0.0:
        raise ValueError(f"the allowed slowdown must be above 0, got {delta!r}; write 0.02 for 2 %")
    margin = math.log1p(delta)
    theta = estimate.theta
    se = np.where(estimate.valid, estimate.se, np.nan)
    half = float(t_critical(alpha, estimate.df)) * se
    with np.errstate(invalid="ignore"):
        p_slower = np.asarray(t_upper((margin - theta) / se, estimate.df))
        p_faster = np.asarray(t_upper((theta + margin) / se, estimate.df))
        return RegressionRows(
            not_slower=theta + half < margin,
            slower=theta - half > margin,
            p_noninferior=p_slower,
            p_equivalence=np.maximum(p_slower, p_faster),
            low=theta - half,
            high=theta + half,
        )


def no_regression(pairs: Pairs, delta: float = 0.02, alpha: float = 0.05) -> NoRegression:
    """Return whether the optimized arm is at most the fraction `delta` slower, at this number of pairs.

    Raises:
        ValueError: delta is not above 0.
    """
    if not pairs.estimable:
        nan = math.nan
        return NoRegression(Verdict.INCONCLUSIVE, False, nan, nan, nan, nan, nan)
    estimate = huber(pairs.log_ratio, pairs.order)
    rows = no_regression_rows(estimate, delta, alpha)
    verdict = (
        Verdict.ACCEPT if rows.not_slower[0] else Verdict.REJECT if rows.slower[0] else Verdict.INCONCLUSIVE
    )
    return NoRegression(
        verdict=verdict,
        equivalent=bool(rows.p_equivalence[0] < alpha),
        p_noninferior=scalar(rows.p_noninferior),
        p_equivalence=scalar(rows.p_equivalence),
        slowdown=math.expm1(scalar(estimate.theta)),
        slowdown_low=math.expm1(scalar(rows.low)),
        slowdown_high=math.expm1(scalar(rows.high)),
    )
