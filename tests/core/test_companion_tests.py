"""Rank tests, t-tests, power, composition, multiplicity and anytime bounds beside the decision."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_optbench.core import ranks
from pytest_optbench.core.anytime import confidence_sequence, e_value
from pytest_optbench.core.classic import paired_t, welch_t
from pytest_optbench.core.compose import Stage, compose
from pytest_optbench.core.multiplicity import benjamini_hochberg, holm, sequential_p
from pytest_optbench.core.power import pairs_needed, smallest_detectable

values = st.lists(st.floats(-10, 10), min_size=4, max_size=15, unique=True)


@given(values, values)
@settings(deadline=None)
def test_mann_whitney_equals_scipy(a, b):
    """The exact Mann-Whitney test equals scipy.stats without ties."""
    if set(a) & set(b):
        return
    expected = stats.mannwhitneyu(a, b, method="exact")
    test = ranks.mann_whitney(a, b)
    assert test.statistic == expected.statistic
    assert test.p == pytest.approx(expected.pvalue, abs=1e-9)


def test_mann_whitney_interval_is_exact():
    """The interval covers the shift with at least its level, and not much more."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(2000):
        test = ranks.mann_whitney(rng.standard_cauchy(8) + 1.0, rng.standard_cauchy(8))
        covered += test.low <= 1.0 <= test.high
    assert 0.94 <= covered / 2000 <= 0.975


def test_small_samples_have_no_interval():
    """Three per group can never exclude anything at 95 %."""
    test = ranks.mann_whitney([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    assert (test.low, test.high) == (-math.inf, math.inf)
    assert test.p == pytest.approx(0.1)


def test_large_samples_use_the_normal_distribution():
    """Above 60 per group the normal approximation is close to scipy's."""
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal(80), rng.standard_normal(70) + 0.3
    test, expected = ranks.mann_whitney(a, b), stats.mannwhitneyu(a, b, method="asymptotic")
    assert test.p == pytest.approx(expected.pvalue, rel=0.02)
    assert test.low < test.estimate < test.high
    one = ranks.wilcoxon(a)
    assert one.p == pytest.approx(stats.wilcoxon(a, method="approx", correction=True).pvalue, rel=0.05)


@given(st.lists(st.floats(-10, 10).filter(bool), min_size=5, max_size=20, unique_by=abs))
@settings(deadline=None)
def test_wilcoxon_equals_scipy(d):
    """The exact signed-rank test equals scipy.stats without ties."""
    assert ranks.wilcoxon(d).p == pytest.approx(stats.wilcoxon(d, method="exact").pvalue, abs=1e-9)


def test_crossover_removes_the_order_effect():
    """Adding an effect of running second changes neither estimate nor p."""
    rng = np.random.default_rng(3)
    order = rng.permutation([1] * 6 + [-1] * 6)
    d = rng.standard_normal(12) + 0.5
    plain, shifted = ranks.crossover(d, order), ranks.crossover(d + 3.0 * order, order)
    assert shifted.estimate == pytest.approx(plain.estimate, abs=1e-9)
    assert shifted.p == plain.p
    swapped = ranks.crossover(-d, -order)
    assert (swapped.estimate, swapped.p) == (pytest.approx(-plain.estimate), plain.p)


def test_crossover_below():
    """The one-sided rank test knows its smallest p-value and treats NaN as no evidence."""
    order = np.array([1] * 5 + [-1] * 5)
    d = np.linspace(-1.1, -1.0, 10)
    p, least = ranks.crossover_below(np.array([d, d, np.full(10, np.nan)]), np.tile(order, (3, 1)), -0.5)
    assert p[0] == pytest.approx(1 / 252)
    assert least[0] == pytest.approx(1 / 252)
    assert p[2] == 1.0
    assert ranks.crossover_below(d, order, -2.0)[0][0] == pytest.approx(1.0)
    assert ranks.crossover_below(d, np.ones(10), -0.5)[0][0] == 1.0


def test_crossover_below_is_one_half_of_the_two_sided_test():
    """Against zero it is half of the two-sided p-value on the same side."""
    rng = np.random.default_rng(4)
    order = rng.permutation([1] * 7 + [-1] * 8)
    d = rng.standard_normal(15) - 0.8
    assert 2 * ranks.crossover_below(d, order, 0.0)[0][0] == pytest.approx(ranks.crossover(d, order).p)


def test_crossover_below_for_long_runs():
    """More than 60 pairs per order use the normal distribution."""
    rng = np.random.default_rng(5)
    order = rng.permutation([1] * 65 + [-1] * 65)
    p, least = ranks.crossover_below(rng.standard_normal(130) - 1.0, order, 0.0)
    assert least[0] < p[0] < 1e-6


def test_t_tests_without_spread_say_nothing():
    """Constant or missing data have no t and no p."""
    for test in (
        paired_t([1.0] * 5),
        paired_t([1.0]),
        paired_t([]),
        welch_t([1.0] * 4, [2.0] * 4),
        welch_t([1.0], [2.0]),
    ):
        assert math.isnan(test.t)
        assert math.isnan(test.p)


@given(values, values)
def test_welch_equals_scipy(a, b):
    """Welch's test equals scipy.stats."""
    expected = stats.ttest_ind(a, b, equal_var=False)
    test = welch_t(a, b)
    assert test.t == pytest.approx(expected.statistic, rel=1e-6, abs=1e-9)
    assert test.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)


def test_pairs_needed():
    """More noise needs more pairs; no effect beyond the threshold needs infinitely many."""
    level = math.log(0.95)
    few, many = pairs_needed(-0.08, 0.005, 10, level), pairs_needed(-0.08, 0.02, 10, level)
    assert few is not None
    assert many is not None
    assert 10 <= few < many
    assert pairs_needed(-0.05, 0.005, 10, level) is None
    assert pairs_needed(math.nan, 0.005, 10, level) is None
    assert pairs_needed(-0.08, 0.0, 10, level) is None
    assert pairs_needed(level - 1e-6, 0.02, 10, level) is None


def test_pairs_needed_have_the_power():
    """At the number given the noncentral t just reaches 80 %."""
    level, theta, se = math.log(0.95), -0.07, 0.012
    n = pairs_needed(theta, se, 10, level)
    assert n is not None

    def power(m):
        return stats.nct.sf(stats.t.isf(0.025, m - 2), m - 2, (level - theta) / (se * math.sqrt(10 / m)))

    assert power(n) >= 0.8 > power(n - 1)


def test_smallest_detectable_shrinks_with_the_noise():
    """Without noise the smallest detectable effect is the threshold itself."""
    assert smallest_detectable(0.0, 8, math.log(0.95)) == pytest.approx(0.05)
    assert smallest_detectable(0.01, 8, math.log(0.95)) > smallest_detectable(0.005, 8, math.log(0.95))


@given(st.lists(st.floats(-5, 0.99), max_size=8))
def test_composition_multiplies(saved):
    """Time ratios multiply, and no list of savings saves everything."""
    both = compose([Stage.from_time_saved(s) for s in saved])
    expected = math.prod(1 - s for s in saved)
    assert 1 - both.time_saved == pytest.approx(expected, rel=1e-9)
    assert both.ratio == pytest.approx(1 / expected, rel=1e-9)
    assert both.time_saved < 1.0


def test_composition_refuses_impossible_savings():
    """100 % or more cannot be saved, and a stage needs real numbers."""
    with pytest.raises(ValueError, match=r"time saved must be below 1 \(100 %\), got 1.7373"):
        Stage.from_time_saved(1.7373)
    with pytest.raises(ValueError, match=r"got nan, 0\.1, 8"):
        Stage(math.nan, 0.1, 8)


def test_composition_of_exact_stages():
    """Stages without error have an interval of no width; one stage keeps its df."""
    exact = compose([Stage.from_time_saved(0.5), Stage.from_time_saved(0.5)])
    assert (exact.time_saved_low, exact.time_saved_high) == (0.75, 0.75)
    assert compose([Stage(-0.1, 0.01, 8)]).df == pytest.approx(8)
    assert compose([Stage(-0.1, 0.01, math.inf)]).df == math.inf


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_adjusted_p_values_are_ordered(p):
    """Adjustment keeps the order, never lowers a p-value, and Holm is at least Benjamini-Hochberg."""
    strict, loose = holm(p), benjamini_hochberg(p)
    order = np.argsort(p, kind="stable")
    assert np.all(np.diff(strict[order]) >= 0)
    assert np.all(np.diff(loose[order]) >= -1e-15)
    assert np.all(strict >= np.array(p) - 1e-15)
    assert np.all(strict >= loose - 1e-12)
    assert strict.max() <= 1.0


def test_missing_p_values_do_not_pass():
    """NaN counts as 1."""
    assert holm([math.nan, 0.01]).tolist() == [1.0, 0.02]
    assert benjamini_hochberg([math.nan, 0.01]).tolist() == [1.0, 0.02]
    assert holm([]).tolist() == []


def test_sequential_p():
    """One p-value for all looks: at most alpha exactly when a look met its limit."""
    shares, limits = [0.4, 0.6], [0.01, 0.02]
    assert sequential_p([], shares, [], []) == 1.0
    assert sequential_p([0.001], shares, limits[:1], [0.025]) == pytest.approx(0.0025)
    assert sequential_p([0.5, 0.019], shares, limits, [0.025] * 2) == 0.025
    assert sequential_p([0.5, 0.0001], shares, limits, [0.025] * 2) == pytest.approx(0.0001 / 0.6)
    missed = sequential_p([0.0101], [0.99], [0.01], [0.025])
    assert 0.025 < missed < 0.0251
    assert sequential_p([math.nan], shares, limits[:1], [0.025]) == 1.0


def test_confidence_sequence():
    """The anytime interval is infinite at first, then covers the truth at every look."""
    rng = np.random.default_rng(6)
    low, high = confidence_sequence(rng.standard_normal((500, 60)) + 1.0)
    assert np.isinf(high[:, 0]).all()
    assert ((low <= 1.0) & (high >= 1.0)).all(1).mean() >= 0.95
    assert (high[:, -1] - low[:, -1]).mean() < 2.0


def test_e_value_is_fair():
    """Under no effect the e-value exceeds 20 in at most 5 % of sequences at any time."""
    rng = np.random.default_rng(7)
    x = rng.standard_normal((2000, 50))
    total, squares = np.cumsum(x, 1), np.cumsum(x * x, 1)
    n = np.arange(1, 51)
    assert (e_value(total[:, 1:], squares[:, 1:], n[1:]) >= 20).any(1).mean() <= 0.05
