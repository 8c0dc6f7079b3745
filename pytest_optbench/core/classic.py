"""The textbook t-tests that stand beside the decision: paired t on log ratios, Welch's t on seconds.

They are printed so that readers can check the numbers with any other tool; they do not decide. Worked
number: on R's `sleep` data the paired t is -4.0621 (df 9, p 0.002833), Welch's -1.8608 (df 17.776).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pytest_optbench.core.distributions import t_critical, t_upper


@dataclass(frozen=True)
class TTest:
    """A two-sided t-test: t, df, p, the estimate and its interval. t and p are NaN without any spread."""

    t: float
    df: float
    p: float
    estimate: float
    low: float
    high: float


def _t_test(estimate: float, se: float, df: float, null: float, alpha: float) -> TTest:
    if not (math.isfinite(se) and se > 0.0 and df > 0.0):
        return TTest(math.nan, df, math.nan, estimate, math.nan, math.nan)
    t = (estimate - null) / se
    half = float(t_critical(alpha / 2.0, df)) * se
    return TTest(t, df, float(2.0 * t_upper(abs(t), df)), estimate, estimate - half, estimate + half)


def paired_t(differences: ArrayLike, null: float = 0.0, alpha: float = 0.05) -> TTest:
    """Return the t-test of mean difference = null over n paired differences; df = n - 1, level 1 - alpha."""
    d = np.asarray(differences, dtype=np.float64)
    n = len(d)
    if n < 2:
        return _t_test(float(d.mean()) if n else math.nan, math.nan, max(n - 1, 0), null, alpha)
    return _t_test(float(d.mean()), float(d.std(ddof=1)) / math.sqrt(n), n - 1, null, alpha)


def welch_t(first: ArrayLike, second: ArrayLike, alpha: float = 0.05) -> TTest:
    """Return Welch's t-test of mean(first) - mean(second) = 0 for independent samples, level 1 - alpha.

    Given seconds of baseline and optimized runs, a positive t means the optimized arm is faster. Ignores
    the pairing, so anything the machine did to both arms counts as noise.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if len(a) < 2 or len(b) < 2:
        return TTest(math.nan, math.nan, math.nan, math.nan, math.nan, math.nan)
    va, vb = float(a.var(ddof=1)) / len(a), float(b.var(ddof=1)) / len(b)
    spread = va + vb
    df = spread**2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1)) if spread > 0.0 else math.nan
    return _t_test(float(a.mean() - b.mean()), math.sqrt(spread), df, 0.0, alpha)
