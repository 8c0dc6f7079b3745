"""A kernel density on the unit cube with ordered and unordered coordinates.

Ordered coordinates carry a normal kernel cut to [0, 1]; unordered ones the kernel of Aitchison and Aitken
(1976), which leaves the share ``1 - w`` on the observed cell and spreads ``w`` evenly over the others.
Coordinates multiply. Bandwidths follow Scott (1992): standard deviation times n ** (-1 / (d + 4)).

Worked number: one ordered coordinate, one point at 0.5, bandwidth 0.1: the density at 0.5 is
0.3989 / 0.1 = 3.989 (the cut at the borders, five bandwidths away, takes nothing).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr

from optengine.search.base import Floats

_SMALLEST = 1e-3
_ROOT_TAU = math.sqrt(2 * math.pi)


class ParzenDensity:
    """Density estimated from points.

    Args:
        points: shape (n, d), values in [0, 1], n >= 1.
        cells: length d; number of cells of an unordered coordinate, 0 for an ordered one.
    """

    def __init__(self, points: Floats, cells: list[int]) -> None:
        self.points = points
        count, size = points.shape
        factor = count ** (-1.0 / (size + 4))
        self.bandwidths: Floats = np.maximum(_SMALLEST, points.std(axis=0) * factor)
        self.cells = cells
        # Largest w that keeps the kernel at least as high on the observed cell as elsewhere is (c - 1) / c.
        self.leak = [min(max(_SMALLEST, factor / 2), (c - 1) / c) if c else 0.0 for c in cells]

    def log_density(self, queries: Floats) -> Floats:
        """Logarithm of the density at each query, shape (m, d) -> (m,)."""
        logs = np.zeros((len(queries), len(self.points)))
        for axis, cells in enumerate(self.cells):
            query, point = queries[:, axis, None], self.points[None, :, axis]
            if cells:
                same = _cell(query, cells) == _cell(point, cells)
                logs += np.where(same, math.log(1 - self.leak[axis]), math.log(self.leak[axis] / (cells - 1)))
            else:
                width = self.bandwidths[axis]
                mass = ndtr((1 - point) / width) - ndtr(-point / width)
                logs += -0.5 * ((query - point) / width) ** 2 - np.log(width * _ROOT_TAU * mass)
        peak = logs.max(axis=1)
        total: Floats = peak + np.log(np.exp(logs - peak[:, None]).mean(axis=1))
        return total

    def sample(self, rng: np.random.Generator, count: int, widen: float = 1.0) -> Floats:
        """Draw ``count`` points, shape (count, d); ``widen`` multiplies the bandwidths of ordered coordinates."""
        drawn = self.points[rng.integers(0, len(self.points), count)].copy()
        for axis, cells in enumerate(self.cells):
            if cells:
                jump = rng.random(count) < self.leak[axis]
                drawn[:, axis] = np.where(jump, rng.random(count), drawn[:, axis])
            else:
                drawn[:, axis] = _cut_normal(rng, drawn[:, axis], self.bandwidths[axis] * widen)
        return drawn


def _cell(coordinates: Floats, cells: int) -> Floats:
    return np.minimum(np.floor(coordinates * cells), cells - 1)


def _cut_normal(rng: np.random.Generator, centre: Floats, width: float) -> Floats:
    """Normal draws around ``centre``, redrawn until they fall in [0, 1]; what still lies outside is uniform."""
    drawn = rng.normal(centre, width)
    for _ in range(10):
        outside = (drawn < 0) | (drawn > 1)
        if not outside.any():
            return drawn
        drawn[outside] = rng.normal(centre[outside], width)
    outside = (drawn < 0) | (drawn > 1)
    drawn[outside] = rng.random(int(outside.sum()))
    return drawn
