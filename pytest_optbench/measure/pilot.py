"""The pilot: how many micro-pairs a trial needs on this machine, now.

A few rounds before the first trial, thrown away afterwards, show how much one micro-pair scatters. On a quiet machine
ten of them make a trial precise enough; on a busy one it takes all that calibration allows. Only the spread of the
pilot is looked at, never which arm is faster, and the number is settled before the first trial, so the decision
cannot depend on it.

The value of a trial is a mean of two medians, whose standard deviation is about 1.25 / sqrt(k) of that of one
micro-pair (normal data). The aim `TRIAL_SPREAD` gives an interval of about +-0.5 % at ten trials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

PILOT_ROUNDS: Final = 12
FEWEST: Final = 10
TRIAL_SPREAD: Final = 0.005
_MEDIAN: Final = 1.2533  # sd of a median of n normal values, in units of sd / sqrt(n)
_CAUTION: Final = 1.5  # a spread read off twelve values may well be a third too small
_MAD: Final = 1.4826


def spread(log_ratios: Sequence[float]) -> float:
    """Return the robust standard deviation (scaled MAD) of the pilot's log ratios; infinity if one is unusable."""
    values = np.asarray(log_ratios, dtype=float)
    if not len(values) or not np.isfinite(values).all():
        return math.inf
    return _MAD * float(np.median(np.abs(values - np.median(values))))


def enough_micro_pairs(spread_of_one: float, most: int) -> int:
    """Return an even number of micro-pairs, at least `FEWEST` and at most ``most``, for trials precise enough."""
    if most <= FEWEST:
        return most
    needed = (_MEDIAN * _CAUTION * spread_of_one / TRIAL_SPREAD) ** 2
    if not needed < most:  # also for infinity and NaN
        return most
    return min(most, max(FEWEST, 2 * math.ceil(needed / 2)))
