"""Tail probabilities and critical values of the distributions the decision needs, from numpy and `math` alone.

Loading `scipy.special` takes longer than a decision, so the few functions are computed here; the tests hold them
against scipy: to 1e-12 of the value, far tails included, for df up to 10 000. `t`, `z`, `p` and `df` (degrees of
freedom, at least 1) are floats or arrays that broadcast; numbers give a float. NaN gives NaN.

Student's t, with a = df / 2, y = t^2 / (df + t^2) and x = 1 - y (DLMF 8.17 is the incomplete beta function):

    F = t * density(t) = sqrt(y) * x^a * gamma(a + 1/2) / gamma(a) / sqrt(pi)
    P(0 < T < t) = F * S      S the series of 8.17.8, all terms positive, for t up to about 1.7
    P(T > t) = F / (df * C)   C the continued fraction of 8.17.22, for larger t; relative precision in far tails

Both are summed backwards from a fixed depth, beyond which nothing changes. As -d log P(T > t) / d log t is df * C
and grows with t, Newton's method on logarithms finds critical values from anywhere.

Worked number: P(T > 2.306004135) = 0.025 for df = 8.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np

from pytest_optbench.core.arrays import FloatArray

_SQRT_HALF = math.sqrt(0.5)
_SQRT_PI = math.sqrt(math.pi)
_STANDARD_NORMAL = NormalDist()
# Depth at which neither S nor C changes in the last digit any more, at the worst t and df >= 1.
_DEPTH = 64
# Up to this many values plain floats are faster than array operations.
_FEW = 64
_NEWTON_STEPS = 60
# From this t / sqrt(df) on, 1 + r * r is r * r in all digits; squares of larger numbers may overflow.
_FAR = 1e8
# Step of the integral over log S, in standard deviations, and the log weight at its ends.
_STEP = 0.25
_LOG_NEGLIGIBLE = -45.0
# Above this many values the normal approximation of Kendall's tau is good to three digits.
_KENDALL_EXACT_LIMIT = 60


def t_upper(t: Any, df: Any) -> Any:
    """Return P(T > t) for Student's t; NaN where df is not positive."""
    if np.broadcast(t, df).size <= _FEW:
        return _elementwise(_t_upper, t, df)
    return _t_upper_array(np.asarray(t, dtype=np.float64), df)


def t_critical(p: Any, df: Any) -> Any:
    """Return the t with P(T > t) = p for Student's t; p in (0, 1), NaN outside [0, 1]."""
    return _elementwise(_t_critical, p, df)


def normal_upper(z: Any) -> Any:
    """Return P(Z > z) for the standard normal."""
    return _elementwise(_normal_upper, z)


def normal_critical(p: Any) -> Any:
    """Return the z with P(Z > z) = p for the standard normal; p in (0, 1), NaN outside [0, 1]."""
    return _elementwise(_normal_critical, p)


def noncentral_t_upper(t: float, df: float, noncentrality: float) -> float:
    """Return P(T > t) for the noncentral t, t >= 0, to an absolute error of 1e-12.

    P(Z + noncentrality > t * S) averaged over S = sqrt(chi-square / df) by the trapezoidal rule in log S, whose
    error falls exponentially for such smooth integrands that vanish at both ends (Trefethen & Weideman 2014).
    """
    low, high = _log_chi_ends(df)
    step = _STEP / math.sqrt(2.0 * df + noncentrality**2 + 1.0)  # in units of the narrower of the two factors
    u = np.arange(low, high, step)
    weight = np.exp(df * (u - 0.5 * np.expm1(2.0 * u)))
    return float((weight * normal_upper(t * np.exp(u) - noncentrality)).sum() / weight.sum())


def binomial_upper(k: int, n: int) -> float:
    """Return P(X >= k) for n fair coin flips; 1.0 when n is 0."""
    return sum(math.comb(n, i) for i in range(max(k, 0), n + 1)) / 2**n if k > 0 else 1.0


def _elementwise(function: Callable[..., float], *arguments: Any) -> Any:
    """Return `function` of numbers as a float, of arrays element by element."""
    if not any(isinstance(argument, (np.ndarray, list, tuple)) for argument in arguments):
        return function(*map(float, arguments))
    arrays = np.broadcast_arrays(*arguments)
    values = map(function, *(array.ravel().astype(np.float64).tolist() for array in arrays))
    return np.fromiter(values, dtype=np.float64, count=arrays[0].size).reshape(arrays[0].shape)


def _normal_upper(z: float) -> float:
    return 0.5 * math.erfc(z * _SQRT_HALF)


def _normal_critical(p: float) -> float:
    if 0.0 < p < 1.0:
        return -_STANDARD_NORMAL.inv_cdf(p)
    return {0.0: math.inf, 1.0: -math.inf}.get(p, math.nan)


def _gamma_ratio(a: Any) -> Any:
    """Return gamma(a + 1/2) / gamma(a): 30 steps up, then the expansion around a - 1/4 (DLMF 5.11.14)."""
    ratio = 1.0
    for k in range(30):
        ratio = ratio * ((a + k) / (a + k + 0.5))
    w = a + 29.75
    v = 1.0 / (w * w)
    return ratio * w**0.5 * (1.0 + v * (1 / 64 + v * (-19 / 8192 + v * (631 / 524288))))


def _series_factors(df: Any) -> list[Any]:
    """Return the factors from each term of S to the next, the deepest first; times y."""
    return [(0.5 * df + n - 0.5) / (n + 0.5) for n in range(_DEPTH, 0, -1)]


def _fraction_factors(df: Any) -> list[Any]:
    """Return the partial numerators of C, the deepest first; times x."""
    a = 0.5 * df
    factors = []
    for m in range(_DEPTH, 0, -1):
        factors.append(-(a + m) * (a + m + 0.5) / ((a + 2 * m) * (a + 2 * m + 1)))
        factors.append(-m * (m - 0.5) / ((a + 2 * m - 1) * (a + 2 * m)))
    factors.append(-(a + 0.5) / (a + 1.0))
    return factors


def _series(y: Any, factors: list[Any]) -> Any:
    total = 1.0 + 0.0 * y
    for factor in factors:
        total = 1.0 + factor * y * total
    return total


def _fraction(x: Any, factors: list[Any]) -> Any:
    value = 0.5 + 0.5 * (1.0 - x) ** 0.5  # what the deep levels tend to
    for factor in factors:
        value = 1.0 + factor * (x / value)
    return value


@lru_cache(maxsize=256)
def _constants(df: float) -> tuple[float, list[float], list[float]]:
    return _gamma_ratio(0.5 * df) / _SQRT_PI, _series_factors(df), _fraction_factors(df)


def _is_middle(r: Any, df: Any) -> Any:
    """Return whether S is used, as C would need more depth; r = abs(t) / sqrt(df)."""
    return r * r <= 3.0 / (df + 2.0)


def _t_upper(t: float, df: float) -> float:
    if not df > 0.0 or math.isnan(t):
        return math.nan
    if math.isinf(df):
        return _normal_upper(t)
    r = abs(t) / math.sqrt(df)
    if _is_middle(r, df):
        return 0.5 - math.copysign(_middle(r, df)[0], t)
    log_p, _ = _log_tail(r, df)
    return math.exp(log_p) if t > 0.0 else -math.expm1(log_p)


def _middle(r: float, df: float) -> tuple[float, float]:
    """Return P(0 < T < t) and F."""
    ratio, factors, _ = _constants(df)
    y = r * r / (1.0 + r * r)
    f = ratio * math.sqrt(y) * math.exp(-0.5 * df * math.log1p(r * r))
    return f * _series(y, factors), f


def _log_tail(r: float, df: float) -> tuple[float, float]:
    """Return log P(T > t) for t > 0 and its slope down, df * C, over log t."""
    ratio, _, factors = _constants(df)
    slope = df * _fraction(1.0 / (1.0 + r * r), factors)
    minus_log_x = math.log1p(r * r) if r < _FAR else 2.0 * math.log(r)
    return math.log(ratio / slope) - 0.5 * math.log1p(1.0 / r / r) - 0.5 * df * minus_log_x, slope


def _t_upper_array(t: FloatArray, df: Any) -> FloatArray:
    """Return what `_t_upper` does, for many values at once."""
    df = np.asarray(df, dtype=np.float64)
    if np.isinf(df).any():
        normal = normal_upper(t)
        return np.where(df == np.inf, normal, _t_upper_array(t, np.where(np.isinf(df), np.nan, df)))
    df = np.where(df > 0.0, df, np.nan)
    one_df = df.size == 1
    t, df = np.broadcast_arrays(t, df)
    r = np.abs(t) / np.sqrt(df)
    p = np.empty(t.shape)
    with np.errstate(over="ignore", under="ignore"):
        middle = _is_middle(r, df)
        for chosen in (middle, ~middle):
            n = df.flat[0] if one_df and df.size else df[chosen]
            q, sign = r[chosen], t[chosen]
            minus_log_x = np.where(q < _FAR, np.log1p(q * q), 2.0 * np.log(np.maximum(q, _FAR)))
            power = _gamma_ratio(0.5 * n) / _SQRT_PI * np.exp(-0.5 * n * minus_log_x)
            if chosen is middle:
                y = q * q / (1.0 + q * q)
                p[chosen] = 0.5 - np.copysign(power * np.sqrt(y) * _series(y, _series_factors(n)), sign)
            else:
                x = 1.0 / (1.0 + q * q)
                tail = power * np.sqrt(1.0 - x) / (n * _fraction(x, _fraction_factors(n)))
                p[chosen] = np.where(sign < 0.0, 1.0 - tail, tail)
    return p


def _t_critical(p: float, df: float) -> float:
    if not (df > 0.0 and 0.0 < p < 1.0) or math.isinf(df):
        return _normal_critical(p) if df > 0.0 else math.nan
    if p > 0.5:
        return -_t_critical(1.0 - p, df)
    if p > _t_upper(math.sqrt(3.0 * df / (df + 2.0)), df):
        return _middle_critical(0.5 - p, df)
    return _tail_critical(p, df)


def _middle_critical(central: float, df: float) -> float:
    """Return the t with P(0 < T < t) = central, by Newton's method from below."""
    root = math.sqrt(df)
    t = central * root / _constants(df)[0]  # over the density at 0, the highest
    for _ in range(_NEWTON_STEPS):
        reached, f = _middle(t / root, df)
        if abs(central - reached) <= 1e-15 * f:
            break
        t += t * (central - reached) / f
    return t


def _tail_critical(p: float, df: float) -> float:
    """Return the t with P(T > t) = p, by Newton's method in log t from Wallace's approximation (1959)."""
    z = _normal_critical(p) * (8.0 * df + 3.0) / (8.0 * df + 1.0)
    r = math.sqrt(math.expm1(min(z * z / df, 700.0)))
    log_p = math.log(p)
    for _ in range(_NEWTON_STEPS):
        reached, slope = _log_tail(r, df)
        step = (reached - log_p) / slope
        r *= math.exp(step)
        if abs(step) <= 1e-15:
            break
    return math.sqrt(df) * r


@lru_cache(maxsize=256)
def _log_chi_ends(df: float) -> tuple[float, float]:
    """Return the log S below and above the peak at 0 beyond which its density is negligible.

    The log density df * (u - (exp(2 u) - 1) / 2) is concave, so Newton's method stays outside and closes in.
    """
    ends = []
    for u in (_LOG_NEGLIGIBLE / df - 0.5, math.sqrt(-_LOG_NEGLIGIBLE / df)):
        for _ in range(_NEWTON_STEPS):
            u -= (u - 0.5 * math.expm1(2.0 * u) - _LOG_NEGLIGIBLE / df) / -math.expm1(2.0 * u)
        ends.append(u)
    return ends[0], ends[1]


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
    counts = np.array(list(Counter(values.tolist()).values()))
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
