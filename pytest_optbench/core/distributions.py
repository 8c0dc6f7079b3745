"""Tail probabilities of the distributions the decision needs.

Thin names over `scipy.special`: the same numbers as `scipy.stats`, whose import takes over a second.
All functions take and return floats or arrays; `df` is the number of degrees of freedom.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import special

from pytest_optbench.core.arrays import FloatArray

# Above this many values the normal approximation of Kendall's tau is good to three digits.
_KENDALL_EXACT_LIMIT = 60


def t_upper(t: Any, df: Any) -> Any:
    """Return P(T > t) for Student's t."""
    return special.stdtr(df, -np.asarray(t))


def t_critical(p: Any, df: Any) -> Any:
    """Return the t with P(T > t) = p for Student's t; p in (0, 1)."""
    return -special.stdtrit(df, p)


def normal_upper(z: Any) -> Any:
    """Return P(Z > z) for the standard normal."""
    return special.ndtr(-np.asarray(z))


def normal_critical(p: Any) -> Any:
    """Return the z with P(Z > z) = p for the standard normal; p in (0, 1)."""
    return -special.ndtri(p)


def noncentral_t_upper(t: float, df: float, noncentrality: float) -> float:
    """Return P(T > t) for the noncentral t."""
    return float(1.0 - special.nctdtr(df, noncentrality, t))


def binomial_upper(k: int, n: int) -> float:
    """Return P(X >= k) for n fair coin flips; 1.0 when n is 0."""
    if n == 0:
        return 1.0
    return float(special.bdtrc(k - 1, n, 0.5)) if k > 0 else 1.0


@lru_cache(maxsize=64)
def _inversion_counts(n: int) -> FloatArray:
    """Return how many permutations of n have 0, 1, 2, ... inversions, as a share of n! (Mahonian numbers)."""
    shares = np.ones(1)
    for i in range(2, n + 1):
        shares = np.convolve(shares, np.full(i, 1.0 / i))
    return shares


def kendall(values: FloatArray) -> tuple[float, float]:
    """Return Kendall's tau-b between `values` (n,) and their position, and its two-sided p-value.

    Exact without ties up to 60 values (as `scipy.stats.kendalltau`), otherwise the normal approximation
    with the variance corrected for ties. Fewer than three values or all values equal: (0.0, 1.0).
    """
    n = len(values)
    upper = np.triu_indices(n, 1)
    signs = np.sign(values[upper[1]] - values[upper[0]])
    total = n * (n - 1) // 2
    _, counts = np.unique(values, return_counts=True)
    tied = int((counts * (counts - 1) // 2).sum())
    if n < 3 or tied == total:
        return 0.0, 1.0
    score = float(signs.sum())
    tau = score / math.sqrt(total * (total - tied))
    if tied == 0 and n <= _KENDALL_EXACT_LIMIT:
        discordant = int((total - score) / 2)
        fewest = min(discordant, total - discordant)
        return tau, min(1.0, 2.0 * float(_inversion_counts(n)[: fewest + 1].sum()))
    tie_term = float((counts * (counts - 1) * (2 * counts + 5)).sum())
    variance = (n * (n - 1) * (2 * n + 5) - tie_term) / 18.0
    return tau, float(2.0 * normal_upper(abs(score) / math.sqrt(variance)))
