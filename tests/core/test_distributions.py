"""Tail probabilities agree with scipy, which the shipped code does not need."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy import special, stats

from pytest_optbench.core import distributions
from pytest_optbench.core.arrays import FloatArray

DFS = (1.0, 1.5, 2.0, 3.3, 5.57, 8.0, 17.2, 38.0, 99.0, 300.5, 1000.0, 1e4)


def t_tail_reference(t: FloatArray, df: FloatArray) -> FloatArray:
    """The incomplete beta function on whichever side of the middle it is exact."""
    square = t * t
    inside = 0.5 * special.betainc(0.5, 0.5 * df, square / (df + square))
    outside = 0.5 * special.betainc(0.5 * df, 0.5, df / (df + square))
    return np.where(square < 2.0, 0.5 - np.copysign(inside, t), np.where(t > 0.0, outside, 1.0 - outside))


def grid(first: ArrayLike, second: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """All combinations, flat."""
    rows, columns = np.meshgrid(first, second)
    return rows.ravel(), columns.ravel()


def test_t_tail_over_a_wide_grid():
    """One by one and as arrays, the t tail has twelve digits from the middle to 1e-300, for whole and broken df."""
    ts = np.concatenate([-np.geomspace(1e-8, 100.0, 60), [0.0], np.geomspace(1e-8, 1e5, 200)])
    t, df = grid(ts, DFS)
    expected = t_tail_reference(t, df)
    seen = expected > 1e-300
    assert seen.sum() > 2000
    assert expected[seen].min() < 1e-250
    for got in (
        np.array([distributions.t_upper(float(a), float(b)) for a, b in zip(t, df, strict=True)]),
        distributions.t_upper(t, df),
        np.concatenate([distributions.t_upper(t[df == one], one) for one in DFS]),
    ):
        np.testing.assert_allclose(got[seen], expected[seen], rtol=2e-12)


def test_t_tail_in_closed_form():
    """One and two degrees of freedom have closed forms, exact also where t is tiny."""
    for t in (1e-8, 1e-3, 0.5, 0.99, 1.01, 3.0, 1e6):
        assert distributions.t_upper(t, 1.0) == pytest.approx(math.atan2(1.0, t) / math.pi, rel=1e-14)
        root = math.sqrt(2.0 + t * t)
        assert distributions.t_upper(t, 2.0) == pytest.approx(1.0 / (root * (root + t)), rel=1e-14)


@given(st.floats(-50, 50), st.floats(1, 200))
def test_t_tail(t, df):
    """The t tail equals scipy's (which has only eight digits for tiny t)."""
    assert distributions.t_upper(t, df) == pytest.approx(
        float(special.stdtr(df, -t)), rel=1e-8 if abs(t) < 1e-3 else 1e-11
    )


@given(st.floats(1e-300, 1.0, exclude_max=True), st.floats(1, 1e4))
def test_t_critical_is_the_inverse(p, df):
    """The tail beyond the critical value is p again, from 1e-300 to nearly 1."""
    assert distributions.t_upper(distributions.t_critical(p, df), df) == pytest.approx(p, rel=1e-11)


def test_t_critical_over_a_wide_grid():
    """The t quantile equals scipy's, one by one and as arrays."""
    p, df = grid(
        [1e-15, 1e-9, 1e-4, 0.00876, 0.025, 0.05, 0.2, 0.24, 0.26, 0.4, 0.49, 0.6, 0.975, 0.9999], DFS
    )
    expected = -special.stdtrit(df, p)
    np.testing.assert_allclose(distributions.t_critical(p, df), expected, rtol=1e-10)
    one_by_one = [distributions.t_critical(float(a), float(b)) for a, b in zip(p, df, strict=True)]
    np.testing.assert_allclose(one_by_one, expected, rtol=1e-10)


def test_t_critical_near_the_middle():
    """Just below one half the critical value is the small distance over the density, not rounding."""
    density = 0.375  # of t = 0 with four degrees of freedom
    assert distributions.t_critical(0.5 - 2.0**-36, 4) == pytest.approx(2.0**-36 / density, rel=1e-12)
    assert distributions.t_critical(0.5, 4) == 0.0


@pytest.mark.parametrize("as_input", [float, lambda x: np.array([x]), lambda x: np.full(200, x)])
def test_limits_and_nonsense(as_input):
    """Infinite, missing and impossible input gives what scipy gives, as a number, a short and a long array."""
    for t, df in (
        (math.inf, 5),
        (-math.inf, 5),
        (math.nan, 5),
        (1.0, 0),
        (1.0, -1),
        (1.0, math.inf),
        (1.0, math.nan),
    ):
        expected = float(special.stdtr(df, -t))
        np.testing.assert_allclose(distributions.t_upper(as_input(t), df), as_input(expected), rtol=1e-14)
    for p, df, t in (
        (0.0, 5, math.inf),
        (1.0, 5, -math.inf),
        (math.nan, 5, math.nan),
        (1.1, 5, math.nan),
        (0.2, 0, math.nan),
        (0.2, math.inf, stats.norm.isf(0.2)),
    ):
        np.testing.assert_allclose(distributions.t_critical(as_input(p), df), as_input(t), rtol=1e-14)
    assert distributions.t_upper(as_input(1e200), 1) == pytest.approx(as_input(1e-200 / math.pi), rel=1e-12)
    np.testing.assert_equal(distributions.normal_upper(as_input(math.nan)), as_input(math.nan))
    np.testing.assert_equal(distributions.normal_critical(as_input(-0.1)), as_input(math.nan))


def test_numbers_give_numbers_and_arrays_arrays():
    """A float for numbers, numpy's included; the broadcast shape for arrays, empty ones included."""
    assert type(distributions.t_upper(2.0, 8)) is type(distributions.t_critical(np.float64(0.1), 8)) is float
    assert distributions.t_upper(np.ones((3, 1)), np.array([5.0, 9.0])).shape == (3, 2)
    assert distributions.t_upper(np.ones((50, 1)), np.array([5.0, 9.0])).shape == (50, 2)
    assert distributions.normal_upper(np.empty(0)).shape == (0,)


@given(st.floats(-8, 37))
def test_normal_tail(z):
    """The normal tail equals scipy.stats, and the quantile inverts it."""
    p = distributions.normal_upper(z)
    assert p == pytest.approx(stats.norm.sf(z), rel=1e-12)
    if p < 0.9:
        assert distributions.normal_critical(p) == pytest.approx(z, rel=1e-12, abs=1e-15)


def test_normal_arrays():
    """Arrays give what scipy.stats gives for each element."""
    z = np.linspace(-8.0, 37.0, 300).reshape(3, 100)
    np.testing.assert_allclose(distributions.normal_upper(z), stats.norm.sf(z), rtol=1e-12)
    p = np.geomspace(1e-300, 0.499, 100)
    np.testing.assert_allclose(distributions.normal_critical(p), stats.norm.isf(p), rtol=1e-12)


def test_noncentral_t():
    """The noncentral t tail equals scipy.stats, and the central one without noncentrality."""
    for t, df, nc in itertools.product((0.0, 0.5, 2.3, 5.0), (2, 8, 27, 300, 10_000), (0.5, 1.0, 2.9, 8.0)):
        got = distributions.noncentral_t_upper(t, df, nc)
        assert got == pytest.approx(stats.nct.sf(t, df, nc), rel=1e-7, abs=1e-10)
    for t, df in itertools.product((0.0, 0.5, 2.3, 5.0, 12.7), DFS):
        assert distributions.noncentral_t_upper(t, df, 0.0) == pytest.approx(
            distributions.t_upper(t, df), abs=1e-12
        )


@given(st.integers(-1, 300), st.integers(0, 300))
def test_binomial_tail(k, extra):
    """The tail of fair coin flips equals scipy.stats; no flips are no evidence."""
    n = max(k, 0) + extra
    expected = 1.0 if n == 0 else stats.binom.sf(k - 1, n, 0.5)
    assert distributions.binomial_upper(k, n) == pytest.approx(expected, rel=1e-12)


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=40, unique=True))
def test_kendall_without_ties(values):
    """Kendall's tau and its exact p equal scipy.stats."""
    expected = stats.kendalltau(np.arange(len(values)), values, method="exact")
    tau, p = distributions.kendall(np.array(values))
    assert tau == pytest.approx(expected.statistic, abs=1e-12)
    assert p == pytest.approx(expected.pvalue, abs=1e-10)


def test_kendall_with_ties():
    """With ties the normal approximation equals scipy.stats."""
    values = np.array([1.0, 2.0, 2.0, 3.0, 1.0, 5.0, 4.0, 4.0, 6.0, 7.0])
    expected = stats.kendalltau(np.arange(10), values, method="asymptotic")
    tau, p = distributions.kendall(values)
    assert (tau, p) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))


def test_kendall_without_information():
    """Too few or equal values show no trend."""
    assert distributions.kendall(np.array([1.0, 2.0])) == (0.0, 1.0)
    assert distributions.kendall(np.full(9, 3.0)) == (0.0, 1.0)


def test_the_core_needs_no_scipy():
    """Importing the core and deciding leaves scipy alone, and parts of numpy that take long to load."""
    program = (
        "import sys; from pytest_optbench.core import *; from pytest_optbench.core.replay import replay;"
        "a, b = [1 + i / 97 for i in range(12)], [0.5 + i % 7 / 91 for i in range(12)];"
        "p = Pairs.from_seconds(a, b, [1, -1] * 6);"
        "s = schedule(10, 12); d = decide(p.first(10), s, replay(p.first(10), s, Goal()), Goal());"
        "assert d.verdict == 'ACCEPT', d; assert not {'scipy', 'numpy.ma'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
