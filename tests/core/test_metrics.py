"""Metrics beside time: exact values, means of pairs, margins, and what they do to a verdict."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_optbench.core import Goal, Pairs, Reason, Verdict, decide, schedule
from pytest_optbench.core.criteria import metric_change, metric_line, metric_requirement
from pytest_optbench.core.metrics import Metric, MetricResult, Samples, judge, settle, telling
from pytest_optbench.core.replay import replay

RNG = np.random.default_rng(5)


def counts(old: int, new: int, **asked: object) -> MetricResult:
    return judge(Metric("reads", **asked), Samples((old, old), (new, new)))  # type: ignore[arg-type]


def noisy(ratio: float, spread: float = 0.002, n: int = 10, **asked: object) -> MetricResult:
    """Judge n pairs whose optimized values are `ratio` times the baseline's, with noise of their own."""
    old = 100.0 * np.exp(spread * RNG.standard_normal(n))
    new = 100.0 * ratio * np.exp(spread * RNG.standard_normal(n))
    pairs = tuple(zip(old.tolist(), new.tolist(), strict=True))
    return judge(Metric("rate", **asked), Samples(pairs=pairs))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("better", "old", "new", "outcome"),
    [
        ("lower", 100, 105, "within"),
        ("lower", 100, 106, "worse"),
        ("lower", 100, 1, "within"),
        ("higher", 100, 95, "within"),
        ("higher", 100, 94, "worse"),
        ("higher", 100, 1000, "within"),
        ("same", 100, 100, "within"),
        ("same", 100, 101, "worse"),
        ("same", 100, 99, "worse"),
        ("lower", 0, 0, "within"),
        ("lower", 0, 1, "worse"),
        ("lower", -100, -95, "within"),
        ("lower", -100, -94, "worse"),
    ],
)
def test_counts_are_judged_as_they_are(better: str, old: int, new: int, outcome: str) -> None:
    """Whole numbers are exact: worse by up to the margin is within, and "same" allows no difference."""
    result = counts(old, new, better=better)
    assert (result.exact, result.outcome, result.n) == (True, outcome, 2)
    assert (result.baseline, result.optimized) == (old, new)
    assert (result.ci_low, result.ci_high) == (None, None)


def test_a_margin_is_met_by_the_last_whole_number_inside_it() -> None:
    """29 % of 100 is 28.999999999999996 in floating point; 129 still keeps the margin, 130 does not."""
    assert counts(100, 129, margin=0.29).outcome == "within"
    assert counts(100, 130, margin=0.29).outcome == "worse"


def test_counts_that_differ_from_call_to_call_are_open() -> None:
    """When some values keep the margin and others do not, nothing is settled; when all miss it, it is."""
    result = judge(Metric("reads"), Samples((100, 100), (101, 120)))
    assert (result.outcome, result.message) == ("open", "the values differ from call to call")
    assert result.optimized == 110.5
    assert judge(Metric("reads"), Samples((100, 104), (120, 150))).outcome == "worse"
    assert judge(Metric("reads"), Samples((100, 104), (99, 105))).outcome == "within"


def test_exact_pairs_are_compared_within_the_pair() -> None:
    """Values that drift for both arms alike are compared side by side when there are only pairs."""
    drifting = Samples(pairs=((100, 101), (80, 81), (60, 61)))
    assert judge(Metric("reads"), drifting).outcome == "within"
    assert judge(Metric("reads"), Samples((100, 80, 60), (101, 81, 61))).outcome == "open"


def test_exactness_can_be_chosen() -> None:
    """Floats can be judged exactly, and whole numbers by their mean."""
    assert judge(Metric("x", exact=True), Samples((0.5,), (0.5,))).outcome == "within"
    pairs = tuple((100 + i % 3, 100 + (i + 1) % 3) for i in range(12))
    assert judge(Metric("x", exact=False), Samples(pairs=pairs)).outcome == "within"
    assert judge(Metric("x"), Samples(pairs=pairs)).exact


@pytest.mark.parametrize(
    ("better", "ratio", "outcome"),
    [
        ("lower", 1.00, "within"),
        ("lower", 1.03, "within"),
        ("lower", 1.10, "worse"),
        ("higher", 0.97, "within"),
        ("higher", 0.90, "worse"),
        ("higher", 1.50, "within"),
        ("same", 1.03, "within"),
        ("same", 1.10, "worse"),
        ("same", 0.90, "worse"),
    ],
)
def test_means_are_judged_by_their_interval(better: str, ratio: float, outcome: str) -> None:
    """Ten pairs with little noise settle on which side of the 5 % margin the mean lies."""
    result = noisy(ratio, better=better)
    assert (result.exact, result.outcome, result.n) == (False, outcome, 10)
    assert result.ratio == pytest.approx(1.0 / ratio, abs=0.006)
    assert result.ci_low < result.ratio < result.ci_high  # type: ignore[operator]
    change, low, high = result.change
    assert low < change < high  # type: ignore[operator]
    assert change == pytest.approx(ratio - 1.0, abs=0.006)


def test_too_much_noise_leaves_a_mean_open() -> None:
    """An interval that straddles the margin settles nothing."""
    result = noisy(1.03, spread=0.2)
    assert (result.outcome, result.message) == ("open", "the interval still straddles the margin")


def test_too_few_pairs_leave_a_mean_open() -> None:
    """Nine pairs are too few, and single calls are none; without a margin they are just reported."""
    assert noisy(1.0, n=9).message == "9 pairs of calls were observed, 10 are needed"
    single = judge(Metric("rate"), Samples((1.5, 1.6), (1.4, 1.5)))
    assert (single.outcome, single.message) == ("open", "0 pairs of calls were observed, 10 are needed")
    reported = judge(Metric("rate", margin=None), Samples((1.5, 1.6), (1.4, 1.5)))
    assert (reported.outcome, reported.message, reported.gated) == ("reported", None, False)
    assert reported.ratio == pytest.approx(1.55 / 1.45)


def test_values_without_any_spread_are_settled() -> None:
    """A float that never varies needs no interval to be compared."""
    assert judge(Metric("x"), Samples(pairs=((0.5, 0.52),) * 10)).outcome == "within"
    assert judge(Metric("x"), Samples(pairs=((0.5, 0.6),) * 10)).outcome == "worse"
    zero = judge(Metric("x"), Samples(pairs=((0.0, 0.0),) * 10))
    assert (zero.outcome, zero.ratio) == ("within", 1.0)


def test_negative_means_are_judged_without_a_ratio() -> None:
    """A loss of 100 that becomes one of 103 is 3 % worse when higher is better."""
    old = -100.0 + 0.1 * RNG.standard_normal(10)
    pairs = tuple(zip(old.tolist(), (1.03 * old).tolist(), strict=True))
    result = judge(Metric("profit", better="higher"), Samples(pairs=pairs))
    assert (result.outcome, result.ratio, result.ci_low) == ("within", None, None)
    assert result.change[0] == pytest.approx(-0.03, abs=0.001)
    worse = tuple((a, 1.2 * b) for a, b in pairs)
    assert judge(Metric("profit", better="higher"), Samples(pairs=worse)).outcome == "worse"


def test_differences_below_the_floor_never_count() -> None:
    """What the instrument cannot tell apart is no difference, for single values and for means."""
    assert counts(100, 300, floor=200.0).outcome == "within"
    assert counts(100, 301, floor=200.0).outcome == "worse"
    assert noisy(1.5, floor=60.0).outcome == "within"
    assert noisy(1.5, floor=40.0).outcome == "worse"


def test_a_metric_of_one_arm_only_is_open() -> None:
    """What was recorded by one arm cannot be compared; that is never a pass."""
    assert judge(Metric("x"), Samples((1,), ())).message == "recorded by the baseline only"
    assert judge(Metric("x"), Samples((), (1,))).message == "recorded by the optimized arm only"
    assert judge(Metric("x"), Samples()).message == "recorded by neither arm"
    assert judge(Metric("x", margin=None), Samples((1,), ())).outcome == "reported"


@pytest.mark.parametrize("margin", [-0.1, math.nan, math.inf])
def test_a_margin_is_a_fraction(margin: float) -> None:
    """Margins below 0 or not finite are refused."""
    with pytest.raises(ValueError, match="must be a fraction of at least 0, got"):
        counts(1, 1, margin=margin)


def test_error_rates_at_the_margin() -> None:
    """A mean that misses its margin by nothing is taken for within, or for worse, in about 2.5 % each."""
    outcomes = [noisy(1.05, spread=0.01).outcome for _ in range(1000)]
    assert 0.010 < outcomes.count("within") / 1000 < 0.045
    assert 0.010 < outcomes.count("worse") / 1000 < 0.045


def test_metrics_take_verdicts_away_but_never_give_one() -> None:
    """Worse is a REJECT, open keeps an ACCEPT from standing, within changes nothing."""
    worse, kept = counts(1, 2), counts(1, 1)
    unsettled = judge(Metric("x"), Samples((1,), ()))
    memory = judge(Metric("memory", kind="memory"), Samples((1,), (2,)))
    accept = Verdict.ACCEPT, (Reason.DEMONSTRATED,)
    futile = Verdict.INCONCLUSIVE, (Reason.FUTILE,)
    slower = Verdict.REJECT, (Reason.SLOWER,)
    assert settle(*accept, [kept]) == accept
    assert settle(*futile, [kept]) == futile
    assert settle(*accept, [kept, worse]) == (Verdict.REJECT, (Reason.METRIC,))
    assert settle(*accept, [memory, worse]) == (Verdict.REJECT, (Reason.MEMORY, Reason.METRIC))
    assert settle(*futile, [worse]) == (Verdict.REJECT, (Reason.METRIC, Reason.FUTILE))
    assert settle(*slower, [worse]) == (Verdict.REJECT, (Reason.SLOWER, Reason.METRIC))
    assert settle(*accept, [unsettled]) == (Verdict.INCONCLUSIVE, (Reason.METRIC_OPEN,))
    assert settle(*futile, [unsettled]) == futile
    assert telling([kept, worse, memory], Reason.METRIC) == [worse]
    assert telling([kept, unsettled], Reason.METRIC_OPEN) == [unsettled]
    assert telling([worse], Reason.SLOWER) == []


def test_metrics_in_words() -> None:
    """A metric reads as values, change and what was allowed, with sizes for bytes and why it is open."""
    memory = judge(Metric("memory", "B", margin=0.2, kind="memory"), Samples((10 * 2**20,), (20 * 2**20,)))
    assert metric_line(memory) == "memory 10.00 MiB to 20.00 MiB, +100.00 % (at most +20 %)"
    many = judge(Metric("reads", "files"), Samples((2,), (100,)))
    assert metric_change(many) == "2 files to 100 files, 50.0x as much"
    assert metric_requirement(counts(1, 1, better="same")) == "the same"
    assert metric_requirement(noisy(1.0, better="same", margin=0.01)) == "within ±1 %"
    assert metric_requirement(counts(1, 1, better="higher")) == "at most -5 %"
    assert metric_change(judge(Metric("x"), Samples((1,), ()))) == "1 to n/a: recorded by the baseline only"
    mean = judge(Metric("x"), Samples(pairs=((1.0, 1.01), (1.0, 1.02)) * 5))
    assert metric_change(mean) == "1 to 1.015, +1.50 % [+1.12 %, +1.88 %]"


def test_a_gain_in_time_with_a_worse_metric_is_rejected() -> None:
    """The decision, its criteria, its line and its document all say which metric it was."""
    plan, goal = schedule(), Goal("speedup", 0.05)
    old = 1.0 + 0.001 * RNG.standard_normal(10)
    new = 0.5 + 0.001 * RNG.standard_normal(10)
    pairs = Pairs.from_seconds(old.tolist(), new.tolist(), [1, -1] * 5)
    looks = replay(pairs, plan, goal)
    results = [counts(10, 20), judge(Metric("seen", margin=None), Samples((1,), (7,)))]
    decision = decide(pairs, plan, looks, goal, metrics=results)
    assert (decision.verdict, decision.reasons) == (Verdict.REJECT, (Reason.METRIC,))
    assert [(row.name, row.required, row.passed) for row in decision.criteria][-1] == (
        "reads",
        "at most +5 %",
        False,
    )
    assert decision.summary("x").endswith(
        "; reads 10 to 20, +100.00 % (at most +5 %); metric: a metric is shown to be worse than its margin allows"
    )
    document = decision.document()["metrics"]
    assert list(document) == ["reads", "seen"]
    assert document["reads"]["verdict"] == "worse"
    assert document["reads"]["observed"] == {"baseline": [10, 10], "optimized": [20, 20], "pairs": []}
    assert (document["seen"]["verdict"], document["seen"]["margin"]) == ("reported", None)
    kept = decide(pairs, plan, looks, goal, metrics=[counts(10, 10)])
    assert kept.accepted
    assert "; reads 10 to 10, +0.00 % (at most +5 %); demonstrated: " in kept.summary("x")


def test_nothing_a_metric_shows_undoes_what_forbids_a_verdict() -> None:
    """A quick run stays inconclusive and different results stay the reason, whatever the metrics."""
    plan, goal = schedule(), Goal("speedup", 0.05)
    pairs = Pairs.from_seconds(
        [1.0 + i / 1e4 for i in range(10)], [0.5 + i / 9e4 for i in range(10)], [1, -1] * 5
    )
    looks = replay(pairs, plan, goal)
    decision = decide(pairs, plan, looks, goal, reasons=["quick"], metrics=[counts(1, 2)])
    assert (decision.verdict, decision.reasons) == (Verdict.INCONCLUSIVE, (Reason.QUICK,))
