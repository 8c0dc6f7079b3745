"""Trials, their log ratios and controls, and the plan of orders."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_optbench.core.document import trial_document
from pytest_optbench.core.orders import INLINE, PROCESSES, micro_orders, micro_pairs, plan_orders
from pytest_optbench.core.pairs import Pairs, Trial, adjacent_control, control_log_ratios, trial_log_ratio

seconds = st.floats(1e-7, 1e3)
runs = st.lists(st.tuples(st.sampled_from([1, -1]), seconds, seconds), min_size=1, max_size=20)


def test_single_run_is_the_plain_log_ratio():
    """One run gives log(optimized / baseline)."""
    assert trial_log_ratio([(-1, 2.0, 1.0)]) == pytest.approx(math.log(0.5), rel=1e-15)


def test_many_runs_balance_the_orders():
    """Each order contributes its median with the same weight."""
    found = trial_log_ratio([(1, 1.0, 1.0), (1, 1.0, math.e), (1, 1.0, 100.0), (-1, 1.0, math.exp(3))])
    assert found == pytest.approx((1 + 3) / 2)


@given(runs)
def test_swapping_arms_negates_the_trial(trial):
    """Exchanging the arms of every run negates the log ratio."""
    swapped = [(-x, b, a) for x, a, b in trial]
    assert trial_log_ratio(swapped) == pytest.approx(-trial_log_ratio(trial), abs=1e-12)


@given(runs, st.floats(0.001, 1000))
def test_the_unit_of_time_cancels(trial, unit):
    """Milliseconds and seconds give the same log ratio."""
    assert trial_log_ratio([(x, unit * a, unit * b) for x, a, b in trial]) == pytest.approx(
        trial_log_ratio(trial), abs=1e-9
    )


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_unusable_times_give_nan(bad):
    """A time that is not finite and positive makes the trial NaN instead of raising."""
    assert math.isnan(trial_log_ratio([(1, 1.0, 1.0), (-1, bad, 1.0)]))
    assert math.isnan(trial_log_ratio([(1, 1.0, bad)]))


def test_no_runs():
    """A trial without runs is refused."""
    with pytest.raises(ValueError, match="a trial needs at least one run, got none"):
        trial_log_ratio([])


def test_control_needs_four_runs():
    """Fewer than four baseline runs have no control; four have one value."""
    rng = np.random.default_rng(1)
    assert control_log_ratios([1.0, 2.0, 3.0], rng) == ()
    (value,) = control_log_ratios([1.0, 1.0, 2.0, 2.0], rng)
    assert value == 0.0


def test_control_is_balanced():
    """A drift common to all runs cancels between the two labels."""
    (value,) = control_log_ratios(np.exp(0.1 * np.arange(40)).tolist(), np.random.default_rng(2))
    assert value == pytest.approx(0.0, abs=1e-12)


def test_adjacent_control():
    """Successive trials pair up, an odd one is left out, unusable times give NaN."""
    rng = np.random.default_rng(3)
    values = adjacent_control([1.0, 2.0, 1.0, 2.0, 7.0], rng)
    assert sorted(values) == pytest.approx([-math.log(2), math.log(2)])
    assert adjacent_control([1.0], rng) == ()
    assert math.isnan(adjacent_control([1.0, -1.0], rng)[0])


def test_pairs_use_the_trials_control_first():
    """Controls recorded in trials are used; single runs fall back to adjacent trials, always the same."""
    own = Pairs.from_trials([Trial(i, 1, 1.0, 1.0, 0.0, control=(0.1 * i,)) for i in range(3)])
    assert own.control.tolist() == pytest.approx([0.0, 0.1, 0.2])
    single = Pairs.from_seconds([1.0, 2.0, 3.0, 4.0], [1.0] * 4, [1, -1, 1, -1])
    assert len(single.control) == 2
    assert single.control.tolist() == single.control.tolist()


def test_trial_from_runs():
    """A trial averages seconds per arm and keeps its runs."""
    trial = Trial.from_runs(3, -1, [(1, 1.0, 2.0), (-1, 3.0, 4.0)], started_s=0.5)
    assert (trial.baseline_s, trial.optimized_s, trial.index, trial.order) == (2.0, 3.0, 3, -1)
    assert trial.log_ratio == pytest.approx((math.log(2) + math.log(4 / 3)) / 2)
    assert len(trial.runs) == 2


def test_record_round_trip():
    """A trial survives its record, also when times are unusable."""
    trial = Trial.from_runs(
        1, 1, [(1, 1.0, 2.0), (-1, 3.0, 4.0)], control=(0.25,), baseline_cpu_s=0.5, started_s=1.5
    )
    assert Trial.from_record(trial_document(trial)) == trial
    broken = Trial.from_record(trial_document(Trial(0, 1, math.nan, 1.0, math.inf)))
    assert math.isnan(broken.baseline_s)
    assert math.isnan(broken.log_ratio)


@pytest.mark.parametrize(
    ("baseline", "optimized", "text"),
    [
        ([1.0, 0.0], [1.0, 1.0], r"seconds must be finite and positive, got .*0\.0.* for baseline in pair 1"),
        (
            [1.0, 1.0],
            [math.nan, 1.0],
            r"seconds must be finite and positive, got .*nan.* for optimized in pair 0",
        ),
        ([1.0, 1.0], [1.0, -2.0], r"got .*-2\.0.* for optimized in pair 1"),
    ],
)
def test_problem_names_the_pair(baseline, optimized, text):
    """Unusable times are named with their pair."""
    import re

    problem = Pairs.from_seconds(baseline, optimized, [1, -1]).problem
    assert problem is not None
    assert re.search(text, problem)


def test_problem_of_a_log_ratio():
    """A log ratio that is not finite is a problem of its own."""
    pairs = Pairs.from_trials([Trial(0, 1, 1.0, 1.0, math.inf)])
    assert pairs.problem == f"the log ratio must be finite, got {np.float64(math.inf)!r} in pair 0"
    assert not pairs.estimable


def test_pairs_refuse_wrong_orders_and_lengths():
    """Orders must be +1 or -1, and all columns equally long."""
    with pytest.raises(ValueError, match=r"order of a trial must be \+1 \(baseline first\) or -1, got 0"):
        Pairs.from_trials([Trial(0, 0, 1.0, 1.0, 0.0)])
    with pytest.raises(ValueError, match="zip"):
        Pairs.from_seconds([1.0], [1.0, 2.0], [1])


def test_first_pairs():
    """The first n pairs keep their columns."""
    pairs = Pairs.from_seconds([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], [1, -1, 1])
    assert len(pairs.first(2)) == 2
    assert pairs.first(2).baseline_s.tolist() == [1.0, 2.0]


@given(st.lists(st.integers(1, 25), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_plan_is_balanced_in_every_block(sizes, seed):
    """Every block holds both orders equally often, odd blocks differ by one, and two odd blocks cancel."""
    looks = np.cumsum(sizes).tolist()
    plan = plan_orders(looks, seed)
    assert len(plan) == looks[-1]
    assert set(plan.tolist()) <= {1, -1}
    blocks = np.split(plan, looks[:-1])
    assert all(abs(block.sum()) == len(block) % 2 for block in blocks)
    assert abs(plan.sum()) <= 1
    assert plan.tolist() == plan_orders(looks, seed).tolist()


def test_plan_depends_on_the_seed():
    """Different seeds give different plans, and every position sees both orders."""
    plans = np.array([plan_orders([10, 15], seed) for seed in range(200)])
    assert len({tuple(p) for p in plans.tolist()}) > 150
    assert np.abs(plans.mean(0)).max() < 0.3


@given(st.integers(1, 60), st.integers(0, 1000))
def test_micro_orders_are_balanced(k, seed):
    """The micro-pairs of a trial are balanced up to one."""
    orders = micro_orders(k, np.random.default_rng(seed))
    assert len(orders) == k
    assert abs(orders.sum()) == k % 2


def test_micro_orders_need_a_pair():
    """No micro-pair is refused."""
    with pytest.raises(ValueError, match="at least one micro-pair, got 0"):
        micro_orders(0, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("pair_seconds", "k"), [(2.0, 1), (1.0, 1), (0.9, 4), (0.1, 20), (0.05, 40), (1e-6, 40), (0.0, 40)]
)
def test_micro_pairs_inline(pair_seconds, k):
    """A trial takes about a second for each order: one pair of slow runs, up to forty of fast ones."""
    assert micro_pairs(pair_seconds, pair_seconds, INLINE) == k


@pytest.mark.parametrize(
    ("costs", "k"),
    [
        ([0.005, 0.005], 24),
        ([0.02, 0.02], 6),
        ([0.3, 0.3], 4),
        ([0.2, 1.0], 1),
        ([0.9, 0.9], 4),
        ([0.0, 0.0], 60),
    ],
)
def test_micro_pairs_of_processes(costs, k):
    """Short runs fill a quarter of a second, longer ones are interleaved four times, calls of a second run once."""
    assert micro_pairs(sum(costs), max(costs), PROCESSES) == k


@given(st.floats(0, 100), st.floats(0, 100), st.sampled_from([INLINE, PROCESSES]))
def test_micro_pairs_keep_to_their_budget(round_seconds, longest_seconds, budget):
    """The count is one or even, within its bounds, and no further from the budget than one pair of orders."""
    k = micro_pairs(round_seconds, longest_seconds, budget)
    if longest_seconds >= budget.single_s:
        assert k == 1
        return
    assert k % 2 == 0
    assert budget.fewest <= k <= budget.most
    if budget.fewest < k < budget.most:
        assert abs(k * round_seconds - budget.seconds) <= round_seconds * (1 + 1e-9)
