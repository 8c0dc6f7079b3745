"""The pilot asks for few micro-pairs on a quiet machine and for all of them on a busy one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_optbench.measure.pilot import Spread, enough_micro_pairs, spread


@pytest.mark.parametrize(
    ("typical", "total", "most", "expected"),
    [
        (0.0, 0.0, 40, 10),
        (0.01, 0.01, 40, 10),
        (0.04, 0.04, 40, 16),
        (0.06, 0.06, 40, 32),
        (0.01, 0.2, 40, 10),
        (0.01, 0.4, 40, 16),
        (0.01, 0.7, 40, 40),
        (0.1, 0.1, 40, 40),
        (math.inf, math.inf, 40, 40),
        (math.nan, math.nan, 40, 40),
        (0.05, 0.05, 20, 20),
        (0.0, 0.0, 8, 8),
        (0.0, 0.0, 1, 1),
    ],
)
def test_micro_pairs_grow_with_the_spread(typical: float, total: float, most: int, expected: int) -> None:
    """k = (1.2533 * 1.5 * typical / 0.02)**2 or (total / 0.1)**2, even, from 10 to what calibration allows."""
    assert enough_micro_pairs(Spread(typical, total), most) == expected


def test_the_typical_spread_is_robust_and_both_are_blind_to_the_effect() -> None:
    """A shift of all log ratios changes nothing; one outlier moves the total spread, an unusable time everything."""
    values = np.random.default_rng(1).normal(0.0, 0.01, 1001)
    seen, shifted, disturbed = spread(values), spread(values - 0.7), spread([*values, 5.0])
    assert (seen.typical, seen.total) == pytest.approx((0.01, 0.01), rel=0.1)
    assert (shifted.typical, shifted.total) == pytest.approx((seen.typical, seen.total), rel=1e-9)
    assert disturbed.typical == pytest.approx(seen.typical, rel=0.01)
    assert disturbed.total > 10 * seen.total
    for unusable in ([0.0, math.nan], []):
        assert spread(unusable) == Spread(math.inf, math.inf)
