"""The whole decision: nothing fails open, everything can be recomputed from the record."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from pytest_optbench.core import (
    Decision,
    Equivalence,
    Goal,
    Pairs,
    PlanError,
    Reason,
    Trial,
    Verdict,
    decide,
    schedule,
)
from pytest_optbench.core.replay import replay

GOAL = Goal("speedup", 0.05)
PLAN = schedule()
EQUAL = Equivalence(True, True, "compared", None)


def decided(pairs: Pairs, plan=PLAN, goal=GOAL, **kwargs) -> Decision:
    """Take the planned looks and decide on what was measured until the stop."""
    looks = replay(pairs, plan, goal)
    used = pairs.first(looks[-1].n) if looks and looks[-1].stop else pairs
    return decide(used, plan, looks, goal, **kwargs)


def test_accept(pairs_of):
    """A demonstrated gain is accepted and every criterion passes."""
    decision = decided(pairs_of("clean"), equivalence=EQUAL)
    assert decision.accepted
    assert decision.reasons == (Reason.DEMONSTRATED,)
    assert all(row.passed for row in decision.criteria)
    assert decision.pairs_needed is None
    assert decision.confidence == 0.95
    assert decision.p_sequential < 1e-6


def test_summary_line(pairs_of):
    """The summary is one line with verdict, effect, interval, threshold, pairs and reason."""
    assert decided(pairs_of("clean")).summary("Pool") == (
        "ACCEPT Pool: time saved 9.93 % = 1.110x, 95 % CI [9.40 %, 10.46 %], required >= 5 %; "
        "10 pairs, look 1 of 5; demonstrated: the whole interval clears the threshold, "
        "and so does the total time"
    )
    plan = schedule(alpha=0.05)
    same = decided(pairs_of("same"), plan, Goal("no-regression", 0.05))
    assert same.summary("Pool") == (
        "ACCEPT Pool: time saved 1.00 % = 1.010x, 90 % CI [0.38 %, 1.62 %], required slowdown <= 5 %; "
        "10 pairs, look 1 of 5; demonstrated: the whole interval clears the threshold, "
        "and so does the total time"
    )


def test_summary_without_an_estimate():
    """Nothing measured still gives a sentence."""
    decision = decide(Pairs.from_trials([]), PLAN, (), GOAL, reasons=["arm-raised"])
    assert decision.summary("Pool") == (
        "INCONCLUSIVE Pool: no estimate, required >= 5 %; 0 pairs; arm-raised: "
        "an arm raised an exception or its command failed, so there is nothing to compare"
    )


@pytest.mark.parametrize("name", ["clean", "outlier", "same"])
def test_the_record_decides_the_same(pairs_of, name):
    """Trials read back from the JSON document give the same document, byte for byte."""
    decision = decided(pairs_of(name), equivalence=EQUAL)
    text = json.dumps(decision.document(), allow_nan=False, sort_keys=True)
    trials = [Trial.from_record(record) for record in json.loads(text)["pairs"]]
    again = decided(Pairs.from_trials(trials), equivalence=EQUAL)
    assert json.dumps(again.document(), allow_nan=False, sort_keys=True) == text


def test_document_agrees_with_itself(pairs_of):
    """Time saved and ratio are two views of one estimate; limits and looks are those of the plan."""
    document = decided(pairs_of("clean")).document()
    ratio, saved = document["ratio"], document["time_saved"]
    for key, mirrored in (("estimate", "estimate"), ("ci_low", "ci_low"), ("ci_high", "ci_high")):
        assert saved[key] == pytest.approx(1 - 1 / ratio[mirrored], rel=1e-12)
    assert document["margin"] == pytest.approx(1 / 0.95)
    assert document["looks"][0]["ci_low"] == pytest.approx(ratio["ci_low"], rel=1e-12)
    assert document["tests"]["margin"]["limit"] == 0.00876
    assert document["tests"]["paired_t"]["t"] == pytest.approx(49.956097, rel=1e-7)
    assert document["tests"]["distribution_free"]["p"] == pytest.approx(2 / 252)
    assert document["total_time"]["ratio"] == pytest.approx(1 / 0.90067435, rel=1e-7)
    assert document["total_time"]["ci_low"] == pytest.approx(1 / 0.90492911, rel=1e-7)
    assert [p["weight"] for p in document["pairs"]] == pytest.approx([1.0] * 10)


def test_document_without_an_estimate():
    """A document without data holds nulls, never NaN."""
    nothing = decide(Pairs.from_trials([]), PLAN, (), GOAL, reasons=["time-limit"]).document()
    text = json.dumps(nothing, allow_nan=False)
    assert json.loads(text)["ratio"] == {"estimate": None, "ci_low": None, "ci_high": None}
    broken = Pairs.from_seconds([1.0] * 9 + [math.nan], [0.5] * 10, [1, -1] * 5)
    document = decided(broken).document()
    assert json.loads(json.dumps(document, allow_nan=False))["verdict"] == "INCONCLUSIVE"
    assert document["looks"][0]["ratio"] is None


@pytest.mark.parametrize(
    ("equivalence", "verdict", "reason"),
    [
        (Equivalence(True, False, "==", "differs"), Verdict.REJECT, Reason.NOT_EQUIVALENT),
        (Equivalence(True, None, "==", "raised"), Verdict.INCONCLUSIVE, Reason.EQUIVALENCE_ERROR),
        (Equivalence(False, None), Verdict.ACCEPT, Reason.DEMONSTRATED),
        (None, Verdict.ACCEPT, Reason.DEMONSTRATED),
    ],
)
def test_equivalence(pairs_of, equivalence, verdict, reason):
    """A different result is REJECT however fast; a failed comparison can never be ACCEPT."""
    decision = decided(pairs_of("clean"), equivalence=equivalence)
    assert (decision.verdict, decision.reasons[0]) == (verdict, reason)


def test_not_equivalent_wins_over_everything(pairs_of):
    """A wrong answer is REJECT even when the time ran out or nothing was measured."""
    wrong = Equivalence(True, False, "==", "differs")
    assert decided(pairs_of("clean"), equivalence=wrong, reasons=["time-limit"]).reasons == (
        Reason.NOT_EQUIVALENT,
        Reason.TIME_LIMIT,
    )
    nothing = decide(Pairs.from_trials([]), PLAN, (), GOAL, equivalence=wrong)
    assert (nothing.verdict, nothing.reasons) == (Verdict.REJECT, (Reason.NOT_EQUIVALENT,))


@pytest.mark.parametrize("reason", ["quick", "time-limit", "arm-raised", "invalid-measurement"])
def test_reasons_from_outside_forbid_accept(pairs_of, reason):
    """Any reason given by the caller ends INCONCLUSIVE."""
    decision = decided(pairs_of("clean"), equivalence=EQUAL, reasons=[reason])
    assert (decision.verdict, decision.reasons) == (Verdict.INCONCLUSIVE, (Reason(reason),))


@pytest.mark.parametrize("reason", ["demonstrated", "slower", "continue"])
def test_reasons_that_follow_from_data_are_refused(pairs_of, reason):
    """A caller cannot bring a verdict of its own."""
    with pytest.raises(
        ValueError, match=f"only reasons against a verdict may come from outside, got '{reason}'"
    ):
        decided(pairs_of("clean"), reasons=[reason])
    with pytest.raises(ValueError, match="'luck' is not a valid Reason"):
        decided(pairs_of("clean"), reasons=["luck"])


@pytest.mark.parametrize(
    ("baseline", "optimized"),
    [
        ([1.0] * 10, [0.5] * 10),
        ([1.0] * 9 + [math.nan], [0.5] * 10),
        ([1.0] * 9 + [math.inf], [0.5] * 10),
        ([1.0] * 9 + [0.0], [0.5] * 10),
        ([-1.0] * 10, [-0.5] * 10),
        ([0.0] * 10, [0.0] * 10),
        ([math.nan] * 10, [math.nan] * 10),
    ],
)
def test_unusable_measurements_never_accept(baseline, optimized):
    """Whatever is wrong with the times, the verdict is INCONCLUSIVE with a reason."""
    decision = decided(Pairs.from_seconds(baseline, optimized, [1, -1] * 5), equivalence=EQUAL)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.reasons[0] in (Reason.INVALID_MEASUREMENT, Reason.CLOCK_RESOLUTION)
    json.dumps(decision.document(), allow_nan=False)


def test_unusable_times_are_named():
    """The finding says which pair is unusable."""
    decision = decided(Pairs.from_seconds([1.0] * 9 + [0.0], [0.5] * 10, [1, -1] * 5))
    (finding,) = decision.diagnostics
    assert (finding.code, finding.level) == ("invalid-measurement", "error")
    assert re.search(r"finite and positive, got .*0\.0.* for baseline in pair 9", finding.message)


@pytest.mark.parametrize("n", range(10))
def test_too_few_pairs(noisy_pairs, n):
    """Fewer than ten pairs are INCONCLUSIVE too-few-pairs, for any number of them."""
    plan = schedule(4, 40) if n >= 4 else PLAN
    pairs = noisy_pairs(10, 0.5, 0.001).first(n)
    order = [1, -1] * 5
    pairs = Pairs.from_seconds(pairs.baseline_s, pairs.optimized_s, order[:n])
    decision = decided(pairs, plan)
    assert (decision.verdict, decision.reasons) == (Verdict.INCONCLUSIVE, (Reason.TOO_FEW_PAIRS,))


def test_ties_are_a_clock_problem():
    """Log ratios of which more than half repeat cannot be judged."""
    optimized = [0.5, 0.501] * 5
    decision = decided(Pairs.from_seconds([1.0] * 10, optimized, [1, -1, -1, 1, 1, -1, -1, 1, 1, -1]))
    assert (decision.verdict, decision.reasons) == (Verdict.INCONCLUSIVE, (Reason.CLOCK_RESOLUTION,))
    assert "clock-ties" in [f.code for f in decision.diagnostics]


@pytest.mark.parametrize(
    ("resolution", "accepted"),
    [(0.0001, True), (0.01, True), (0.06, False), (0.6, False), (1.5, False), (math.nan, False)],
)
def test_clock_resolution(pairs_of, resolution, accepted):
    """A clock step that could move the interval across the threshold decides nothing, nor an unknown one."""
    decision = decided(pairs_of("clean"), clock_resolution=resolution)
    assert decision.accepted is accepted
    assert (Reason.CLOCK_RESOLUTION in decision.reasons) is not accepted


def with_control(pairs: Pairs, shift: float) -> Pairs:
    """Return the pairs with one A/A value per trial around `shift`."""
    values = shift + 0.002 * np.random.default_rng(4).standard_normal(len(pairs))
    return Pairs.from_trials(
        replace(t, control=(float(v),)) for t, v in zip(pairs.trials, values, strict=True)
    )


def test_noisy_control_forbids_any_verdict(pairs_of):
    """When the baseline differs from itself neither ACCEPT nor REJECT stands."""
    for name in ("clean", "same"):
        decision = decided(with_control(pairs_of(name), 0.03))
        assert (decision.verdict, decision.reasons) == (Verdict.INCONCLUSIVE, (Reason.NOISY_CONTROL,))
        assert [row.passed for row in decision.criteria if row.name == "A/A control"] == [False]
    healthy = decided(with_control(pairs_of("clean"), 0.0))
    assert healthy.accepted
    assert healthy.control is not None
    assert 0 < healthy.control.noise_floor < 0.01


def test_an_unknown_noise_floor_forbids_any_verdict(pairs_of):
    """With too few A/A values nothing is accepted; reason, finding and criterion say so."""
    trials = pairs_of("clean").trials
    few = Pairs.from_trials([replace(t, control=(0.001,) if t.index < 3 else ()) for t in trials])
    decision = decided(few)
    assert (decision.verdict, decision.reasons) == (Verdict.INCONCLUSIVE, (Reason.NO_CONTROL,))
    (finding,) = [found for found in decision.diagnostics if found.code == "no-control"]
    assert "at least 4 times, 10 pairs gave 3 usable comparisons" in finding.message
    assert [(row.actual, row.passed) for row in decision.criteria if row.name == "A/A control"] == [
        ("not measured", None)
    ]


def test_single_runs_have_a_control_across_pairs(pairs_of, noisy_pairs):
    """Where a pair is one run of each arm, every second pair records the A/A ratio with the one before."""
    document = decided(pairs_of("clean")).document()
    assert [len(pair["control"]) for pair in document["pairs"]] == [0, 1] * 5
    assert document["control"]["n"] == 5
    short = decide(noisy_pairs(7, 0.06, 0.03, seed=2), PLAN, (), GOAL, reasons=["quick"])
    assert "no-control" in [found.code for found in short.diagnostics]


def test_time_limit_between_looks(noisy_pairs):
    """Pairs beyond the last look taken are shown, not judged."""
    pairs = noisy_pairs(12, 0.06, 0.03, seed=2)
    looks = replay(pairs, PLAN, GOAL)
    assert [(seen.n, seen.stop) for seen in looks] == [(10, False)]
    decision = decide(pairs, PLAN, looks, GOAL, reasons=["time-limit"])
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.effect is not None
    assert decision.effect.limit == min(PLAN.limits)


def test_measuring_that_just_ends_is_not_demonstrated(noisy_pairs):
    """Without a stop and without a reason the answer is INCONCLUSIVE not-demonstrated."""
    pairs = noisy_pairs(10, 0.06, 0.03)
    looks = replay(pairs, PLAN, GOAL)
    assert not looks[-1].stop
    assert decide(pairs, PLAN, looks, GOAL).reasons == (Reason.NOT_DEMONSTRATED,)
    assert decide(pairs, PLAN, looks, GOAL).pairs_needed is not None


def test_looks_must_follow_the_plan(noisy_pairs):
    """Added, skipped, moved and invented looks are refused, and so is a changed last look."""
    pairs = noisy_pairs(40, 0.06, 0.03)
    looks = replay(pairs, PLAN, GOAL)
    assert len(looks) > 2
    measured = pairs.first(looks[-1].n)
    decide(measured, PLAN, looks, GOAL)
    with pytest.raises(PlanError, match="no look may be skipped"):
        decide(measured, PLAN, looks[:1], GOAL)
    with pytest.raises(PlanError, match="look 1 is planned at 10 pairs, got look 2 at 15"):
        decide(measured, PLAN, looks[1:], GOAL, reasons=["time-limit"])
    with pytest.raises(PlanError, match="1 looks are due at 10 pairs, got 2; no look may be added"):
        decide(pairs.first(10), PLAN, looks[:2], GOAL)
    with pytest.raises(PlanError, match="look 1 does not follow from the recorded pairs"):
        decide(pairs.first(10), PLAN, [replace(looks[0], verdict=Verdict.ACCEPT, stop=True)], GOAL)
    with pytest.raises(PlanError, match="look 1 does not follow from the recorded pairs"):
        decide(pairs.first(10), schedule(10, 80), looks[:1], GOAL)
    with pytest.raises(PlanError, match="the plan ends at 10 pairs, got 40"):
        decide(pairs, schedule(10, 10), (), GOAL)


def test_pairs_after_the_stop_are_refused(noisy_pairs):
    """Measuring on after a verdict is refused, and so is another look."""
    pairs = noisy_pairs(15, 0.3)
    (stop,) = replay(pairs, PLAN, GOAL)
    with pytest.raises(PlanError, match="look 1 stopped at 10 pairs, got 15 pairs"):
        decide(pairs, PLAN, [stop], GOAL)
    with pytest.raises(PlanError, match="look 1 stopped the measurement, got another look after it"):
        decide(pairs, PLAN, [stop, replace(stop, index=1, n=15)], GOAL)


def test_suite_adjustment(pairs_of):
    """An ACCEPT that does not survive the suite's correction becomes INCONCLUSIVE multiplicity."""
    decision = decided(pairs_of("clean"))
    kept = decision.adjusted(0.001, 0.025)
    assert kept.accepted
    assert kept.p_adjusted == 0.001
    dropped = decision.adjusted(0.03, 0.025)
    assert (dropped.verdict, dropped.reasons) == (Verdict.INCONCLUSIVE, (Reason.MULTIPLICITY,))
    assert not decision.adjusted(math.nan, 0.025).accepted
    assert decided(pairs_of("same")).adjusted(1.0, 0.025).verdict is Verdict.REJECT


def test_repeated_attempt(noisy_pairs):
    """A later attempt shows wider intervals, a rank criterion and a p-value in the same currency."""
    pairs = noisy_pairs(40, 0.20)
    plan = schedule(attempt=2)
    decision = decided(pairs, plan)
    assert decision.accepted
    assert len(decision.pairs) == 15
    assert [row.passed for row in decision.criteria if row.name == "rank test p"] == [True]
    assert decision.confidence == pytest.approx(1 - 0.05 * 6 / (2 * math.pi) ** 2)
    assert decision.p_sequential <= 0.025


@pytest.mark.parametrize("attempt", [1, 6])
def test_an_accepted_decision_has_a_p_value_within_alpha(noisy_pairs, attempt):
    """What met its limit at a later look has a p-value of at most alpha to the last bit: a suite keeps it."""
    plan = schedule(attempt=attempt)
    decisions = [decided(noisy_pairs(40, 0.08, seed=seed), plan) for seed in range(60)]
    accepted = [decision.p_sequential for decision in decisions if decision.accepted]
    assert max(accepted) == pytest.approx(plan.alpha, rel=1e-12)  # the case that rounding could spoil
    assert max(accepted) <= plan.alpha


def test_candidate_decision_uses_its_own_limit(noisy_pairs):
    """A candidate that shared the error is decided with the limit it was held to."""
    plan = schedule(candidates=2)
    decision = decided(noisy_pairs(10, 0.3), plan)
    assert decision.accepted
    assert decision.looks[0].competing == 2
    assert decision.effect is not None
    assert decision.effect.limit == plan.limits[0] < PLAN.limits[0]


def test_accept_implies_no_failed_criterion(noisy_pairs):
    """Over many noisy sessions no accepted decision has a failed row."""
    accepted = 0
    for seed in range(150):
        decision = decided(noisy_pairs(40, 0.075, 0.03, seed), equivalence=EQUAL)
        if decision.accepted:
            accepted += 1
            assert all(row.passed for row in decision.criteria)
    assert accepted > 30


def test_inputs_are_not_changed(pairs_of):
    """Deciding leaves the arrays it was given alone."""
    pairs = pairs_of("outlier")
    before = [column.copy() for column in (pairs.order, pairs.baseline_s, pairs.optimized_s, pairs.log_ratio)]
    decided(pairs)
    after = (pairs.order, pairs.baseline_s, pairs.optimized_s, pairs.log_ratio)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
