"""The estimates: one implementation for rows and scalars, and the laws they obey."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_data import BASELINE, CLEAN, ORDER

from pytest_optbench.core.arrays import median, quantile
from pytest_optbench.core.estimate import huber, least_squares, total_time


def rows(seed, count=50, n=15, heavy=True):
    """Return log ratios and orders with outliers and unequal order counts."""
    rng = np.random.default_rng(seed)
    d = 0.02 * rng.standard_normal((count, n)) - 0.05
    if heavy:
        d += np.where(rng.random((count, n)) < 0.15, rng.pareto(1.5, (count, n)) * 0.1, 0)
    order = np.array(
        [rng.permutation([1] * (n // 2 + r % 2) + [-1] * (n - n // 2 - r % 2)) for r in range(count)]
    )
    return d, order


sessions = st.integers(0, 2**32 - 1).map(lambda seed: rows(seed, count=1))


def test_rows_equal_scalars():
    """A row gives exactly the numbers it gives alone."""
    d, order = rows(3)
    together = huber(d, order)
    for r in range(len(d)):
        alone = huber(d[r], order[r])
        assert alone.theta[0] == pytest.approx(together.theta[r], rel=1e-12)
        assert alone.se[0] == pytest.approx(together.se[r], rel=1e-12)
        assert alone.weights[0] == pytest.approx(together.weights[r], rel=1e-12)


def test_huber_solves_its_equations():
    """The estimate is a root of the Huber score in both directions."""
    d, order = rows(4, count=20)
    estimate = huber(d, order)
    residual = d - estimate.theta[:, None] - estimate.order_effect[:, None] * order
    score = estimate.weights * residual
    assert np.abs(score.sum(1)).max() < 1e-9
    assert np.abs((score * order).sum(1)).max() < 1e-9


@given(sessions)
@settings(max_examples=50, deadline=None)
def test_swapping_the_arms_changes_the_sign(session):
    """Exchanging baseline and optimized (and so the order) negates theta and keeps the error."""
    d, order = session
    there, back = huber(d, order), huber(-d, -order)
    assert back.theta[0] == pytest.approx(-there.theta[0], abs=1e-10)
    assert back.se[0] == pytest.approx(there.se[0], rel=1e-8)


@given(sessions, st.floats(-3, 3))
@settings(max_examples=50, deadline=None)
def test_a_common_factor_shifts(session, shift):
    """A factor on the optimized arm shifts theta by its logarithm and nothing else."""
    d, order = session
    moved, expected = huber(d + shift, order), huber(d, order).shifted(shift)
    assert moved.theta[0] == pytest.approx(expected.theta[0], abs=1e-9)
    assert moved.se[0] == pytest.approx(expected.se[0], rel=1e-6)


@given(sessions, st.floats(0.01, 100))
@settings(max_examples=50, deadline=None)
def test_the_unit_of_log_ratios_scales(session, factor):
    """Multiplying all log ratios multiplies theta and its error."""
    d, order = session
    assert huber(factor * d, order).theta[0] == pytest.approx(factor * huber(d, order).theta[0], rel=1e-6)
    assert huber(factor * d, order).se[0] == pytest.approx(factor * huber(d, order).se[0], rel=1e-6)


@given(sessions, st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_sequence_does_not_matter(session, random):
    """Permuting the pairs changes nothing."""
    d, order = session
    index = list(range(d.shape[1]))
    random.shuffle(index)
    assert huber(d[:, index], order[index] if order.ndim == 1 else order[:, index]).theta[0] == pytest.approx(
        huber(d, order).theta[0], abs=1e-10
    )


@given(st.floats(-0.3, 0.3))
@settings(max_examples=30, deadline=None)
def test_an_order_effect_is_removed(effect):
    """Adding an effect of running second leaves theta alone."""
    d, order = rows(5, count=1)
    assert huber(d + effect * order, order).theta[0] == pytest.approx(huber(d, order).theta[0], abs=1e-9)
    assert least_squares(d + effect * order, order).theta[0] == pytest.approx(
        least_squares(d, order).theta[0], abs=1e-12
    )


def test_without_outliers_it_is_least_squares():
    """With all weights 1 the estimate is least squares with the small-sample factor."""
    fit, estimate = least_squares(np.log(CLEAN / BASELINE), ORDER), huber(np.log(CLEAN / BASELINE), ORDER)
    assert estimate.theta[0] == pytest.approx(fit.theta[0], rel=1e-9)
    assert estimate.se[0] == pytest.approx(fit.se[0] * (1 + 2.5 / 100), rel=1e-9)


def test_a_coarse_clock_falls_back_to_the_deviation():
    """When most differences are zero the error comes from the plain deviation, not from zero."""
    d = np.array([-0.1] * 9 + [-0.2] + [-0.1] * 10)
    order = np.array([1, -1] * 10)
    estimate = huber(d, order)
    assert estimate.valid[0]
    assert estimate.se[0] > 0.001


def test_no_spread_is_not_valid():
    """Constant log ratios give an estimate that may not be used."""
    estimate = huber(np.full(10, -0.5), np.array([1, -1] * 5))
    assert estimate.theta[0] == pytest.approx(-0.5)
    assert not estimate.valid[0]
    rounding = huber(-0.5 + 1e-16 * np.arange(10), np.array([1, -1] * 5))
    assert not rounding.valid[0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_unusable_values_are_not_valid(bad):
    """One NaN or infinity makes its row unusable and leaves other rows alone."""
    d, order = rows(6, count=2)
    alone = huber(d[1], order[1]).theta[0]
    d[0, 3] = bad
    estimate = huber(d, order)
    assert not estimate.valid[0]
    assert estimate.theta[1] == pytest.approx(alone, rel=1e-12)


def test_orders_are_checked():
    """Orders other than +1 and -1, and too few pairs of one order, are refused by name."""
    with pytest.raises(ValueError, match=r"order must be \+1 or -1 for every pair, got \[-1.0, 0.0, 1.0\]"):
        huber(np.zeros(4), [1, -1, 0, 1])
    with pytest.raises(ValueError, match=r"each order needs at least two pairs, got 3 baseline-first of 4"):
        huber(np.zeros(4), [1, 1, 1, -1])
    with pytest.raises(ValueError, match="one- or two-dimensional"):
        huber(np.zeros((2, 2, 2)), [1, -1])


def test_total_time_is_the_ratio_of_sums():
    """The total-time ratio is the ratio of sums and scales with either arm."""
    total = total_time(BASELINE, CLEAN)
    assert total.ratio[0] == pytest.approx(CLEAN.sum() / BASELINE.sum(), rel=1e-12)
    shifted, direct = total.shifted(math.log(0.5)), total_time(BASELINE, 0.5 * CLEAN)
    for a, b in ((shifted.ratio, direct.ratio), (shifted.low, direct.low), (shifted.high, direct.high)):
        assert a == pytest.approx(b, rel=1e-9)


def test_total_time_without_a_baseline():
    """A baseline drowned in noise leaves the interval open."""
    total = total_time([1e-3, 5.0, 1e-3, 1e-3], [1.0, 1.0, 1.0, 1.0])
    assert (total.low[0], total.high[0]) == (0.0, math.inf)


@pytest.mark.parametrize("n", [1, 2, 5, 10])
def test_median_is_numpys(n: int) -> None:
    """Row by row exactly numpy's median, NaN where a value is NaN."""
    rows = np.random.default_rng(n).normal(size=(200, n))
    rows[0, 0] = np.nan
    np.testing.assert_array_equal(median(rows), np.median(rows, axis=1))
    assert float(median(rows[1])) == np.median(rows[1])


@pytest.mark.parametrize("n", [1, 2, 3, 20, 45, 380])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.66])
def test_quantile_is_numpys(n: int, share: float) -> None:
    """Row by row numpy's quantile to the last bit, NaN where a value is NaN."""
    rows = np.random.default_rng(n).normal(size=(200, n))
    rows[0, 0] = np.nan
    np.testing.assert_array_equal(quantile(rows, share), np.quantile(rows, share, axis=1))
