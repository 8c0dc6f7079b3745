"""One look: every outcome it can have, and the looks it refuses."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from pytest_optbench.core.estimate import huber, total_time
from pytest_optbench.core.goal import Goal
from pytest_optbench.core.judge import judge_rows, look, look_candidates
from pytest_optbench.core.pairs import Pairs, Trial
from pytest_optbench.core.sequential import PlanError, Schedule, schedule
from pytest_optbench.core.verdicts import Reason, Verdict

SPEEDUP = Goal("speedup", 0.05)
NO_REGRESSION = Goal("no-regression", 0.05)
FIXED = Schedule((10,), (0.025,))


def with_tail(pairs: Pairs, factor: float, count: int) -> Pairs:
    """Return the pairs with the last `count` optimized runs slower by a factor."""
    optimized = pairs.optimized_s.copy()
    optimized[-count:] *= factor
    return Pairs.from_seconds(pairs.baseline_s, optimized, pairs.order)


def test_slower(noisy_pairs):
    """A clear slowdown is REJECT slower at the first look."""
    result = look(noisy_pairs(10, -0.10), schedule(), 0, SPEEDUP)
    assert (result.verdict, result.reason, result.stop) == (Verdict.REJECT, Reason.SLOWER, True)


def test_below_threshold(noisy_pairs):
    """No effect at all is REJECT below-threshold."""
    result = look(noisy_pairs(10, 0.0, 0.005), schedule(), 0, SPEEDUP)
    assert (result.verdict, result.reason) == (Verdict.REJECT, Reason.BELOW_THRESHOLD)


def test_nothing_is_settled_while_the_control_stands_out(noisy_pairs):
    """A disturbed control costs pairs, whatever the numbers say; the last look leaves it to the decision."""
    for effect, settled in (
        (0.10, Reason.DEMONSTRATED),
        (0.0, Reason.BELOW_THRESHOLD),
        (-0.10, Reason.SLOWER),
    ):
        for n in (10, 40):
            quiet = noisy_pairs(n, effect, 0.005)
            values = 0.02 + 0.002 * np.random.default_rng(1).standard_normal(n)
            disturbed = Pairs.from_trials(
                replace(trial, control=(float(value),))
                for trial, value in zip(quiet.trials, values, strict=True)
            )
            at = schedule().looks.index(n)
            assert look(quiet, schedule(), at, SPEEDUP).reason is settled
            result = look(disturbed, schedule(), at, SPEEDUP)
            assert result.stop is (n == 40)
            assert result.reason is (settled if n == 40 else Reason.UNDECIDED)


def test_total_time_proved(pairs_of):
    """A faster typical run with a total time proved worse is REJECT total-time."""
    rng = np.random.default_rng(5)
    n = 60
    order = np.array([1, -1] * (n // 2))
    slow = np.arange(n) % 5 == 0
    optimized = 0.9 * np.exp(0.002 * rng.standard_normal(n)) * np.where(slow, 3.0, 1.0)
    pairs = Pairs.from_seconds(np.exp(0.002 * rng.standard_normal(n)), optimized, order)
    result = look(pairs, Schedule((n,), (0.025,)), 0, SPEEDUP)
    assert (result.verdict, result.reason) == (Verdict.REJECT, Reason.TOTAL_TIME)


def test_tail_risk(pairs_of):
    """A faster typical run whose total time misses, but not provably, is INCONCLUSIVE tail-risk."""
    tail = with_tail(pairs_of("clean"), 1.7, 1)
    result = look(tail, FIXED, 0, SPEEDUP)
    assert result.hi < SPEEDUP.log_threshold
    assert (result.verdict, result.reason) == (Verdict.INCONCLUSIVE, Reason.TAIL_RISK)
    before_last = look(tail, schedule(), 0, SPEEDUP)
    assert (before_last.verdict, before_last.stop) == (Verdict.CONTINUE, False)


def test_not_demonstrated(pairs_of):
    """Straddling the threshold at the last look is INCONCLUSIVE not-demonstrated."""
    result = look(pairs_of("close"), FIXED, 0, SPEEDUP)
    assert (result.verdict, result.reason) == (Verdict.INCONCLUSIVE, Reason.NOT_DEMONSTRATED)
    assert result.conditional_power is None


def test_futile(noisy_pairs):
    """A weak trend under much noise stops early as futile."""
    result = look(noisy_pairs(10, 0.02, 0.05, seed=3), schedule(), 0, SPEEDUP)
    assert (result.verdict, result.reason) == (Verdict.INCONCLUSIVE, Reason.FUTILE)
    assert result.conditional_power is not None
    assert result.conditional_power < 0.05


def test_no_regression_words(noisy_pairs):
    """The no-regression goal accepts the same speed and rejects a slowdown beyond the margin."""
    plan = schedule(alpha=0.05)
    assert look(noisy_pairs(10, 0.0), plan, 0, NO_REGRESSION).reason is Reason.DEMONSTRATED
    worse = look(noisy_pairs(10, -0.15), plan, 0, NO_REGRESSION)
    assert (worse.verdict, worse.reason) == (Verdict.REJECT, Reason.SLOWER)


def test_no_regression_measures_on_towards_a_regression(noisy_pairs):
    """A slowdown just beyond the margin is not dropped as futile: showing it is worth pairs."""
    pairs = noisy_pairs(10, -0.07, 0.02, seed=1)
    result = look(pairs, schedule(alpha=0.05), 0, NO_REGRESSION)
    assert result.theta > NO_REGRESSION.log_threshold
    assert result.verdict is Verdict.CONTINUE
    assert result.conditional_power is not None
    assert result.conditional_power > 0.5


@pytest.mark.parametrize("saved", [0.5, -0.5, 0.0])
def test_few_pairs_decide_nothing(noisy_pairs, saved):
    """Below ten pairs nothing is decided, however clear it looks."""
    plan = schedule(4, 8)
    pairs = noisy_pairs(8, saved, 0.001)
    order = np.array([1, -1, 1, -1, 1, -1, 1, -1])
    pairs = Pairs.from_seconds(pairs.baseline_s, pairs.optimized_s, order)
    assert look(pairs.first(4), plan, 0, SPEEDUP).verdict is Verdict.CONTINUE
    last = look(pairs, plan, 2, SPEEDUP)
    assert (last.verdict, last.reason) == (Verdict.INCONCLUSIVE, Reason.TOO_FEW_PAIRS)


@pytest.mark.parametrize(
    "optimized",
    [
        [0.5] * 9 + [math.nan],
        [0.5] * 9 + [math.inf],
        [0.5] * 9 + [0.0],
        [0.5] * 9 + [-1.0],
        [0.5] * 10,
        [0.0] * 10,
    ],
)
def test_unusable_data_is_invalid(optimized):
    """NaN, infinity, zero, negative and constant times stop as invalid-measurement."""
    pairs = Pairs.from_seconds([1.0] * 10, optimized, [1, -1] * 5)
    result = look(pairs, schedule(), 0, SPEEDUP)
    assert (result.verdict, result.reason, result.stop) == (
        Verdict.INCONCLUSIVE,
        Reason.INVALID_MEASUREMENT,
        True,
    )


def test_one_sided_orders_are_invalid():
    """Ten pairs in one order cannot be judged."""
    pairs = Pairs.from_seconds(np.linspace(1, 1.1, 10), np.linspace(0.5, 0.51, 10), [1] * 10)
    assert look(pairs, schedule(), 0, SPEEDUP).reason is Reason.INVALID_MEASUREMENT


def test_rows_with_nan_are_invalid(noisy_pairs):
    """In the row form, too, a NaN can only end INCONCLUSIVE."""
    pairs = noisy_pairs(10, 0.3)
    d = np.vstack([pairs.log_ratio, pairs.log_ratio])
    d[1, 0] = np.nan
    order = np.vstack([pairs.order] * 2)
    seconds = np.vstack([pairs.baseline_s] * 2), np.vstack([pairs.optimized_s] * 2)
    rows = judge_rows(huber(d, order), total_time(*seconds), schedule(), 0, SPEEDUP)
    assert rows.accepted.tolist() == [True, False]
    assert rows.stopped.tolist() == [True, True]


def test_unplanned_looks_are_refused(noisy_pairs):
    """Only the planned numbers of pairs may be judged."""
    with pytest.raises(PlanError, match=r"look 1 of 5 is planned at 10 pairs, got 12"):
        look(noisy_pairs(12, 0.1), schedule(), 0, SPEEDUP)
    with pytest.raises(PlanError, match="got look 5; no look may be added"):
        look(noisy_pairs(10, 0.1), schedule(), 5, SPEEDUP)


def test_a_repeated_attempt_needs_the_rank_test(noisy_pairs):
    """From the second attempt on a clear gain waits until the exact rank test can support it."""
    plan = schedule(attempt=2)
    pairs = noisy_pairs(15, 0.20)
    first = look(pairs.first(10), plan, 0, SPEEDUP)
    assert first.hi < SPEEDUP.log_threshold
    assert first.verdict is Verdict.CONTINUE
    assert look(pairs, plan, 1, SPEEDUP).verdict is Verdict.ACCEPT
    with pytest.raises(ValueError, match="attempt 2 needs the rank test to confirm"):
        judge_rows(
            huber(pairs.log_ratio, pairs.order),
            total_time(pairs.baseline_s, pairs.optimized_s),
            plan,
            1,
            SPEEDUP,
        )


def test_a_short_plan_can_still_accept_a_repeated_attempt(noisy_pairs):
    """At the last look complete separation is enough, so ten pairs can accept a clear gain."""
    result = look(noisy_pairs(10, 0.30), schedule(10, 10, attempt=3), 0, SPEEDUP)
    assert result.verdict is Verdict.ACCEPT


def test_candidates_step_down(noisy_pairs):
    """A candidate that misses its share alone is accepted once the others free theirs."""
    plan = schedule(10, 10, candidates=3)
    borderline = None
    for seed in range(1, 400):
        pairs = noisy_pairs(10, 0.075, 0.02, seed)
        p = look(pairs, schedule(10, 10), 0, SPEEDUP).p
        if 0.0125 < p < 0.025:
            borderline = pairs
            break
    assert borderline is not None
    alone = look_candidates({"a": borderline}, plan, 0, SPEEDUP)
    assert alone["a"].verdict is Verdict.INCONCLUSIVE
    clear = {"b": noisy_pairs(10, 0.3, seed=2), "c": noisy_pairs(10, 0.4, seed=3)}
    together = look_candidates({"a": borderline, **clear}, plan, 0, SPEEDUP)
    assert [together[name].verdict for name in "abc"] == [Verdict.ACCEPT] * 3
    assert (together["b"].competing, together["a"].competing) == (3, 1)
    later = look_candidates({"a": borderline}, plan, 0, SPEEDUP, accepted={"b", "c"})
    assert later["a"] == together["a"]


def test_candidates_all_accepted_before(noisy_pairs):
    """Candidates accepted earlier are not judged again."""
    plan = schedule(candidates=1)
    assert look_candidates({"a": noisy_pairs(10, 0.3)}, plan, 0, SPEEDUP, accepted={"a"}) == {}


def test_micro_pairs_decide_by_their_log_ratios():
    """The log ratio of a trial, not the ratio of its mean seconds, is what is judged."""
    trials = [
        Trial(i, 1 if i % 2 else -1, 1.0, 0.80, math.log(0.97) + 0.001 * ((i * 7) % 10)) for i in range(10)
    ]
    assert look(Pairs.from_trials(trials), schedule(), 0, SPEEDUP).reason is Reason.BELOW_THRESHOLD
