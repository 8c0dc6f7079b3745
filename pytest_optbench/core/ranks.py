"""Distribution-free tests with exact intervals: Mann-Whitney, its crossover form, and Wilcoxon.

The crossover form is the one the decision prints: with u the log ratios of baseline-first pairs and v those
of the others, the shift between u and -v is twice theta whatever the order effect is (Koch 1972). Its
p-value is exact for any noise under the random order alone. Estimates are Hodges-Lehmann medians,
intervals the matching order statistics. Ties are counted half and rounded towards "no difference".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from pytest_optbench.core.arrays import FloatArray, as_rows, median
from pytest_optbench.core.distributions import normal_critical, normal_upper

CROSSOVER = "crossover Mann-Whitney (Hodges-Lehmann)"
_EXACT_LIMIT = 60
"""Largest sample (per group for Mann-Whitney) with an exact null distribution; above, the normal one."""


@dataclass(frozen=True)
class RankTest:
    """A two-sided rank test: statistic, p, Hodges-Lehmann estimate, interval (infinite for tiny n)."""

    statistic: float
    p: float
    estimate: float
    low: float
    high: float


@lru_cache(maxsize=256)
def _mann_whitney_shares(m: int, n: int) -> FloatArray:
    """Return P(U = 0), P(U = 1), ... for samples of m and n without ties, shape (m * n + 1,)."""
    ways = np.zeros((m + 1, m * n + 1))
    ways[0, 0] = 1.0
    for rank in range(m + n):
        for chosen in range(min(rank + 1, m), 0, -1):
            # Choosing this rank as the chosen-th smallest adds rank - (chosen - 1) to U.
            gain = rank - (chosen - 1)
            if gain > m * n:
                continue
            ways[chosen, gain:] += ways[chosen - 1, : m * n + 1 - gain]
    shares: FloatArray = ways[m] / ways[m].sum()
    return shares


@lru_cache(maxsize=256)
def _signed_rank_shares(n: int) -> FloatArray:
    """Return P(V = 0), P(V = 1), ... for n differences without ties or zeros, shape (n(n+1)/2 + 1,)."""
    shares = np.zeros(n * (n + 1) // 2 + 1)
    shares[0] = 1.0
    for rank in range(1, n + 1):
        shifted = np.zeros_like(shares)
        shifted[rank:] = shares[:-rank]
        shares = 0.5 * (shares + shifted)
    return shares


def _lower_tail(shares: FloatArray | None, values: FloatArray, mean: float, sd: float) -> FloatArray:
    """Return P(X <= value) for a statistic symmetric around its mean; half counts round up (larger p)."""
    if shares is None:
        return np.asarray(normal_upper(-(values + 0.5 - mean) / sd))
    tail: FloatArray = np.cumsum(shares)[np.floor(values + 0.5).astype(np.int64)]
    return tail


def _mann_whitney_moments(m: int, n: int) -> tuple[float, float]:
    return m * n / 2.0, math.sqrt(m * n * (m + n + 1) / 12.0)


def _order_statistic(shares: FloatArray | None, alpha: float, mean: float, sd: float) -> int:
    """Return the largest k with P(X <= k - 1) <= alpha / 2; 0 if there is none."""
    if shares is None:
        return max(math.floor(mean - float(normal_critical(alpha / 2.0)) * sd), 0)
    return int(np.searchsorted(np.cumsum(shares), alpha / 2.0, side="right"))


def _result(
    points: FloatArray, statistic: float, shares: FloatArray | None, mean: float, sd: float, alpha: float
) -> RankTest:
    ordered = np.sort(points)
    k = _order_statistic(shares, alpha, mean, sd)
    smaller = min(statistic, 2.0 * mean - statistic)
    p = min(1.0, 2.0 * float(_lower_tail(shares, np.array([smaller]), mean, sd)[0]))
    low, high = (float(ordered[k - 1]), float(ordered[len(ordered) - k])) if k else (-math.inf, math.inf)
    return RankTest(statistic, p, float(median(ordered)), low, high)


def mann_whitney(first: ArrayLike, second: ArrayLike, alpha: float = 0.05) -> RankTest:
    """Return the test of no shift between two independent samples; the estimate is first - second.

    The statistic U counts the pairs with first above second, ties half.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    m, n = len(a), len(b)
    differences = (a[:, None] - b[None, :]).reshape(-1)
    statistic = float((differences > 0).sum() + 0.5 * (differences == 0).sum())
    shares = _mann_whitney_shares(m, n) if max(m, n) <= _EXACT_LIMIT else None
    mean, sd = _mann_whitney_moments(m, n)
    return _result(differences, statistic, shares, mean, sd, alpha)


def crossover(log_ratio: ArrayLike, order: ArrayLike, alpha: float = 0.05) -> RankTest:
    """Return the order-adjusted rank test of theta = 0 for log ratios (n,) with their orders.

    Estimate: median of (u_i + v_j) / 2 over baseline-first u and optimized-first v.
    """
    d, x = np.asarray(log_ratio, dtype=np.float64), np.asarray(order, dtype=np.float64)
    doubled = mann_whitney(d[x > 0], -d[x < 0], alpha)
    return RankTest(
        doubled.statistic, doubled.p, doubled.estimate / 2.0, doubled.low / 2.0, doubled.high / 2.0
    )


def crossover_below(
    log_ratio: ArrayLike, order: ArrayLike, threshold: float
) -> tuple[FloatArray, FloatArray]:
    """Return the exact one-sided p-value of "theta is below threshold" for rows (R, n), and its least value.

    Both have shape (R,). The least value is reached when the two orders separate completely; below
    it the random order alone cannot support any claim, however small the t-test makes its p-value.
    """
    d, x = as_rows(log_ratio), as_rows(order)
    n = d.shape[1]
    counts = (x > 0).sum(1)
    p, least = np.ones(len(d)), np.ones(len(d))
    for count in set(counts.tolist()):
        rows = np.flatnonzero(counts == count)
        m = int(count)
        if m in (0, n):
            continue
        grouped = np.take_along_axis(d[rows], np.argsort(-x[rows], axis=1, kind="stable"), 1)
        sums = grouped[:, :m, None] + grouped[:, None, m:] - 2.0 * threshold
        statistic = (sums > 0).sum((1, 2)) + 0.5 * (sums == 0).sum((1, 2))
        shares = _mann_whitney_shares(m, n - m) if max(m, n - m) <= _EXACT_LIMIT else None
        mean, sd = _mann_whitney_moments(m, n - m)
        p[rows] = _lower_tail(shares, statistic, mean, sd)
        least[rows] = _lower_tail(shares, np.zeros(1), mean, sd)
    return np.where(np.isnan(d).any(1), 1.0, p), least


def wilcoxon(differences: ArrayLike, null: float = 0.0, alpha: float = 0.05) -> RankTest:
    """Return Wilcoxon's signed-rank test of centre = null with the Hodges-Lehmann estimate of the centre.

    The statistic V counts the Walsh averages above null, ties half (equal to the sum of positive ranks
    when there are no ties).
    """
    d = np.asarray(differences, dtype=np.float64)
    n = len(d)
    i, j = np.triu_indices(n)
    walsh = (d[i] + d[j]) / 2.0
    statistic = float((walsh > null).sum() + 0.5 * (walsh == null).sum())
    shares = _signed_rank_shares(n) if n <= _EXACT_LIMIT else None
    mean, sd = n * (n + 1) / 4.0, math.sqrt(n * (n + 1) * (2 * n + 1) / 24.0)
    return _result(walsh, statistic, shares, mean, sd, alpha)
