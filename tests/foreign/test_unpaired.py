from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pytest_optbench.core.goal import Goal
from pytest_optbench.core.unpaired import BATCHES, Side, Unpaired, adjusted, compare
from pytest_optbench.core.verdicts import Reason, Verdict

SPEEDUP, NO_REGRESSION = Goal("speedup", 0.05), Goal("no-regression", 0.05)


def processes(mean: float, n: int = 12, spread: float = 0.02, seed: int = 1) -> Side:
    rng = np.random.default_rng(seed)
    return Side.of_processes([[mean * math.exp(v)] for v in rng.normal(0.0, spread, n)])


def judged(a: Side, b: Side, goal: Goal = NO_REGRESSION, **more: float) -> Unpaired:
    return adjusted([compare(a, b, goal, **more)])[0]


def test_numbers_are_those_of_scipy() -> None:
    """Welch on logarithms, Mann-Whitney and their p-values are scipy's."""
    a, b = processes(1.0, seed=1), processes(1.1, n=15, spread=0.06, seed=2)
    found = judged(a, b, SPEEDUP)
    la, lb = np.log(a.values), np.log(b.values)
    welch = stats.ttest_ind(la, lb, equal_var=False)
    assert found.effect.theta == pytest.approx(lb.mean() - la.mean())
    assert found.effect.p_zero == pytest.approx(welch.pvalue)
    interval = welch.confidence_interval(0.95)
    assert (-found.effect.high, -found.effect.low) == pytest.approx((interval.low, interval.high))
    assert found.ranks is not None
    assert found.ranks.p == pytest.approx(stats.mannwhitneyu(la, lb, method="exact").pvalue)
    plain = stats.ttest_ind(a.values, b.values, equal_var=False)
    assert (found.welch.t, found.welch.df, found.welch.p) == pytest.approx(
        (plain.statistic, plain.df, plain.pvalue)
    )
    upper = stats.ttest_ind(la + math.log(0.95), lb, equal_var=False, alternative="greater")
    assert found.effect.p_margin == pytest.approx(upper.pvalue)


def test_no_numbers_whatever_are_accepted() -> None:
    """A hundred times faster, with any number of processes and no noise to speak of, is INCONCLUSIVE."""
    found = judged(processes(1.0, 200, 1e-6), processes(0.01, 200, 1e-6, seed=2), SPEEDUP)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reasons == (Reason.UNPAIRED,)
    assert found.suggestion == "the goal is met"


def test_slower_than_the_machine_could_explain_is_rejected() -> None:
    """REJECT needs the whole interval beyond the margin and the allowance, not beyond the margin alone."""
    base = processes(1.0)
    assert judged(base, processes(2.5, seed=2)).reasons == (Reason.SLOWER, Reason.UNPAIRED)
    doubled = judged(base, processes(2.0, seed=2))
    assert (doubled.verdict, doubled.suggestion) == (Verdict.INCONCLUSIVE, "slower")
    assert judged(base, processes(2.0, seed=2), allowance=0.1).verdict is Verdict.REJECT
    assert judged(base, processes(1.1, seed=2), allowance=0.1).verdict is Verdict.INCONCLUSIVE


def test_one_process_needs_more() -> None:
    """Rounds of one process are named as such, and no small allowance is believed for them."""
    rounds = Side.of_processes([list(processes(1.0, 20).values)])
    slow = Side.of_processes([list(processes(1.4, 20, seed=2).values)])
    found = judged(rounds, slow, allowance=0.01)
    assert (found.verdict, found.allowance) == (Verdict.INCONCLUSIVE, 0.5)
    assert found.reasons == (Reason.UNPAIRED, Reason.ONE_PROCESS)
    far = Side.of_processes([list(processes(3.0, 20, seed=2).values)])
    assert judged(rounds, far, allowance=0.01).verdict is Verdict.REJECT


def test_speedup_goal_tells_slower_from_too_little() -> None:
    """Under a speedup goal the reason says whether it is slower or merely not fast enough."""
    base = processes(1.0)
    assert judged(base, processes(2.5, seed=2), SPEEDUP).reasons[0] is Reason.SLOWER
    close = judged(base, processes(1.0, 40, 0.002, seed=3), SPEEDUP, allowance=0.001)
    assert close.reasons[0] is Reason.BELOW_THRESHOLD


def test_drift_alone_never_decides_by_default() -> None:
    """Two recordings of one code on a machine 1.5 times slower the second time: never a REJECT, never an ACCEPT."""
    verdicts = {
        judged(processes(1.0, 20, 0.03, seed), processes(1.5, 20, 0.03, seed + 1000), goal).verdict
        for seed in range(50)
        for goal in (SPEEDUP, NO_REGRESSION)
    }
    assert verdicts == {Verdict.INCONCLUSIVE}


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        (processes(1.0, 9), processes(3.0, 12), Reason.TOO_FEW_VALUES),
        (processes(1.0, 1), processes(3.0, 1), Reason.TOO_FEW_VALUES),
        (processes(1.0, 12, 0.0), processes(3.0, 12, 0.0), Reason.INVALID_MEASUREMENT),
        (processes(1.0, 12, 0.0), processes(1.0, 12, 0.0), Reason.INVALID_MEASUREMENT),
        (Side.of_processes([[0.0]] * 12), processes(3.0, 12), Reason.INVALID_MEASUREMENT),
        (Side(mean_s=1.0, sd_s=0.1, n=0), Side(mean_s=3.0, sd_s=0.1, n=0), Reason.TOO_FEW_VALUES),
    ],
)
def test_what_cannot_be_judged_is_not(a: Side, b: Side, reason: Reason) -> None:
    """Few values, no spread, zero times and unknown counts end INCONCLUSIVE with their reason."""
    found = judged(a, b)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reasons[0] is reason


def test_identical_times_are_no_difference() -> None:
    """The same values on both sides, equal means included, give an interval around zero."""
    found = judged(processes(1.0), processes(1.0), SPEEDUP)
    assert found.effect.theta == 0.0
    assert found.effect.low < 0.0 < found.effect.high
    assert found.suggestion == "the goal is missed"
    assert judged(processes(1.0, spread=0.2), processes(1.0, spread=0.2)).suggestion == "no clear difference"


def test_summaries_give_an_interval_and_no_rank_test() -> None:
    """From mean, deviation and count alone: the delta method's interval, never a REJECT."""
    a, b = (Side(mean_s=m, sd_s=0.02 * m, n=100) for m in (1.0, 4.0))
    found = judged(a, b)
    assert found.ranks is None
    assert found.effect.ratio[0] == pytest.approx(0.25)
    se = math.sqrt(2 * 0.02**2 / 100)
    assert found.effect.high - found.effect.low == pytest.approx(2 * stats.t.isf(0.05, 198) * se)
    assert found.reasons == (Reason.UNPAIRED, Reason.SUMMARY_ONLY)


def test_rounds_of_one_process_are_batched() -> None:
    """Many rounds of one process enter as batch means, so slow waves inside it widen the interval."""
    rng = np.random.default_rng(5)
    wave = np.exp(0.05 * np.sin(np.arange(3000) / 150.0) + rng.normal(0, 0.01, 3000))
    one = Side.of_processes([list(wave)])
    assert len(one.units()) == BATCHES
    naive = stats.sem(np.log(wave))
    found = judged(one, Side.of_processes([list(wave[::-1])]))
    assert found.effect.se > 5 * naive


def test_millions_of_values_cost_little_memory() -> None:
    """Many processes are batched before the rank test builds its table of differences."""
    many = Side.of_processes([[v] for v in np.random.default_rng(1).uniform(1, 2, 20_000)])
    assert len(many.units()) == 500
    assert judged(many, many).ranks is not None


def test_holm_over_the_benchmarks() -> None:
    """p-values are adjusted together; what one comparison alone would reject may not survive among many."""
    base = processes(1.0)
    near = [compare(base, processes(2.13, 12, 0.02, seed=s), NO_REGRESSION) for s in range(2, 4)]
    together = adjusted(near + [compare(base, base, NO_REGRESSION)] * 200)
    for alone, among in zip(near, together, strict=False):
        assert among.p_worse_adjusted > alone.p_worse
        assert adjusted([alone])[0].p_worse_adjusted == alone.p_worse
