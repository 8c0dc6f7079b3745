"""Findings about the measurement: what a reader should know before trusting the verdict.

Each finding is a value with a code; none of them changes a verdict. "info" explains something that is
already removed or harmless, "warn" something that may matter.
"""

from __future__ import annotations

import math

import numpy as np

from pytest_optbench.core.arrays import FloatArray, median, scalar
from pytest_optbench.core.distributions import binomial_upper, kendall, normal_upper, t_upper
from pytest_optbench.core.estimate import Estimate, LeastSquares, TotalTime
from pytest_optbench.core.findings import Finding
from pytest_optbench.core.goal import Goal
from pytest_optbench.core.pairs import Pairs

SIGNIFICANT = 0.01
OUTLIER_AT = 3.5
"""Residuals beyond this many robust standard deviations are listed as outliers."""
TAIL_AT = 0.10
BIMODAL_AT = 6.0
"""Ashman's D of the best split into two groups; normal data of 20 to 400 values exceed it in under 1 %."""
_FEWEST_TO_SPLIT = 20
LOAD_AT = 0.5
STEAL_AT = 0.01


def diagnose(
    pairs: Pairs,
    estimate: Estimate,
    fit: LeastSquares,
    total: TotalTime,
    goal: Goal,
    smallest_detectable: float,
    load: float | None = None,
    steal: float | None = None,
) -> tuple[Finding, ...]:
    """Return all findings for one comparison, in a fixed order.

    Args:
        pairs: the measurement; must be estimable.
        estimate, fit, total: the three estimates of the same pairs (one row each).
        goal: the question decided.
        smallest_detectable: fraction of time saved the data could have shown.
        load: runnable processes per CPU while measuring, other than the measured one.
        steal: share of CPU time taken by other guests of the same host, 0..1.
    """
    residuals = pairs.log_ratio - scalar(estimate.theta) - scalar(estimate.order_effect) * pairs.order
    findings = [
        _drift(pairs),
        _ratio_drift(pairs),
        _autocorrelation(residuals * estimate.weights[0]),
        _order_effect(fit),
        *_outliers(residuals),
        _clock_ties(pairs),
        *_bimodality(pairs),
        _spread(estimate, fit, total, goal),
        _noisy(estimate, goal, smallest_detectable),
        _load(load),
        _steal(steal),
    ]
    return tuple(f for f in findings if f is not None)


def order_effect(fit: LeastSquares) -> tuple[float, float]:
    """Return how far the measured time ratio differs between the two orders, as a ratio, and its p-value.

    exp(2 * pi): below 1 when whichever arm runs second tends to be faster. NaN p without any spread.
    """
    pi, se = scalar(fit.order_effect), scalar(fit.order_effect_se)
    p = float(2.0 * t_upper(abs(pi) / se, fit.df)) if se > 0.0 else math.nan
    return math.exp(2.0 * pi), p


def tied_share(values: FloatArray) -> float:
    """Return the share of values that repeat an earlier one, 0..1."""
    return 1.0 - len(set(values.tolist())) / len(values) if len(values) else 0.0


def split_distance(values: FloatArray) -> float:
    """Return Ashman's D of the best split of sorted values into two groups of at least a fifth each.

    sqrt(2) * |difference of means| / sqrt(sum of variances), for the split with the least squares within
    (Ashman et al., AJ 1994). 0 for fewer than twenty values, which often fall into two groups by chance.
    """
    x = np.sort(values)
    n = len(x)
    if n < _FEWEST_TO_SPLIT:
        return 0.0
    left = np.arange(1, n)
    sums, squares = np.cumsum(x - x.mean())[:-1], np.cumsum((x - x.mean()) ** 2)
    within_left = squares[:-1] - sums**2 / left
    within_right = squares[-1] - squares[:-1] - sums**2 / (n - left)
    allowed = (left >= 0.2 * n) & (n - left >= 0.2 * n)
    cut = int(np.argmin(np.where(allowed, within_left + within_right, np.inf)))
    low, high = x[: cut + 1], x[cut + 1 :]
    spread = float(low.var() + high.var())
    if spread <= 0.0:
        return math.inf if high.mean() > low.mean() else 0.0
    return float(math.sqrt(2.0) * (high.mean() - low.mean()) / math.sqrt(spread))


def _percent(log_value: float) -> str:
    return f"{100.0 * math.expm1(log_value):+.2f} %"


def _drift(pairs: Pairs) -> Finding | None:
    tau, p = kendall(np.log(pairs.baseline_s) + np.log(pairs.optimized_s))
    if p >= SIGNIFICANT:
        return None
    way = "slower" if tau > 0 else "faster"
    return Finding(
        "drift", "info", f"both arms became {way} during the run (Kendall tau {tau:.2f}); pairing removes it"
    )


def _ratio_drift(pairs: Pairs) -> Finding | None:
    tau, p = kendall(pairs.log_ratio)
    if p >= SIGNIFICANT:
        return None
    way = "lost" if tau > 0 else "gained"
    return Finding(
        "ratio-drift",
        "warn",
        f"the optimized arm {way} ground during the run (Kendall tau {tau:.2f}, p={p:.2g}): "
        "the effect is not constant (warm-up, a leak, a filling cache)",
    )


def _autocorrelation(weighted: FloatArray) -> Finding | None:
    n = len(weighted)
    square_sum = float((weighted**2).sum())
    if square_sum <= 0.0:
        return None
    r1 = float((weighted[1:] * weighted[:-1]).sum()) / square_sum
    p = float(normal_upper((r1 + 1.0 / (n - 1)) * math.sqrt(n)))
    if p >= SIGNIFICANT:
        return None
    return Finding(
        "autocorrelation",
        "warn",
        f"neighbouring pairs resemble each other (lag-1 correlation {r1:.2f}): "
        "the interval may be too narrow; fresh processes per pair help",
    )


def _order_effect(fit: LeastSquares) -> Finding | None:
    ratio, p = order_effect(fit)
    if not p < SIGNIFICANT:
        return None
    return Finding(
        "order-effect",
        "info",
        f"the ratio differs by {_percent(math.log(ratio))} between the two orders; the estimate is adjusted",
    )


def _outliers(residuals: FloatArray) -> list[Finding]:
    centred = np.abs(residuals - median(residuals))
    deviation = 1.4826 * float(median(centred))
    if deviation <= 0.0:
        return []
    hit = centred > OUTLIER_AT * deviation
    if not hit.any():
        return []
    slow_optimized, slow_baseline = int((hit & (residuals > 0)).sum()), int((hit & (residuals < 0)).sum())
    where = ", ".join(str(i) for i in np.flatnonzero(hit))
    findings = [
        Finding(
            "outliers",
            "info",
            f"unusual pairs {where} ({slow_optimized} with a slow optimized arm, {slow_baseline} with a slow "
            "baseline) count less, none is removed",
        )
    ]
    p = binomial_upper(slow_optimized, slow_optimized + slow_baseline)
    if p < TAIL_AT:
        findings.append(
            Finding(
                "tail-asymmetry",
                "warn",
                f"{slow_optimized} of {slow_optimized + slow_baseline} unusual pairs are slow in the "
                f"optimized arm (p={p:.2g}): its slowest runs may have become worse",
            )
        )
    return findings


def _clock_ties(pairs: Pairs) -> Finding | None:
    share = max(tied_share(pairs.baseline_s), tied_share(pairs.optimized_s))
    if share <= 0.0:
        return None
    return Finding(
        "clock-ties",
        "warn" if share > 0.1 else "info",
        f"{100.0 * share:.0f} % of the times repeat another one exactly: the clock is coarse for them",
    )


def _bimodality(pairs: Pairs) -> list[Finding]:
    findings = []
    for name, column, means in (
        ("baseline", 1, pairs.baseline_s),
        ("optimized", 2, pairs.optimized_s),
    ):
        runs = np.array([run[column] for trial in pairs.trials for run in trial.runs])
        times = runs if len(runs) > len(means) and (runs > 0).all() else means
        if split_distance(np.log(times)) > BIMODAL_AT:
            findings.append(
                Finding(
                    "bimodality",
                    "warn",
                    f"the {name} times fall into two separate groups: the machine or the code has two speeds",
                )
            )
    return findings


def _spread(estimate: Estimate, fit: LeastSquares, total: TotalTime, goal: Goal) -> Finding | None:
    values = {
        "robust": scalar(estimate.theta),
        "least squares": scalar(fit.theta),
        "total time": math.log(scalar(total.ratio)),
    }
    sides = {value <= goal.log_threshold for value in values.values()}
    if len(sides) == 1:
        return None
    listed = ", ".join(f"{name} {-100.0 * math.expm1(value):.2f} %" for name, value in values.items())
    return Finding(
        "estimator-spread",
        "warn",
        f"sensitive: the estimates of time saved lie on both sides of the threshold ({listed})",
    )


def _noisy(estimate: Estimate, goal: Goal, smallest_detectable: float) -> Finding | None:
    if goal.kind == "speedup":
        noisy = smallest_detectable > 2.0 * max(goal.margin, 0.01)
        return (
            Finding(
                "noisy-machine",
                "warn",
                f"only a gain of {100.0 * smallest_detectable:.1f} % could have been shown reliably "
                f"against {100.0 * goal.margin:g} %: the machine is noisy for this benchmark",
            )
            if noisy
            else None
        )
    if smallest_detectable <= 0.0:
        return None
    return Finding(
        "noisy-machine",
        "warn",
        f"the noise (standard error {_percent(scalar(estimate.se))}) hides a slowdown of "
        f"{100.0 * goal.margin:g} %: the machine is noisy for this benchmark",
    )


def _load(load: float | None) -> Finding | None:
    if load is None or not load > LOAD_AT:
        return None
    return Finding("load", "warn", f"other work kept {load:.2f} processes per CPU running while measuring")


def _steal(steal: float | None) -> Finding | None:
    if steal is None or not steal > STEAL_AT:
        return None
    return Finding("steal", "warn", f"other guests of the host took {100.0 * steal:.1f} % of the CPU time")
