"""The plan: balanced, random, drawn from the seed alone."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_optbench.core.orders import plan_orders
from pytest_optbench.measure.schedule import draw_plan, order_in

LOOKS = (10, 15, 20, 30, 40)


def test_one_candidate_follows_the_planned_labels():
    """The labels of a single candidate are those of plan_orders, whatever the micro-pairs."""
    expected = tuple(int(label) for label in plan_orders(LOOKS, 7))
    assert draw_plan(LOOKS, 1, 1, 7).labels(1) == expected
    assert draw_plan(LOOKS, 40, 1, 7).labels(1) == expected


def test_a_label_is_the_order_of_the_first_round():
    """+1 says that the baseline ran first when the trial began."""
    plan = draw_plan(LOOKS, 4, 1, 7)
    assert [plan.label(trial, 1) for trial in range(40)] == [
        1 if rounds[0] == (0, 1) else -1 for rounds in plan.rounds
    ]
    assert order_in((2, 0, 1), 1) == 1
    assert order_in((2, 0, 1), 2) == -1


@given(seed=st.integers(0, 2**63), half=st.integers(1, 20), candidates=st.integers(1, 5))
def test_every_trial_is_balanced_for_every_candidate(seed, half, candidates):
    """With micro-pairs each candidate runs as often before as after the baseline within every trial."""
    plan = draw_plan((3, 6), 2 * half, candidates, seed)
    assert len(plan.rounds) == 6
    for rounds in plan.rounds:
        assert len(rounds) == 2 * half
        assert all(sorted(order) == list(range(candidates + 1)) for order in rounds)
        for candidate in range(1, candidates + 1):
            assert sum(order_in(order, candidate) for order in rounds) == 0


@given(seed=st.integers(0, 2**63), candidates=st.integers(1, 5))
def test_labels_are_balanced_at_every_even_look(seed, candidates):
    """At looks of 10, 20, 30 and 40 trials both labels are equally frequent; at 15 one leads by one."""
    plan = draw_plan(LOOKS, 1, candidates, seed)
    for candidate in range(1, candidates + 1):
        labels = plan.labels(candidate)
        assert [abs(sum(labels[:look])) for look in LOOKS] == [0, 1, 0, 0, 0]


@given(seed=st.integers(0, 2**63), candidates=st.integers(2, 4))
def test_labels_do_not_depend_on_the_speed_of_the_arms(seed, candidates):
    """The same seed gives the same labels whether a trial is one pair or forty."""
    one, many = draw_plan(LOOKS, 1, candidates, seed), draw_plan(LOOKS, 40, candidates, seed)
    assert all(one.labels(c) == many.labels(c) for c in range(1, candidates + 1))


def test_the_plan_is_a_function_of_the_seed():
    """Equal seeds give equal plans, different seeds different ones."""
    assert draw_plan(LOOKS, 6, 2, 5) == draw_plan(LOOKS, 6, 2, 5)
    assert draw_plan(LOOKS, 6, 2, 5).rounds != draw_plan(LOOKS, 6, 2, 6).rounds


def test_orders_have_no_rhythm():
    """Over many trials the order of a round says nothing about the next one."""
    plan = draw_plan((200,), 4, 2, 1)
    orders = [order_in(order, 1) for rounds in plan.rounds for order in rounds]
    same = sum(a == b for a, b in pairwise(orders))
    assert 0.35 < same / len(orders) < 0.65


@pytest.mark.parametrize(
    ("looks", "micro_pairs", "candidates", "message"),
    [
        ((), 4, 1, r"looks must be increasing numbers of trials, received \(\)"),
        ((10, 10), 4, 1, r"looks must be increasing.*\(10, 10\)"),
        ((0, 10), 4, 1, r"looks must be increasing"),
        ((10,), 3, 1, r"micro_pairs must be 1 or even, received 3"),
        ((10,), 0, 1, r"micro_pairs must be 1 or even, received 0"),
        ((10,), 4, 0, r"at least one candidate, received 0"),
    ],
)
def test_impossible_plans_are_refused(looks, micro_pairs, candidates, message):
    """Arguments out of range are errors that show them."""
    with pytest.raises(ValueError, match=message):
        draw_plan(looks, micro_pairs, candidates, 1)
