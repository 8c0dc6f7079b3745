"""The pilot: how many micro-pairs a trial needs on this machine, now.

A few rounds before the first trial, thrown away afterwards, show how much one micro-pair scatters. On a quiet machine
ten of them make a trial precise enough; on a busy one it takes all that calibration allows. Only the spread of the
pilot is looked at, never which arm is faster, and the number is settled before the first trial, so the decision
cannot depend on it.

Two needs are looked at. The value of a trial is a mean of two medians, whose standard deviation is about 1.25 / sqrt(k)
of that of one micro-pair (normal data); the aim `TRIAL_SPREAD` gives an interval of about +-2 % at ten trials, and
planned looks add trials where that is not enough. The total time of the arms, which has to agree, is no median: a few
runs that were interrupted move it, so a machine that interrupts many of them counts as well, against `TOTAL_SPREAD`;
one interruption among the rounds of a pilot does not, since planned looks add trials where total time does not agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ..core.arrays import median

PILOT_ROUNDS: Final = 12
FEWEST: Final = 10
TRIAL_SPREAD: Final = 0.02
TOTAL_SPREAD: Final = 0.1
_MEDIAN: Final = 1.2533  # sd of a median of n normal values, in units of sd / sqrt(n)
_CAUTION: Final = 1.5  # a spread read off twelve values may well be a third too small
_MAD: Final = 1.4826


@dataclass(frozen=True)
class Spread:
    """How much one micro-pair scatters: robustly, and with everything that interrupted a run; log units."""

    typical: float
    total: float


def spread(log_ratios: Sequence[float]) -> Spread:
    """Return the scaled MAD and the standard deviation of the pilot's log ratios; infinity if one is unusable."""
    values = np.asarray(log_ratios, dtype=float)
    if not len(values) or not np.isfinite(values).all():
        return Spread(math.inf, math.inf)
    return Spread(_MAD * float(median(np.abs(values - median(values)))), float(np.std(values)))


def enough_micro_pairs(one: Spread, most: int) -> int:
    """Return an even number of micro-pairs, at least `FEWEST` and at most ``most``, for trials precise enough."""
    if most <= FEWEST:
        return most
    needed = max((_MEDIAN * _CAUTION * one.typical / TRIAL_SPREAD) ** 2, (one.total / TOTAL_SPREAD) ** 2)
    if not needed < most:  # also for infinity and NaN
        return most
    return min(most, max(FEWEST, 2 * math.ceil(needed / 2)))
