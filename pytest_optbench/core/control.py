"""The A/A control: the baseline against itself, from the same run.

If its 99 % interval excludes 1, something other than the code makes the arms differ and no verdict can be
trusted. Its 95 % half-width is the noise floor: smaller effects drown on this machine at this number of
pairs. By design one control in a hundred excludes 1 by chance; no look settles anything then, and what still
excludes 1 at the last one is INCONCLUSIVE.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pytest_optbench.core.classic import paired_t
from pytest_optbench.core.findings import Finding
from pytest_optbench.core.pairs import Pairs

FEWEST = 4
_EXCLUDES_AT = 0.01


@dataclass(frozen=True)
class Control:
    """A/A ratio with its 99 % interval, the noise floor (a fraction of time), and the number of values."""

    ratio: float
    ci_low: float
    ci_high: float
    noise_floor: float
    n: int

    @property
    def clean(self) -> bool:
        """True when the interval contains 1."""
        return self.ci_low <= 1.0 <= self.ci_high


def aa_control(log_ratios: ArrayLike) -> Control | None:
    """Return the control from A/A log ratios (n,); None from fewer than four or unusable ones.

    Plain t-interval: the labels of the two A/A arms are random and balanced, so drift does not bias it and
    heavy tails only widen it.
    """
    d = np.asarray(log_ratios, dtype=np.float64).reshape(-1)
    if len(d) < FEWEST or not np.isfinite(d).all():
        return None
    wide, narrow = paired_t(d, alpha=_EXCLUDES_AT), paired_t(d)
    half99 = wide.high - wide.estimate if math.isfinite(wide.high) else 0.0  # no spread at all
    half95 = narrow.high - narrow.estimate if math.isfinite(narrow.high) else 0.0
    return Control(
        ratio=math.exp(-wide.estimate),
        ci_low=math.exp(-wide.estimate - half99),
        ci_high=math.exp(-wide.estimate + half99),
        noise_floor=math.expm1(half95),
        n=len(d),
    )


def control_findings(pairs: Pairs, control: Control | None) -> tuple[Finding, ...]:
    """Return the finding that there is no control although usable times were measured."""
    if control is not None or not len(pairs) or pairs.problem:
        return ()
    words = (
        f"the noise floor was not measured: the baseline must be compared with itself at least {FEWEST} times, "
        f"{len(pairs)} pairs gave {np.isfinite(pairs.control).sum()} usable comparisons; measure more pairs"
    )
    return (Finding("no-control", "warn", words),)
