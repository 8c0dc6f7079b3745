"""Confidence intervals of the figures: shares (Clopper-Pearson) and medians (order statistics).

Both are exact and distribution-free, so they hold for few runs and for any noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True)
class Share:
    """`hits` of `n`, with the Clopper-Pearson interval of the rate behind it (Biometrika 1934)."""

    hits: int
    n: int

    @property
    def value(self) -> float:
        """The share itself; NaN for none of none."""
        return self.hits / self.n if self.n else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of the rate at level `LEVEL`; 2 of 10 gives (0.0252, 0.5561)."""
        tail = (1 - LEVEL) / 2
        low = float(stats.beta.ppf(tail, self.hits, self.n - self.hits + 1)) if self.hits else 0.0
        high = float(stats.beta.isf(tail, self.hits + 1, self.n - self.hits)) if self.hits < self.n else 1.0
        return low, high

    def __str__(self) -> str:
        """Return "2 of 10 = 20.0 % [2.5, 55.6]"."""
        if not self.n:
            return "none measured"
        low, high = self.interval
        return f"{self.hits} of {self.n} = {100 * self.value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"

    def record(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"hits": self.hits, "n": self.n, "interval": list(self.interval)}


def share(hits: Sequence[bool]) -> Share:
    """Return how many of `hits` are true."""
    return Share(sum(hits), len(hits))


@dataclass(frozen=True)
class Median:
    """A median with the interval between two order statistics; infinite ends below 6 values."""

    value: float
    low: float
    high: float
    n: int

    def show(self, unit: str = "s", scale: float = 1.0, digits: int = 2) -> str:
        """Return "1.23 s [1.20, 1.31]"; of too few values the median alone."""
        value, low, high = (f"{scale * number:.{digits}f}" for number in (self.value, self.low, self.high))
        return f"{value} {unit}".rstrip() + (f" [{low}, {high}]" if np.isfinite(self.low) else "")

    def record(self) -> dict[str, Any]:
        """Return plain JSON values; an unknown end is None."""
        ends = [end if np.isfinite(end) else None for end in (self.low, self.high)]
        return {"median": self.value, "interval": ends, "n": self.n}


def median(values: Sequence[float]) -> Median:
    """Return the median of `values` (at least one) with its interval at level `LEVEL` or above."""
    ordered = sorted(values)
    n = len(ordered)
    # At most a tail of the samples have fewer than k of their n values below the true median.
    k = int(stats.binom.ppf((1 - LEVEL) / 2, n, 0.5))
    low, high = (ordered[k - 1], ordered[n - k]) if k else (-np.inf, np.inf)
    return Median(float(np.median(ordered)), float(low), float(high), n)


@dataclass(frozen=True)
class Clustered:
    """A share over cases that come in clusters: its value, and the bootstrap interval over the clusters."""

    value: float
    low: float
    high: float
    clusters: int


def clustered(hits: Sequence[int], cases: Sequence[int], resamples: int = 10_000) -> Clustered:
    """Return hits / cases over all clusters, with the percentile interval of resampled clusters (seeded).

    Where all clusters agree the interval has no width: they bound nothing beyond what n clusters of one outcome do.

    Raises:
        ValueError: no cluster, or one without cases.
    """
    if not hits or len(hits) != len(cases) or min(cases) < 1:
        raise ValueError(f"every cluster needs cases, received {hits!r} hits of {cases!r} cases")
    seen, of = np.asarray(hits, dtype=np.float64), np.asarray(cases, dtype=np.float64)
    drawn = np.random.default_rng(1).integers(len(seen), size=(resamples, len(seen)))
    shares = seen[drawn].sum(axis=1) / of[drawn].sum(axis=1)
    low, high = np.quantile(shares, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Clustered(float(seen.sum() / of.sum()), float(low), float(high), len(seen))
