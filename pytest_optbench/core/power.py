"""How small an effect the data could have shown, and how many pairs a given effect needs."""

from __future__ import annotations

import math

from pytest_optbench.core.distributions import noncentral_t_upper, t_critical

POWER = 0.8
MOST_PAIRS = 10**6


def smallest_detectable(
    se: float, df: int, log_threshold: float, alpha: float = 0.025, power: float = POWER
) -> float:
    """Return the fraction of time saved that would be shown beyond the threshold with this power.

    1 - exp(L0 - (t_alpha + t_(1 - power)) * se): negative when even a small slowdown would pass (a
    no-regression margin). Worked number: se 0.00198323 with 8 df against 5 % gives 5.600 %.
    """
    reach = float(t_critical(alpha, df)) + float(t_critical(1.0 - power, df))
    return -math.expm1(log_threshold - reach * se)


def pairs_needed(
    theta: float, se: float, n: int, log_threshold: float, alpha: float = 0.025, power: float = POWER
) -> int | None:
    """Return the smallest number of pairs (at least n) that shows an effect of theta with this power.

    Noncentral t with n - 2 df at a single look; se is the standard error at n pairs. None when theta is
    not beyond the threshold, or when more than a million pairs would be needed.
    """
    distance = log_threshold - theta
    if not (math.isfinite(distance) and math.isfinite(se) and se > 0.0) or distance <= 0.0:
        return None

    def enough(m: int) -> bool:
        df = m - 2
        return (
            noncentral_t_upper(float(t_critical(alpha, df)), df, distance / (se * math.sqrt(n / m))) >= power
        )

    high = n
    while not enough(high):
        high *= 2
        if high > MOST_PAIRS:
            return None
    low = n if high == n else high // 2
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high
