"""Tail probabilities agree with scipy.stats, which is not imported by the shipped code."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_optbench.core import distributions


@given(st.floats(-50, 50), st.integers(1, 200))
def test_t_tail(t, df):
    """The t tail equals scipy.stats."""
    assert float(distributions.t_upper(t, df)) == pytest.approx(stats.t.sf(t, df), rel=1e-9)


@given(st.floats(1e-9, 0.5), st.integers(2, 200))
def test_t_critical(p, df):
    """The t quantile equals scipy.stats."""
    assert float(distributions.t_critical(p, df)) == pytest.approx(stats.t.isf(p, df), rel=1e-8, abs=1e-12)


@given(st.floats(-8, 30))
def test_normal_tail(z):
    """The normal tail equals scipy.stats, and the quantile inverts it."""
    p = float(distributions.normal_upper(z))
    assert p == pytest.approx(stats.norm.sf(z), rel=1e-9)
    if 1e-12 < p < 1 - 1e-12:
        assert float(distributions.normal_critical(p)) == pytest.approx(z, rel=1e-6, abs=1e-4)


def test_noncentral_t():
    """The noncentral t tail equals scipy.stats."""
    for t, df, nc in ((2.0, 8, 1.0), (2.3, 27, 2.9), (1.9, 300, 2.2)):
        assert distributions.noncentral_t_upper(t, df, nc) == pytest.approx(stats.nct.sf(t, df, nc), rel=1e-6)


@given(st.integers(0, 30), st.integers(0, 30))
def test_binomial_tail(k, extra):
    """The tail of fair coin flips equals scipy.stats; no flips are no evidence."""
    n = k + extra
    expected = 1.0 if n == 0 else stats.binom.sf(k - 1, n, 0.5)
    assert distributions.binomial_upper(k, n) == pytest.approx(expected, rel=1e-9)


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


def test_core_does_not_import_scipy_stats():
    """Importing the core and deciding leaves the slow scipy.stats alone."""
    program = (
        "import sys; from pytest_optbench.core import *; from pytest_optbench.core.replay import replay;"
        "a, b = [1 + i / 97 for i in range(12)], [0.5 + i % 7 / 91 for i in range(12)];"
        "p = Pairs.from_seconds(a, b, [1, -1] * 6);"
        "s = schedule(10, 12); d = decide(p.first(10), s, replay(p.first(10), s, Goal()), Goal());"
        "assert d.verdict == 'ACCEPT', d; assert 'scipy.stats' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
