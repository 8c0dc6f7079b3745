"""The plan of looks: its limits, what they are calibrated to, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_optbench.core import calibrate
from pytest_optbench.core.distributions import t_upper
from pytest_optbench.core.estimate import least_squares
from pytest_optbench.core.multiplicity import attempt_alpha
from pytest_optbench.core.orders import plan_orders
from pytest_optbench.core.sequential import LOOKS, P_LOOK, Schedule, planned_looks, schedule
from pytest_optbench.core.spending import increments, pocock

PUBLISHED = {
    (10, 15, 20, 30, 40): (0.00876, 0.00579, 0.00584, 0.00820, 0.00861),
    (10, 20, 40): (0.00876, 0.00846, 0.01242),
    (10, 20, 30): (0.01129, 0.01020, 0.01026),
    (10, 20): (0.01545, 0.01302),
    (20, 40, 80): (0.00891, 0.00858, 0.01268),
    (10, 14, 20, 28, 40, 56, 80): (0.00478, 0.00290, 0.00358, 0.00447, 0.00592, 0.00738, 0.00935),
}


@pytest.mark.parametrize("looks", PUBLISHED)
def test_calibration_agrees_with_published_limits(looks):
    """The simulated limits agree with those of 1.5 to 3 million plain paths within 3 %."""
    assert calibrate._simulated(looks, 0.025) == pytest.approx(PUBLISHED[looks], rel=0.03)


def test_default_plan():
    """The default plan uses the constants."""
    plan = schedule()
    assert (plan.looks, plan.limits, plan.level) == (LOOKS, P_LOOK, 0.025)
    assert schedule(10, 40, 0.05).limits == calibrate.P_LOOK_ONE_SIDED


def test_constants_agree_with_the_calibration():
    """The one-sided 0.05 constants are what the calibration gives."""
    assert calibrate._simulated(LOOKS, 0.05) == pytest.approx(calibrate.P_LOOK_ONE_SIDED, rel=0.02)


@pytest.mark.parametrize("alpha", [0.05, 0.025, 0.002])
def test_limits_spend_the_error(alpha):
    """Plain simulation of pairs crosses the limits with the chance the plan states."""
    plan = schedule(10, 20, alpha)
    rows = 200_000 if alpha < 0.01 else 60_000
    rng = np.random.default_rng(8)
    order = plan_orders(plan.looks, 1)
    d = rng.standard_normal((rows, plan.looks[-1]))
    crossed = np.zeros(rows, dtype=bool)
    for n, limit in zip(plan.looks, plan.limits, strict=True):
        fit = least_squares(d[:, :n], order[:n])
        crossed |= np.asarray(t_upper(fit.theta / fit.se, fit.df)) <= limit
    assert crossed.mean() == pytest.approx(alpha, abs=4 * np.sqrt(alpha / rows) + 0.02 * alpha)


def test_same_plan_twice():
    """Calibration is deterministic."""
    calibrate._simulated.cache_clear()
    first = schedule(12, 36, 0.01).limits
    calibrate._simulated.cache_clear()
    assert schedule(12, 36, 0.01).limits == first


@pytest.mark.parametrize(
    ("first", "last", "looks"),
    [
        (10, 40, (10, 15, 20, 30, 40)),
        (10, 10, (10,)),
        (10, 11, (10, 11)),
        (10, 20, (10, 15, 20)),
        (20, 80, (20, 30, 40, 60, 80)),
        (11, 40, (11, 17, 22, 33, 40)),
        (4, 8, (4, 6, 8)),
        (10, 100, (10, 15, 20, 30, 40, 60, 80, 100)),
    ],
)
def test_planned_looks(first, last, looks):
    """Looks grow by 1, 1.5, 2, 3, 4, ... and end exactly at the last."""
    assert planned_looks(first, last) == looks


def test_planned_looks_refuse():
    """Too early a first look and a last before the first are refused."""
    with pytest.raises(ValueError, match="the first look needs at least 4 pairs, got 3"):
        planned_looks(3, 10)
    with pytest.raises(ValueError, match=r"must not come before the first \(10\), got 9"):
        planned_looks(10, 9)


def test_schedule_refuses_nonsense():
    """Looks, limits, alpha and candidates are checked."""
    with pytest.raises(ValueError, match=r"looks must increase from at least 4 pairs, got \(10, 10\)"):
        Schedule((10, 10), (0.01, 0.01))
    with pytest.raises(ValueError, match=r"every look needs a limit between 0 and 0\.5"):
        Schedule((10, 20), (0.01,))
    with pytest.raises(ValueError, match=r"alpha \(one-sided\) must lie between 0 and 0.5, got 0.7"):
        schedule(alpha=0.7)
    with pytest.raises(ValueError, match="looks must increase from at least 4 pairs"):
        calibrate.limits((20, 10), 0.025)
    with pytest.raises(ValueError, match="candidates must be at least 1, got 0"):
        schedule(candidates=0)
    with pytest.raises(ValueError, match="attempts count from 1, got 0"):
        schedule(attempt=0)


def test_one_look_uses_alpha():
    """A plan of one look needs no calibration."""
    assert schedule(10, 10, 0.025).limits == (0.025,)


def test_attempts_spend_a_finite_total():
    """The first attempt uses alpha, all attempts together 1.392 alpha."""
    spent = [attempt_alpha(0.025, j) for j in range(1, 20_000)]
    assert spent[0] == 0.025
    assert spent[1] == pytest.approx(0.025 * 6 / (np.pi * 2) ** 2)
    assert sum(spent) == pytest.approx(0.025 * (2 - 6 / np.pi**2), rel=1e-4)


def test_later_attempts_and_candidates_are_stricter():
    """Every limit shrinks with the attempt and with the number of candidates."""
    plain, second, shared = schedule(), schedule(attempt=2), schedule(candidates=3)
    assert all(b < a for a, b in zip(plain.limits, second.limits, strict=True))
    assert all(b < a for a, b in zip(plain.limits, shared.limits, strict=True))
    assert shared.level == pytest.approx(0.025 / 3)


def test_step_down():
    """Accepting candidates frees error for the others until the last has all of it."""
    shared = schedule(candidates=3)
    assert shared.with_accepted(0) is shared
    assert shared.with_accepted(2).limits == schedule().limits
    assert shared.with_accepted(1).candidates == 2
    with pytest.raises(ValueError, match="3 of 3 candidates accepted leaves none to judge"):
        shared.with_accepted(3)


def test_spending():
    """The error spent grows to alpha and the shares sum to one."""
    fraction = np.array(LOOKS) / 40
    assert pocock(fraction, 0.025) == pytest.approx([0.008934, 0.012434, 0.015503, 0.0207, 0.025], abs=1e-6)
    assert increments(fraction, 0.025).sum() == pytest.approx(0.025)
    assert schedule().shares == pytest.approx([0.357, 0.140, 0.123, 0.208, 0.172], abs=1e-3)
