"""How the error rate is spread over looks, and the classical boundaries that follow for a known variance.

Spending functions give the cumulative one-sided error allowed at information fraction f (Lan & DeMets,
Biometrika 1983). The boundaries are those of gsDesign (sfLDOF, sfLDPocock): with five equal looks at
0.025, Pocock spending gives z = 2.4380, 2.4268, 2.4102, 2.3966, 2.3860.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from pytest_optbench.core.arrays import FloatArray
from pytest_optbench.core.distributions import normal_critical, normal_upper

Spending: TypeAlias = Callable[[FloatArray, float], FloatArray]
_QUADRATURE_POINTS = 512
_TOLERANCE = 1e-12


def pocock(fraction: FloatArray, alpha: float) -> FloatArray:
    """Return the error spent up to each information fraction, spread about evenly over looks."""
    spent: FloatArray = alpha * np.log1p((math.e - 1.0) * np.asarray(fraction, dtype=np.float64))
    return spent


def obrien_fleming(fraction: FloatArray, alpha: float) -> FloatArray:
    """Return the error spent up to each information fraction, nearly all of it at the last looks."""
    z = normal_critical(alpha / 2.0)
    spent: FloatArray = 2.0 * normal_upper(z / np.sqrt(np.asarray(fraction, dtype=np.float64)))
    return spent


def increments(fraction: FloatArray, alpha: float, spending: Spending = pocock) -> FloatArray:
    """Return the error spent at each look; the sum is alpha when the last fraction is 1."""
    return np.diff(spending(np.asarray(fraction, dtype=np.float64), alpha), prepend=0.0)


def normal_bounds(fraction: ArrayLike, alpha: float, spending: Spending = pocock) -> FloatArray:
    """Return one-sided upper z boundaries (K,) for increasing information fractions.

    Recursive numerical integration (Armitage, McPherson & Rowe, JRSS A 1969). These are for a known
    variance and too liberal for t statistics of few pairs; see `calibrate` for those.
    """
    t = np.asarray(fraction, dtype=np.float64)
    spent = increments(t, alpha, spending)
    nodes, node_weights = np.polynomial.legendre.leggauss(_QUADRATURE_POINTS)

    def grid(bound: float, sd: float) -> tuple[FloatArray, FloatArray]:
        low = -9.0 * sd
        half = 0.5 * (bound - low)
        return half * nodes + 0.5 * (bound + low), node_weights * half

    bound = float(normal_critical(spent[0])) * math.sqrt(t[0])
    z = [bound / math.sqrt(t[0])]
    u, measure = grid(bound, math.sqrt(t[0]))
    density = np.exp(-0.5 * u * u / t[0]) / math.sqrt(2.0 * math.pi * t[0]) * measure
    for k in range(1, len(t)):
        sd = math.sqrt(t[k] - t[k - 1])

        low, high = -5.0, 40.0
        while high - low > _TOLERANCE:  # the error spent falls as the bound rises
            bound = 0.5 * (low + high)
            too_low = (density * normal_upper((bound - u) / sd)).sum() > spent[k]
            low, high = (bound, high) if too_low else (low, bound)
        z.append(bound / math.sqrt(t[k]))
        nxt, measure = grid(bound, math.sqrt(t[k]))
        kernel = np.exp(-0.5 * ((nxt[:, None] - u[None, :]) / sd) ** 2) / (sd * math.sqrt(2.0 * math.pi))
        density = (density[None, :] * kernel).sum(1) * measure
        u = nxt
    return np.array(z)
