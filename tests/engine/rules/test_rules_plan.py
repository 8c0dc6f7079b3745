"""Units, worker counts and the choice of a pool: arithmetic only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optengine.rules import adaptive
from optengine.rules.adaptive import building_key
from optengine.rules.batches import BatchLog
from optengine.rules.grouping import plan
from optengine.rules.model import Rule, RuleResult, Severity, Status
from optengine.rules.waiting import WaitingRules


def rule(name: str, group: str | None = None) -> Rule:
    return Rule(name, len, group=group)


@given(
    groups=st.lists(st.sampled_from([None, "a", "b", "c"]), max_size=60),
    workers=st.integers(1, 9),
    grouping=st.booleans(),
    seconds=st.lists(st.floats(0, 100), min_size=60, max_size=60),
)
def test_every_rule_is_in_exactly_one_unit(
    groups: list[str | None], workers: int, grouping: bool, seconds: list[float]
) -> None:
    """Whatever the groups, costs and workers, units hold every rule once and never mix groups; longest
    first."""
    rules = [rule(f"R{number}", group) for number, group in enumerate(groups)]
    costs = {one.id: cost for one, cost in zip(rules, seconds, strict=False)}
    units = plan(rules, workers, costs=costs, grouping=grouping)
    assert sorted(one.id for unit in units for one in unit.rules) == sorted(one.id for one in rules)
    assert all({one.group for one in unit.rules} == {unit.group} for unit in units)
    assert [unit.cost_s for unit in units] == sorted((unit.cost_s for unit in units), reverse=True)
    if not grouping:
        assert all(len(unit.rules) == 1 for unit in units)


def test_groups_stay_whole_while_others_have_work() -> None:
    """Groups of equal size are not cut: their input is built once each."""
    rules = [rule(f"{group}{n}", group) for group in "abcd" for n in range(10)]
    assert sorted(unit.group or "" for unit in plan(rules, 2)) == ["a", "b", "c", "d"]


def test_one_large_group_is_cut_when_that_pays() -> None:
    """A group that would keep one worker busy alone is cut, unless building its input again costs more."""
    rules = [rule(f"a{n}", "a") for n in range(40)]
    costs = {one.id: 1.0 for one in rules}
    assert [len(unit.rules) for unit in plan(rules, 4, costs=costs)] == [10, 10, 10, 10]
    assert len(plan(rules, 4, costs={**costs, building_key("a7"): 5.0})) == 4
    assert len(plan(rules, 4, costs={**costs, building_key("a7"): 40.0})) == 1
    assert len(plan(rules, 4, costs={**costs, building_key("b7"): 40.0})) == 4
    assert len(plan(rules, 1, costs=costs)) == 1


def test_ungrouped_rules_are_packed_evenly() -> None:
    """Rules without a group are packed into a few units per worker of nearly equal cost."""
    rules = [rule(f"R{n}") for n in range(100)]
    units = plan(rules, 2, costs={f"R{n}": float(n % 7) for n in range(100)})
    assert len(units) == 8
    assert units[0].cost_s - units[-1].cost_s <= 7


def test_a_group_stays_whole_while_others_are_under_way() -> None:
    """A group that is alone in the queue is cut for idle workers only, not while rules under way keep them busy."""
    rules = [rule(f"a{n}", "a") for n in range(10)]
    assert len(plan(rules, 2)) == 2
    assert len(plan(rules, 2, running=[rule(f"b{n}", "b") for n in range(10)])) == 1


def test_units_that_others_wait_for_come_first() -> None:
    """The longest chain of followers goes before cost, and among equals the longest unit."""
    rules = [rule("long", "a"), rule("chain", "b"), rule("short", "c")]
    units = plan(rules, 2, costs={"long": 9.0, "chain": 1.0, "short": 2.0}, followers={"chain": 3})
    assert [unit.group for unit in units] == ["b", "a", "c"]


def queue(workers: int = 1) -> WaitingRules:
    return WaitingRules(lambda rules, running: plan(rules, workers, running=running), workers)


def test_rules_of_one_group_that_were_ready_at_different_times_run_together() -> None:
    """Rules that join are planned with those that wait: one unit per group comes out."""
    waiting = queue()
    waiting.join([rule("a1", "a"), rule("b1", "b")], ())
    waiting.join([rule("a2", "a")], ())
    taken = [[one.id for one in waiting.next(None, ())] for _ in range(2)]
    assert taken == [["a1", "a2"], ["b1"]]
    assert not waiting


def test_a_free_worker_gets_the_group_it_knows() -> None:
    """A worker gets its own group first, then one that is nobody's, then any; a busy one is not counted on."""
    waiting = queue()
    waiting.join([rule(name, name) for name in ("other's", "nobody's", "own")], ())
    waiting.settle("other's", 1)
    waiting.settle("own", 2)
    waiting.settle("own", 1)
    assert [waiting.next(2, {1})[0].group for _ in range(3)] == ["own", "nobody's", "other's"]
    waiting.join([rule("other's", "other's"), rule("own", "own")], ())
    assert waiting.next(2, {2})[0].group == "other's"


def test_while_many_units_wait_a_worker_gets_two_that_it_knows() -> None:
    """Two units of known groups at once spare a wait; of groups that nobody knows, or when few are left, it is one."""
    waiting = queue(workers=1)
    waiting.join([rule(f"R{n}", f"g{n}") for n in range(7)], ())
    for group in ("g2", "g3", "g5"):
        waiting.settle(group, 7)
    waiting.settle("g0", 8)
    taken = [[one.id for one in waiting.next(7, {8})] for _ in range(5)]
    assert taken == [["R2", "R3"], ["R5"], ["R1"], ["R4"], ["R6"]]


def test_rules_that_lost_their_worker_run_again_before_others_and_alone() -> None:
    """What comes back is neither planned with others nor held up by them."""
    waiting = queue()
    waiting.join([rule("a1", "a")], ())
    waiting.rejoin([rule("a0", "a")])
    waiting.join([rule("a2", "a")], ())
    assert [[one.id for one in waiting.next(None, ())] for _ in range(2)] == [["a0"], ["a1", "a2"]]


def test_the_queue_is_low_until_every_worker_has_some_units() -> None:
    """With four units per worker waiting, others need not join yet."""
    waiting = queue(workers=2)
    waiting.join([rule(f"R{n}", f"g{n}") for n in range(8)], ())
    assert not waiting.low
    waiting.next(None, ())
    assert waiting.low


def test_batches_that_overlap_add_up_to_the_run() -> None:
    """A batch ends with its last rule and those before it; seconds count from there and miss nothing."""
    log = BatchLog([[rule("a"), rule("b")], [rule("c")], [rule("d")]], now=10.0)

    def took(name: str, seconds: float) -> None:
        status = Status.PASS if seconds else Status.SKIP
        log.took(RuleResult(name, status, Severity.LOW, "", seconds=seconds), ran=seconds > 0)

    log.started([rule("a"), rule("c")], "processes")
    log.started([rule("b")], "processes")
    took("a", 1.0)
    took("c", 2.0)
    assert not log.close(12.0, workers=2)
    took("b", 3.0)
    assert log.close(14.0, workers=2)
    took("d", 0.0)
    assert log.close(15.0, workers=2)
    assert not log.close(99.0, workers=2)
    assert [one.seconds for one in log.reports] == [4.0, 0.0, 1.0]
    assert [(one.units, one.ran, one.skipped) for one in log.reports] == [(2, 2, 0), (1, 1, 0), (0, 0, 1)]
    assert [one.rule_s for one in log.reports] == [4.0, 2.0, 0.0]
    assert [one.overhead_s for one in log.reports] == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("arguments", "workers", "reason"),
    [
        ({"requested": 5, "usable": 2}, 5, "5 workers as requested"),
        ({"requested": None, "usable": 8}, 8, "8 workers: usable CPUs"),
        ({"requested": None, "usable": 8, "load": 3.0}, 5, "5 workers: CPUs not taken by the machine's load"),
        (
            {"requested": None, "usable": 8, "load": 30.0},
            4,
            "4 workers: CPUs not taken by the machine's load",
        ),
        ({"requested": None, "usable": 8, "units": 2}, 2, "2 workers: units in the largest batch"),
        ({"requested": None, "usable": 8, "memory_slots": 0}, 1, "1 workers: workers that fit into memory"),
        ({"requested": None, "usable": 1, "load": 9.0}, 1, "1 workers: usable CPUs"),
    ],
)
def test_the_tightest_bound_gives_the_number_of_workers(
    arguments: dict[str, object], workers: int, reason: str
) -> None:
    """The number of workers is the smallest of its bounds, and the reason names that bound."""
    choice = adaptive.choose_workers(**arguments)  # type: ignore[arg-type]
    assert (choice.workers, choice.reason) == (workers, reason)


def test_no_workers_cannot_be_asked_for() -> None:
    """A number below one is refused with what was received."""
    with pytest.raises(ValueError, match="at least 1 or None; received 0"):
        adaptive.choose_workers(0, usable=2)


def test_the_gain_is_work_saved_minus_start_up() -> None:
    """Ten seconds on two workers save five, less the start-up; on one worker the start-up is lost."""
    assert adaptive.predicted_gain(10, 2, 0.5) == pytest.approx(4.5)
    assert adaptive.predicted_gain(10, 1, 0.5) == pytest.approx(-0.5)


def test_auto_waits_until_the_start_up_was_spent_unless_costs_are_known() -> None:
    """Unknown costs are tried first for as long as a start-up takes; known ones decide at once; little work
    never."""
    unknown = adaptive.PoolDecision(workers=2, startup_s=0.5, known=False)
    known = adaptive.PoolDecision(workers=2, startup_s=0.5, known=True)
    assert not unknown.worth_it(spent_s=0.4, remaining_s=100)
    assert unknown.worth_it(spent_s=0.6, remaining_s=100)
    assert not unknown.worth_it(spent_s=0.6, remaining_s=1.4)
    assert known.worth_it(spent_s=0, remaining_s=100)
    assert not known.worth_it(spent_s=0, remaining_s=0.1)
    assert not adaptive.PoolDecision(workers=1, startup_s=0.5, known=True).worth_it(0, 1e9)
    assert "a pool would save 49.50 s" in known.explain(100)
    assert "a pool would cost 0.45 s" in known.explain(0.1)


def test_what_is_left_is_predicted_from_known_and_seen_times() -> None:
    """Known rules count as known, others as the mean of what was seen."""
    assert adaptive.predict_remaining(["a", "b", "c"], {"a": 5.0}, [1.0, 3.0]) == pytest.approx(9.0)
    assert adaptive.predict_remaining(["a"], {}, []) == 0.0
    assert adaptive.predict_remaining(["a", "b"], {"a": 1.0, building_key("a"): 4.0}, [3.0]) == pytest.approx(
        8.0
    )
