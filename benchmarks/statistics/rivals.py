"""How other tools would answer "is it at least 5 % faster?" when all baseline runs come first.

Rules only; none of those tools is run here. pytest-benchmark compares one statistic of two runs with a
percentage (`--benchmark-compare-fail`); a Welch t-test with a point estimate is what most people script.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from pytest_optbench.core.arrays import BoolArray, FloatArray
from pytest_optbench.core.distributions import t_upper

Rule: TypeAlias = Callable[[FloatArray, FloatArray, float], BoolArray]


def statistic_rule(statistic: Callable[..., FloatArray]) -> Rule:
    """Return the rule "this statistic is smaller by the margin"."""

    def faster(baseline: FloatArray, optimized: FloatArray, margin: float) -> BoolArray:
        hit: BoolArray = statistic(optimized, axis=1) <= (1.0 - margin) * statistic(baseline, axis=1)
        return hit

    return faster


def welch_rule(baseline: FloatArray, optimized: FloatArray, margin: float) -> BoolArray:
    """Return where Welch's t has p < 0.05 and the mean is smaller by the margin."""
    n = baseline.shape[1]
    va, vb = baseline.var(1, ddof=1) / n, optimized.var(1, ddof=1) / n
    difference = baseline.mean(1) - optimized.mean(1)
    df = (va + vb) ** 2 * (n - 1) / (va**2 + vb**2)
    p = 2.0 * np.asarray(t_upper(np.abs(difference) / np.sqrt(va + vb), df))
    hit: BoolArray = (p < 0.05) & (optimized.mean(1) <= (1.0 - margin) * baseline.mean(1))
    return hit


RULES: dict[str, Rule] = {
    "Welch p < 0.05 and mean 5 %": welch_rule,
    "pytest-benchmark mean:5%": statistic_rule(np.mean),
    "pytest-benchmark median:5%": statistic_rule(np.median),
    "pytest-benchmark min:5%": statistic_rule(np.min),
}


def judge(stretch: FloatArray, time_saved: float, rule: Rule, margin: float = 0.05) -> BoolArray:
    """Return the verdict of a rule on R stretches (R, slots): first half baseline, second half optimized."""
    half = stretch.shape[1] // 2
    seconds = np.exp(stretch)
    return rule(seconds[:, :half], (1.0 - time_saved) * seconds[:, half:], margin)
