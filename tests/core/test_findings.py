"""Diagnostics, the A/A control and the criteria rows."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from pytest_optbench.core.control import aa_control
from pytest_optbench.core.criteria import Evidence, criteria
from pytest_optbench.core.decision import decide, replay
from pytest_optbench.core.diagnose import split_distance, tied_share
from pytest_optbench.core.equivalence import Equivalence
from pytest_optbench.core.goal import Goal
from pytest_optbench.core.noninferiority import no_regression, no_regression_rows
from pytest_optbench.core.orders import plan_orders
from pytest_optbench.core.pairs import Pairs, Trial
from pytest_optbench.core.sequential import Schedule
from pytest_optbench.core.verdicts import Verdict

SPEEDUP = Goal("speedup", 0.05)
N = 40
ORDER = plan_orders([N], 3)


def findings(baseline, optimized, goal=SPEEDUP, **kwargs):
    """Return the findings by code for N pairs of log times judged once."""
    plan = Schedule((N,), (0.025,))
    pairs = Pairs.from_seconds(np.exp(baseline), np.exp(optimized), ORDER)
    decision = decide(pairs, plan, replay(pairs, plan, goal), goal, **kwargs)
    return {found.code: found for found in decision.diagnostics}


@pytest.fixture
def noise():
    """Return independent log times of both arms with a gain of 10 %."""
    rng = np.random.default_rng(12)
    return 0.01 * rng.standard_normal(N), 0.01 * rng.standard_normal(N) + math.log(0.9)


def test_quiet_data_has_no_findings(noise):
    """Independent noise raises nothing."""
    assert findings(*noise) == {}


def test_drift(noise):
    """A machine that gets faster for both arms is explained as drift."""
    ramp = np.linspace(0, -0.2, N)
    found = findings(noise[0] + ramp, noise[1] + ramp)
    assert set(found) == {"drift"}
    assert found["drift"].message.startswith("both arms became faster during the run (Kendall tau -0.")


def test_ratio_drift(noise):
    """An optimized arm that loses ground is a warning."""
    found = findings(noise[0], noise[1] + np.linspace(0, 0.05, N))
    assert found["ratio-drift"].level == "warn"
    assert "the optimized arm lost ground" in found["ratio-drift"].message


def test_autocorrelation(noise):
    """Noise that persists inside one arm is a warning."""
    rng = np.random.default_rng(2)
    slow = np.zeros(N)
    for i in range(1, N):
        slow[i] = 0.9 * slow[i - 1] + 0.02 * rng.standard_normal()
    assert (
        "neighbouring pairs resemble each other"
        in findings(noise[0], noise[1] + slow)["autocorrelation"].message
    )


def test_order_effect(noise):
    """An effect of running second is information only, in per cent between the orders."""
    found = findings(noise[0] - 0.03 * (ORDER < 0), noise[1] - 0.03 * (ORDER > 0))
    assert found["order-effect"].level == "info"
    assert re.search(r"differs by -[56]\.\d\d % between the two orders", found["order-effect"].message)


def test_outliers_and_tail(noise):
    """Slow runs of the optimized arm are counted and, when one-sided, warned about."""
    slow = np.where(np.arange(N) % 8 == 3, 0.4, 0.0)
    found = findings(noise[0], noise[1] + slow)
    assert found["outliers"].message.startswith(
        "unusual pairs 3, 11, 19, 27, 35 (5 with a slow optimized arm, 0 with"
    )
    assert found["tail-asymmetry"].message.startswith(
        "5 of 5 unusual pairs are slow in the optimized arm (p=0.031)"
    )
    balanced = findings(noise[0] + np.roll(slow, 2), noise[1] + slow)
    assert "tail-asymmetry" not in balanced


def test_clock_ties(noise):
    """Repeated times are reported, as a warning from a tenth on."""
    found = findings(np.round(noise[0], 2), noise[1])
    assert found["clock-ties"].level == "warn"
    one = noise[0].copy()
    one[1] = one[0]
    assert findings(one, noise[1])["clock-ties"].level == "info"
    assert tied_share(np.array([1.0, 1.0, 2.0, 3.0])) == 0.25
    assert tied_share(np.array([])) == 0.0


def test_bimodality(noise):
    """Times in two separate groups are reported per arm."""
    found = findings(noise[0] + np.where(np.arange(N) % 2, 0.3, 0.0), noise[1])
    assert found["bimodality"].message.startswith("the baseline times fall into two separate groups")


def test_bimodality_of_runs():
    """Two speeds inside the trials show in their runs although the trial means hide them."""
    rng = np.random.default_rng(3)
    trials = []
    for i in range(10):
        runs = [
            (
                1 if j % 2 else -1,
                math.exp(0.3 * (j // 2 % 2) + 0.01 * rng.standard_normal()),
                0.5 + 0.01 * rng.random(),
            )
            for j in range(8)
        ]
        trials.append(Trial.from_runs(i, 1 if i % 2 else -1, runs))
    plan = Schedule((10,), (0.025,))
    pairs = Pairs.from_trials(trials)
    decision = decide(pairs, plan, replay(pairs, plan, SPEEDUP), SPEEDUP)
    assert [f.message[:12] for f in decision.diagnostics if f.code == "bimodality"] == ["the baseline"]


@pytest.mark.parametrize("n", [20, 40, 400])
def test_bimodality_of_normal_noise_is_rare(n):
    """Normal noise of any size looks like two groups in at most 1 % of cases."""
    rng = np.random.default_rng(9)
    flags = [split_distance(rng.standard_normal(n)) > 6.0 for _ in range(2000)]
    assert np.mean(flags) <= 0.01


def test_split_distance_edges():
    """Too few values have no groups; two exact values are infinitely apart; equal ones not at all."""
    assert split_distance(np.array([1.0, 2.0] * 9)) == 0.0
    assert split_distance(np.array([1.0, 2.0] * 10)) == math.inf
    assert split_distance(np.ones(20)) == 0.0


def test_estimators_on_both_sides(noise):
    """When slow runs put the total time on the other side the finding says so."""
    slow = np.where(np.arange(N) % 5 == 0, 0.35, 0.0)
    message = findings(noise[0], noise[1] + slow)["estimator-spread"].message
    assert message.startswith(
        "sensitive: the estimates of time saved lie on both sides of the threshold (robust 8.9"
    )


def test_noisy_machine():
    """When only a gain beyond twice the margin could be shown the machine is called noisy."""
    rng = np.random.default_rng(4)
    loud = 0.2 * rng.standard_normal(N), 0.2 * rng.standard_normal(N)
    assert "could have been shown reliably against 5 %" in findings(*loud)["noisy-machine"].message
    hidden = findings(*loud, goal=Goal("no-regression", 0.02))["noisy-machine"].message
    assert "hides a slowdown of 2 %" in hidden


def test_load_and_steal(noise):
    """Load and steal given by the caller are reported above their limits."""
    assert findings(*noise, load=0.1, steal=0.001) == {}
    found = findings(*noise, load=1.5, steal=0.2)
    assert found["load"].message == "other work kept 1.50 processes per CPU running while measuring"
    assert found["steal"].message == "other guests of the host took 20.0 % of the CPU time"


def test_findings_do_not_change_the_verdict(noise):
    """The same data with an alarming machine state has the same verdict."""
    plan = Schedule((N,), (0.025,))
    pairs = Pairs.from_seconds(np.exp(noise[0]), np.exp(noise[1]), ORDER)
    looks = replay(pairs, plan, SPEEDUP)
    calm, busy = (decide(pairs, plan, looks, SPEEDUP, load=x, steal=x) for x in (0.0, 9.0))
    assert calm.verdict is busy.verdict is Verdict.ACCEPT


def test_control_interval_is_99_percent():
    """Healthy controls are condemned in about 1 %."""
    rng = np.random.default_rng(10)
    clean = [aa_control(0.02 * rng.standard_normal(10)).clean for _ in range(4000)]
    assert 0.985 <= np.mean(clean) <= 0.995


def test_control_edges():
    """Too few or unusable values have no control; a constant offset is not clean, exact equality is."""
    assert aa_control([0.1, 0.2, 0.3]) is None
    assert aa_control([0.1, 0.2, math.nan, 0.3]) is None
    offset, equal = aa_control([0.1] * 6), aa_control([0.0] * 6)
    assert offset is not None
    assert not offset.clean
    assert equal is not None
    assert equal.clean
    assert (equal.ratio, equal.noise_floor, equal.n) == (1.0, 0.0, 6)


def test_criteria_show_a_narrow_miss():
    """A value that only just misses is shown with enough digits to see it."""
    evidence = Evidence(10, saved=0.06, saved_low=0.049999, total_saved=0.0499999999, p=0.01, limit=0.00876)
    rows = {row.name: row for row in criteria(evidence, SPEEDUP, Equivalence(), None, 0.05)}
    assert rows["time saved, lower bound"].actual == "4.9999 %"
    assert rows["total time saved"].actual == "4.999999990 %"
    assert rows["time saved, lower bound"].passed is False


def test_criteria_without_data():
    """Rows that could not be checked are neither passed nor failed."""
    rows = {row.name: row for row in criteria(Evidence(0), SPEEDUP, Equivalence(), None, 0.05)}
    assert rows["pairs"].passed is False
    assert {row.passed for name, row in rows.items() if name != "pairs"} == {None}


def test_criteria_of_no_regression():
    """A no-regression goal speaks of slowdown."""
    evidence = Evidence(10, saved=-0.01, saved_low=-0.03, total_saved=-0.01, p=0.001, limit=0.01, shown=True)
    rows = {r.name: r for r in criteria(evidence, Goal("no-regression", 0.05), Equivalence(), None, 0.05)}
    bound = rows["slowdown, upper bound"]
    assert (bound.required, bound.actual, bound.passed) == ("<= 5 %", "3.00 %", True)
    assert "p against no difference" not in rows


@pytest.mark.parametrize(
    ("passed", "actual"), [(True, "equal"), (False, "different"), (None, "comparison failed")]
)
def test_criteria_of_equivalence(passed, actual):
    """The equivalence row says what was found; only equal passes."""
    rows = criteria(Evidence(10), SPEEDUP, Equivalence(True, passed), None, 0.05)
    (row,) = [row for row in rows if row.name == "equivalent results"]
    assert (row.actual, row.passed) == (actual, passed is True)


def test_no_regression_verdicts(noisy_pairs):
    """Same speed is ACCEPT, clearly slower is REJECT, in between and unusable are INCONCLUSIVE."""
    assert no_regression(noisy_pairs(20, 0.0, 0.01), 0.05).verdict is Verdict.ACCEPT
    assert no_regression(noisy_pairs(20, -0.2, 0.01), 0.05).verdict is Verdict.REJECT
    assert no_regression(noisy_pairs(10, -0.05, 0.05), 0.05).verdict is Verdict.INCONCLUSIVE
    broken = no_regression(Pairs.from_seconds([1.0] * 9 + [math.nan], [1.0] * 10, [1, -1] * 5), 0.05)
    assert (broken.verdict, broken.equivalent) == (Verdict.INCONCLUSIVE, False)
    constant = no_regression(Pairs.from_seconds([1.0] * 10, [1.0] * 10, [1, -1] * 5), 0.05)
    assert constant.verdict is Verdict.INCONCLUSIVE


def test_no_regression_refuses_a_margin_of_zero(noisy_pairs):
    """The allowed slowdown must be above 0."""
    from pytest_optbench.core.estimate import huber

    pairs = noisy_pairs(10, 0.0)
    with pytest.raises(
        ValueError, match=r"the allowed slowdown must be above 0, got 0\.0; write 0\.02 for 2 %"
    ):
        no_regression_rows(huber(pairs.log_ratio, pairs.order), 0.0)
