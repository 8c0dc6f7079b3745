"""The plan of looks: when the data may be judged, and how small the p-value must be each time.

The plan is fixed before the first run. Pocock-like spending makes clear wins stop at the first look; the
limits (see `calibrate`) keep the chance of a false ACCEPT over all looks at alpha. Changing the plan
afterwards, or looking at another number of pairs, is refused by `judge.look` and `decision.decide`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pytest_optbench.core import calibrate
from pytest_optbench.core.arrays import FloatArray
from pytest_optbench.core.multiplicity import attempt_alpha
from pytest_optbench.core.spending import increments

MIN_PAIRS = 10
"""No verdict but INCONCLUSIVE below this many pairs."""
LOOKS = calibrate.DEFAULT_LOOKS
P_LOOK = calibrate.P_LOOK
_STEPS = (1.0, 1.5)


class PlanError(ValueError):
    """The looks taken are not the looks planned."""


@dataclass(frozen=True)
class Schedule:
    """Looks (numbers of pairs) and the one-sided p-value limit at each.

    alpha is the one-sided error of the whole decision before it is shared among `candidates` compared with
    one baseline and reduced for a repeated `attempt`.

    Raises:
        ValueError: looks and limits do not match, or looks do not increase from at least 4.
    """

    looks: tuple[int, ...]
    limits: tuple[float, ...]
    alpha: float = 0.025
    attempt: int = 1
    candidates: int = 1

    def __post_init__(self) -> None:
        increasing = all(b > a for a, b in pairwise(self.looks))
        if not self.looks or self.looks[0] < 4 or not increasing:
            raise ValueError(f"looks must increase from at least 4 pairs, got {self.looks!r}")
        if len(self.limits) != len(self.looks) or not all(0.0 < p < 0.5 for p in self.limits):
            raise ValueError(f"every look needs a limit between 0 and 0.5, got {self.limits!r}")

    @property
    def level(self) -> float:
        """One-sided error this decision may spend: alpha, shared among candidates and attempts."""
        return attempt_alpha(self.alpha, self.attempt) / self.candidates

    @property
    def shares(self) -> FloatArray:
        """Share of the error spent at each look; sums to 1."""
        return increments(np.array(self.looks) / self.looks[-1], 1.0)

    def with_accepted(self, accepted: int) -> Schedule:
        """Return the plan for the candidates left once `accepted` of them are shown (Holm's step down).

        Raises:
            ValueError: no candidate would be left.
        """
        if accepted == 0:
            return self
        left = self.candidates - accepted
        if left < 1:
            raise ValueError(f"{accepted!r} of {self.candidates!r} candidates accepted leaves none to judge")
        return _calibrated(self.looks, self.alpha, self.attempt, left)


def planned_looks(first: int, last: int) -> tuple[int, ...]:
    """Return the looks from `first` to `last` pairs: 1, 1.5, 2, 3, 4, 6, ... times the first, then the last.

    A look closer than a fifth to the last one is left out. (10, 40) gives 10, 15, 20, 30, 40.

    Raises:
        ValueError: first is below 4 or above last.
    """
    if first < 4:
        raise ValueError(f"the first look needs at least 4 pairs, got {first!r}")
    if last < first:
        raise ValueError(f"the last look must not come before the first ({first!r}), got {last!r}")
    looks = [first]
    for doubling in range(last.bit_length()):
        for step in _STEPS:
            n = math.ceil(first * 2**doubling * step)
            if n > first and n * 1.2 <= last:
                looks.append(n)
    return tuple(looks) if looks[-1] == last else (*looks, last)


def schedule(
    first: int = LOOKS[0],
    last: int = LOOKS[-1],
    alpha: float = 0.025,
    attempt: int = 1,
    candidates: int = 1,
) -> Schedule:
    """Return the plan with looks from `first` to `last` pairs and a total one-sided error of `alpha`.

    Args:
        first: pairs at the first look, at least 4 (below 10 nothing can be accepted there).
        last: pairs at the last look.
        alpha: one-sided error of the decision, in (0, 0.5); 0.025 belongs to a two-sided 95 % interval.
        attempt: 1 for the first time this subject is decided; later attempts get a smaller error.
        candidates: how many candidates compete against the same baseline.

    Raises:
        ValueError: an argument is out of range.
    """
    return _calibrated(planned_looks(first, last), alpha, attempt, candidates)


def _calibrated(looks: tuple[int, ...], alpha: float, attempt: int, candidates: int) -> Schedule:
    if candidates < 1:
        raise ValueError(f"candidates must be at least 1, got {candidates!r}")
    level = attempt_alpha(alpha, attempt) / candidates
    return Schedule(looks, calibrate.limits(looks, level), alpha, attempt, candidates)
