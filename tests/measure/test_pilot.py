"""The pilot asks for few micro-pairs on a quiet machine and for all of them on a busy one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_optbench.measure.pilot import enough_micro_pairs, spread


@pytest.mark.parametrize(
    ("spread_of_one", "most", "expected"),
    [
        (0.0, 40, 10),
        (0.005, 40, 10),
        (0.01, 40, 16),
        (0.015, 40, 32),
        (0.05, 40, 40),
        (math.inf, 40, 40),
        (math.nan, 40, 40),
        (0.05, 20, 20),
        (0.0, 8, 8),
        (0.0, 1, 1),
    ],
)
def test_micro_pairs_grow_with_the_spread(spread_of_one: float, most: int, expected: int) -> None:
    """k = (1.2533 * 1.5 * spread / 0.005)**2, even, from 10 to what calibration allows."""
    assert enough_micro_pairs(spread_of_one, most) == expected


def test_the_spread_is_robust_and_blind_to_the_effect() -> None:
    """A shift of all log ratios changes nothing, one outlier little, an unusable time everything."""
    values = np.random.default_rng(1).normal(0.0, 0.01, 1001)
    assert spread(values) == pytest.approx(0.01, rel=0.1)
    assert spread(values - 0.7) == pytest.approx(spread(values), rel=1e-9)
    assert spread([*values, 5.0]) == pytest.approx(spread(values), rel=0.01)
    assert spread([0.0, math.nan]) == math.inf
    assert spread([]) == math.inf
