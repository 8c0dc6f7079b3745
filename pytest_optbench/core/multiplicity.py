"""Many benchmarks, many candidates, many attempts: keep the chance of any false claim small.

Holm (Scand. J. Statist. 1979) for claims over a suite, Benjamini-Hochberg (JRSS B 1995) for dashboards.
Worked numbers: p = .001 .008 .012 .02 .04 become .005 .032 .036 .04 .04 (Holm) and .005 .02 .02 .025 .04
(Benjamini-Hochberg).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from pytest_optbench.core.arrays import FloatArray


def _p_values(p: ArrayLike) -> FloatArray:
    values = np.asarray(p, dtype=np.float64).reshape(-1)
    # A missing p-value is no evidence, not a pass.
    return np.where(np.isnan(values), 1.0, np.clip(values, 0.0, 1.0))


def holm(p: ArrayLike) -> FloatArray:
    """Return Holm-adjusted p-values in the order given; NaN counts as 1. Family-wise, any dependence."""
    values = _p_values(p)
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * values[order]), 1.0)
    return adjusted


def benjamini_hochberg(p: ArrayLike) -> FloatArray:
    """Return p-values adjusted for the false discovery rate, in the order given; NaN counts as 1."""
    values = _p_values(p)
    m = len(values)
    order = np.argsort(values, kind="stable")[::-1]
    factors = m / np.arange(m, 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.minimum.accumulate(factors * values[order]), 1.0)
    return adjusted


def attempt_alpha(alpha: float, attempt: int) -> float:
    """Return the error the given attempt on one subject may spend.

    The first attempt uses alpha itself, attempt j >= 2 uses alpha * 6 / (pi * j)**2. Over unlimited
    attempts that sums to alpha * (2 - 6 / pi**2) = 1.392 alpha: retrying until it passes gains little.

    Raises:
        ValueError: attempt is below 1.
    """
    if attempt < 1:
        raise ValueError(f"attempts count from 1, got {attempt!r}")
    return alpha if attempt == 1 else alpha * 6.0 / (math.pi * attempt) ** 2


def sequential_p(
    p: Sequence[float], shares: ArrayLike, limits: Sequence[float], levels: Sequence[float]
) -> float:
    """Return one p-value for a decision from the p-values of the looks taken, each against its threshold.

    The smallest p_k / share_k (weighted Bonferroni, valid under any dependence), lowered to the level of
    the plan when a look met its calibrated limit, and above that level when none did: the value is at
    most the level exactly when the interval cleared the threshold.

    Args:
        p: p-value at each look taken, (K,); NaN is no evidence. No look: 1.0.
        shares: share of the error spent at each planned look, at least (K,).
        limits: limit each look was held to, (K,).
        levels: total one-sided error those limits belong to, (K,).
    """
    if not len(p):
        return 1.0
    values, level = _p_values(p), np.asarray(levels, dtype=np.float64)
    weighted = float(np.min(values / np.asarray(shares, dtype=np.float64)[: len(values)]))
    met = values <= np.asarray(limits, dtype=np.float64)
    if met.any():
        return min(weighted, float(level[met].min()))
    return float(min(max(weighted, np.nextafter(level.max(), 1.0)), 1.0))
