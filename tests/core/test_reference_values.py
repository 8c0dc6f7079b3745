"""Numbers known from elsewhere (R, gsDesign, an independent implementation), to six digits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from reference_data import BASELINE, OPTIMIZED, ORDER

from pytest_optbench.core.anytime import e_value, half_width
from pytest_optbench.core.classic import paired_t, welch_t
from pytest_optbench.core.compose import Stage, compose
from pytest_optbench.core.decision import decide, replay
from pytest_optbench.core.estimate import huber, least_squares, total_time
from pytest_optbench.core.goal import Goal
from pytest_optbench.core.judge import look
from pytest_optbench.core.multiplicity import benjamini_hochberg, holm
from pytest_optbench.core.noninferiority import no_regression
from pytest_optbench.core.orders import plan_orders
from pytest_optbench.core.power import pairs_needed, smallest_detectable
from pytest_optbench.core.ranks import wilcoxon
from pytest_optbench.core.sequential import LOOKS, P_LOOK, Schedule, schedule
from pytest_optbench.core.spending import normal_bounds, obrien_fleming, pocock
from pytest_optbench.core.verdicts import Reason, Verdict

SLEEP_1 = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
SLEEP_2 = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
LEVEL = math.log(0.95)


def close(value, digits=1e-6):
    return pytest.approx(value, rel=digits)


def rounded(value, places=8):
    """Match a reference that was printed with this many decimals."""
    return pytest.approx(value, rel=1e-6, abs=0.5000001 * 10**-places)


def log_ratio(name):
    return np.log(OPTIMIZED[name] / BASELINE)


def test_r_sleep_paired():
    """The paired t-test reproduces R's sleep example."""
    test = paired_t(SLEEP_1 - SLEEP_2)
    assert test.t == rounded(-4.0621, 4)
    assert test.df == 9
    assert test.p == rounded(0.002833, 6)
    assert (test.low, test.high) == (close(-2.4598858), close(-0.7001142))


def test_r_sleep_welch():
    """Welch's test reproduces R's sleep example."""
    test = welch_t(SLEEP_1, SLEEP_2)
    assert test.t == rounded(-1.8608, 4)
    assert test.df == rounded(17.776, 3)
    assert test.p == rounded(0.07939, 5)
    assert (test.low, test.high) == (close(-3.3654832), close(0.2054832))


def test_clean_data_classic():
    """The classic tests of the clean data set match."""
    d = log_ratio("clean")
    test = paired_t(d)
    assert test.estimate == rounded(-0.10461728)
    assert test.t == close(-49.956097)
    assert test.p == pytest.approx(2.589e-12, rel=2e-4)
    assert (test.low, test.high) == (rounded(-0.10935465), rounded(-0.09987991))
    saved = [100 * -math.expm1(v) for v in (test.high, test.low)]
    assert saved == [rounded(9.5054, 4), rounded(10.3588, 4)]
    margin = paired_t(d, LEVEL)
    assert margin.t == close(-25.462889)
    assert margin.p / 2 == close(5.347820e-10)
    raw = welch_t(BASELINE, OPTIMIZED["clean"])
    assert raw.t == rounded(15.4196, 4)
    assert raw.p == pytest.approx(8.953e-12, rel=1e-4)


def test_clean_data_least_squares():
    """Least squares of the clean data set matches."""
    fit = least_squares(log_ratio("clean"), ORDER)
    assert fit.theta[0] == rounded(-0.10461728)
    assert fit.se[0] == rounded(0.00193486)
    assert fit.order_effect[0] == rounded(-0.00308562)
    assert fit.df == 8


@pytest.mark.parametrize(
    ("name", "theta", "se", "order_effect"),
    [
        ("clean", -0.10461728, 0.00198323, -0.00308562),
        ("outlier", -0.10211971, 0.00252028, -0.00558320),
        ("close", -0.05984713, 0.00495923, 0.00259474),
        ("same", -0.01006600, 0.00247468, 0.00129698),
    ],
)
def test_huber(name, theta, se, order_effect):
    """The Huber estimate of every reference data set matches."""
    estimate = huber(log_ratio(name), ORDER)
    assert estimate.theta[0] == rounded(theta)
    assert estimate.se[0] == rounded(se)
    assert estimate.order_effect[0] == rounded(order_effect)
    assert estimate.df == 8


def test_huber_weights():
    """Clean data has full weights; the outlier alone loses nearly all of its weight."""
    assert huber(log_ratio("clean"), ORDER).weights[0] == pytest.approx(np.ones(10), abs=1e-12)
    weights = huber(log_ratio("outlier"), ORDER).weights[0]
    assert weights[4] == rounded(0.0335, 4)
    assert np.delete(weights, 4) == pytest.approx(np.ones(9), abs=1e-12)


@pytest.mark.parametrize(
    ("name", "ratio", "low", "high"),
    [("clean", 0.90067435, 0.89643414, 0.90492911), ("outlier", 0.94016765, 0.85163769, 1.02744976)],
)
def test_total_time(name, ratio, low, high):
    """Total-time ratio and Fieller interval match."""
    total = total_time(BASELINE, OPTIMIZED[name])
    assert (total.ratio[0], total.low[0], total.high[0]) == (rounded(ratio), rounded(low), rounded(high))


@pytest.mark.parametrize(
    ("name", "estimate", "low", "high", "statistic", "p"),
    [
        ("clean", -0.10438519, -0.10900166, -0.10057426, 0, 1 / 1024),
        ("outlier", -0.10290080, -0.10799126, 0.06938940, 10, 0.041992),
    ],
)
def test_wilcoxon(name, estimate, low, high, statistic, p):
    """The signed-rank estimate, interval and one-sided p against the margin match."""
    d = log_ratio(name)
    test = wilcoxon(d)
    assert (test.estimate, test.low, test.high) == (rounded(estimate), rounded(low), rounded(high))
    against = wilcoxon(d, LEVEL)
    assert against.statistic == statistic
    assert against.p / 2 == rounded(p, 6)


@pytest.mark.parametrize(
    ("name", "verdict", "reason", "saved", "low", "high"),
    [
        ("clean", Verdict.ACCEPT, Reason.DEMONSTRATED, 9.9331, 9.3987, 10.4643),
        ("outlier", Verdict.ACCEPT, Reason.DEMONSTRATED, 9.7079, 9.0265, 10.3841),
        ("close", Verdict.CONTINUE, Reason.UNDECIDED, 5.8091, 4.4054, 7.1923),
        ("same", Verdict.REJECT, Reason.BELOW_THRESHOLD, 1.0016, 0.2680, 1.7297),
    ],
)
def test_first_look(pairs_of, name, verdict, reason, saved, low, high):
    """The first look at every reference data set decides as the reference does."""
    result = look(pairs_of(name), schedule(), 0, Goal())
    assert (result.verdict, result.reason, result.stop) == (verdict, reason, verdict != "CONTINUE")
    shown = [100 * -math.expm1(v) for v in (result.theta, result.hi, result.lo)]
    assert shown == [rounded(saved, 4), rounded(low, 4), rounded(high, 4)]
    assert result.level == close(0.98248)
    assert result.limit == P_LOOK[0]


def test_first_look_numbers(pairs_of):
    """Conditional power, margin p and margin t match the reference."""
    near = look(pairs_of("close"), schedule(), 0, Goal())
    assert near.conditional_power == rounded(0.792, 3)
    assert near.p == rounded(0.061421, 6)
    clean = look(pairs_of("clean"), schedule(), 0, Goal())
    assert clean.p == pytest.approx(1.971e-9, rel=3e-4)
    assert (LEVEL - clean.theta) / clean.se == rounded(26.8875, 4)
    assert math.exp(-clean.theta) == rounded(1.11029, 5)


def test_fixed_interval(pairs_of):
    """A plan of one look gives the plain 95 % interval."""
    result = look(pairs_of("clean"), Schedule((10,), (0.025,)), 0, Goal())
    shown = [100 * -math.expm1(v) for v in (result.hi, result.lo)]
    assert shown == [rounded(9.5202, 4), rounded(10.3440, 4)]


def test_power_numbers(pairs_of):
    """Smallest detectable effect and pairs needed match the reference."""
    clean = look(pairs_of("clean"), schedule(), 0, Goal())
    assert 100 * smallest_detectable(clean.se, 8, LEVEL) == rounded(5.600, 3)
    near = look(pairs_of("close"), schedule(), 0, Goal())
    assert 100 * smallest_detectable(near.se, 8, LEVEL) == rounded(6.493, 3)
    assert pairs_needed(near.theta, near.se, 10, LEVEL) == 29
    assert pairs_needed(clean.theta, clean.se, 10, LEVEL) == 10


def test_no_regression_numbers(pairs_of):
    """Non-inferiority and equivalence of the nearly equal data set match."""
    result = no_regression(pairs_of("same"), 0.02)
    assert result.verdict is Verdict.ACCEPT
    assert result.equivalent
    assert result.p_noninferior == pytest.approx(1.0256378481090064e-06, rel=1e-6)
    assert result.p_equivalence == pytest.approx(0.0021645982583171548, rel=1e-6)
    assert 100 * result.slowdown == close(-1.0015506261971354)
    assert 100 * result.slowdown_low == close(-1.4560733415579399)
    assert 100 * result.slowdown_high == close(-0.5449314762230137)


def test_no_regression_of_a_shuffle(pairs_of):
    """The baseline against its own shuffle is equivalent with the reference p-value."""
    from pytest_optbench.core.pairs import Pairs

    shuffled = BASELINE[[1, 2, 0, 4, 3, 6, 5, 8, 7, 9]]
    result = no_regression(Pairs.from_seconds(BASELINE, shuffled, ORDER), 0.02)
    assert result.p_noninferior == pytest.approx(0.001917646666546096, rel=1e-6)
    assert result.p_equivalence == pytest.approx(0.0019176466665461241, rel=1e-6)
    assert 100 * result.slowdown_high == close(0.9199744250836654)


def test_normal_boundaries():
    """Boundaries for known variance are those of gsDesign."""
    equal = np.arange(1, 6) / 5
    assert normal_bounds(equal, 0.025, obrien_fleming) == pytest.approx(
        [4.876885, 3.357012, 2.68028, 2.289817, 2.031032], rel=1e-6
    )
    assert normal_bounds(equal, 0.025, pocock) == pytest.approx(
        [2.437977, 2.426814, 2.410194, 2.396649, 2.386], rel=1e-6
    )
    assert normal_bounds(np.array(LOOKS) / 40, 0.025) == pytest.approx(
        [2.368328, 2.491639, 2.487633, 2.372369, 2.355998], rel=1e-6
    )


def test_anytime_numbers():
    """Confidence sequence and e-value match."""
    assert float(half_width(0.9, 10)) == close(0.38697867393713226)
    assert float(e_value(5.0, 0.9 + 10 * 0.25, 10)) == close(75.25809876698567)


def test_multiplicity_numbers():
    """Holm and Benjamini-Hochberg match."""
    p = [0.001, 0.008, 0.012, 0.02, 0.04]
    assert holm(p) == pytest.approx([0.005, 0.032, 0.036, 0.04, 0.04], rel=1e-12)
    assert benjamini_hochberg(p) == pytest.approx([0.005, 0.02, 0.02, 0.025, 0.04], rel=1e-12)


def test_composition_numbers():
    """Two stages compose as a product of ratios with the reference interval."""
    stages = [Stage.from_time_saved(0.7497, 0.0012, 8), Stage.from_time_saved(0.9876, 0.004, 8)]
    both = compose(stages)
    assert 100 * both.time_saved == close(99.689628)
    assert both.ratio == close(322.1940123464755)
    assert both.df == close(9.42842971927388)
    assert 100 * both.time_saved_low == close(99.68670238357025)
    assert 100 * both.time_saved_high == close(99.6925262966193)


def test_order_plan():
    """The plan of orders for a seed matches the reference sequence."""
    # fmt: off
    assert plan_orders(LOOKS, 1).tolist() == [
        -1, 1, -1, 1, 1, 1, -1, -1, -1, 1, 1, -1, -1, 1, -1, -1, 1, 1, 1, -1,
        1, 1, -1, -1, -1, 1, -1, 1, -1, 1, 1, -1, -1, 1, 1, -1, 1, -1, -1, 1,
    ]
    # fmt: on


def test_diagnostics_of_the_outlier(pairs_of):
    """The outlier is named and the order effect is the reference one."""
    pairs = pairs_of("outlier")
    decision = decide(pairs, schedule(), replay(pairs, schedule(), Goal()), Goal())
    assert [f.message for f in decision.diagnostics if f.code == "outliers"] == [
        "unusual pairs 4 (1 with a slow optimized arm, 0 with a slow baseline) count less, none is removed"
    ]
    clean = pairs_of("clean")
    companions = decide(clean, schedule(), replay(clean, schedule(), Goal()), Goal()).companions
    assert companions is not None
    assert 100 * (companions.order_ratio - 1) == rounded(-0.6152, 4)
    assert companions.order_p == rounded(0.1494, 4)
