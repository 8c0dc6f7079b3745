"""What forbids a verdict, however clear the numbers: results that differ, a clock too coarse, a noisy control."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pytest_optbench.core.control import Control
from pytest_optbench.core.diagnose import tied_share
from pytest_optbench.core.effect import Effect
from pytest_optbench.core.equivalence import Equivalence
from pytest_optbench.core.goal import Goal
from pytest_optbench.core.pairs import Pairs
from pytest_optbench.core.sequential import MIN_PAIRS
from pytest_optbench.core.verdicts import Reason, Verdict, verdict_of

COARSEST_CLOCK = 0.001
"""Clock resolution, as a fraction of a timed sample, above which its error counts against the verdict."""
MOST_TIES = 0.5
"""Largest share of log ratios that repeat another one exactly."""


def outside_reasons(codes: Sequence[str]) -> tuple[Reason, ...]:
    """Return the reasons for codes that measuring gave, each once.

    Raises:
        ValueError: an unknown code, or one that follows from the data alone.
    """
    reasons = tuple(dict.fromkeys(Reason(code) for code in codes))
    for reason in reasons:
        if verdict_of(reason) is not Verdict.INCONCLUSIVE and reason is not Reason.NOT_EQUIVALENT:
            raise ValueError(
                f"only reasons against a verdict may come from outside, got {reason.value!r}; "
                "that one follows from the data alone"
            )
    return reasons


def blocking_reasons(
    pairs: Pairs,
    effect: Effect | None,
    equivalence: Equivalence,
    control: Control | None,
    outside: tuple[Reason, ...],
    coarse: bool,
) -> tuple[Reason, ...]:
    """Return everything that forbids a verdict from the data, the most telling first."""
    if equivalence.checked and equivalence.passed is False:
        return tuple(dict.fromkeys((Reason.NOT_EQUIVALENT, *outside)))
    if outside:
        return outside
    tied = tied_share(pairs.log_ratio) > MOST_TIES
    found = (
        (Reason.EQUIVALENCE_ERROR, equivalence.checked and equivalence.passed is None),
        (Reason.TOO_FEW_PAIRS, len(pairs) < MIN_PAIRS),
        (Reason.INVALID_MEASUREMENT, len(pairs) >= MIN_PAIRS and effect is None),
        (Reason.CLOCK_RESOLUTION, coarse or tied),
        (Reason.NOISY_CONTROL, control is not None and not control.clean),
        (Reason.NO_CONTROL, control is None and effect is not None and len(pairs) >= MIN_PAIRS),
    )
    return tuple(reason for reason, applies in found if applies)


def too_coarse(effect: Effect | None, goal: Goal, resolution: float | None) -> bool:
    """Whether a clock step in each arm could move the interval across the threshold.

    A cached result can be thousands of times faster than what it replaces and last few clock steps: the
    step is then a large share of the sample and no danger at all to the verdict.
    """
    if effect is None or resolution is None or resolution <= COARSEST_CLOCK:
        return False
    if not resolution < 0.5:
        return True
    error = -2.0 * math.log1p(-resolution)  # each of the two arms may be off by one step
    return effect.low - error <= goal.log_threshold < effect.high + error
