"""Mode auto on real rules: starts no pool for small work, changes over for large."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from optengine import PersistentWorkerPool
from optengine.rules import Context, ProcessPoolValidator, RuleSet
from optengine.rules.bench import workload
from optengine.rules.errors import RulesUsageError
from optengine.rules.incremental import STARTUP_KEY
from optengine.rules.store import Store

#: Who runs rules before there is a pool: a forked child, or this process when it has threads.
ONE_LANE = {"child-1", "main"}


class Sleeps:
    """A rule that takes its time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self, ctx: Context) -> bool:
        """Sleep, then look at the tree."""
        time.sleep(self.seconds)
        return ctx.fs.exists(".")


def test_tiny_rules_start_no_pool(tmp_path: Path) -> None:
    """For rules of a tenth of a millisecond no pool is started: one lane runs them, and the report says with which
    numbers.

    The start-up comes from the store, so that a pause of this machine is not taken for long rules.
    """
    tree, cache = tmp_path / "tree", tmp_path / "cache"
    tree.mkdir()
    (tree / "os.py").write_text("")
    Store(cache).save([], {}, {STARTUP_KEY: 600.0})
    validator = ProcessPoolValidator(tree, workload.tiny(60), mode="auto", max_workers=2, cache_dir=cache)
    report = validator.validate()
    assert report.stats.mode == "sequential"
    assert "start-up 600.00 s" in report.stats.reason
    assert report.stats.worker_reports == []
    assert "a pool would cost" in report.stats.reason
    assert len({one.worker for one in report.results}) == 1
    assert {one.worker for one in report.results} <= ONE_LANE


def test_long_rules_move_to_a_pool(tmp_path: Path) -> None:
    """When rules turn out to be long, the rest runs in a pool, also within one batch."""
    rules = RuleSet()
    for number in range(40):
        rules.add(f"R{number}", Sleeps(0.25))
    report = ProcessPoolValidator(tmp_path, rules, mode="auto", max_workers=2).validate()
    assert report.counts["PASS"] == 40
    assert report.stats.mode == "sequential+processes"
    assert "a pool would save" in report.stats.reason
    workers = {one.worker for one in report.results}
    assert workers & ONE_LANE
    assert len(workers) > 1


def test_known_costs_decide_at_once(tmp_path: Path) -> None:
    """With times of an earlier run in the store the pool is started before the first rule."""
    rules = RuleSet()
    for number in range(12):
        rules.add(f"R{number}", Sleeps(0.5))
    options = {"max_workers": 2, "cache_dir": tmp_path / "cache"}
    tree = tmp_path / "tree"
    tree.mkdir()
    ProcessPoolValidator(tree, rules, mode="threads", **options).validate()  # type: ignore[arg-type]
    (tree / "new").mkdir()
    again = ProcessPoolValidator(tree, rules, mode="auto", config={"x": 1}, **options).validate()  # type: ignore[arg-type]
    assert again.stats.mode == "processes"
    assert not ONE_LANE & {one.worker for one in again.results}


def test_an_open_pool_tells_nothing_of_a_start(tmp_path: Path) -> None:
    """What a run waited for a pool that was open already is not taken for what starting one costs."""
    tree, cache = tmp_path / "tree", tmp_path / "cache"
    tree.mkdir()
    rules = RuleSet()
    rules.add("R", Sleeps(0))
    with PersistentWorkerPool(max_workers=1) as pool:
        ProcessPoolValidator(tree, rules, mode="processes", pool=pool, cache_dir=cache).validate()
    assert STARTUP_KEY not in Store(cache).timings()
    options: dict[str, Any] = {"mode": "processes", "max_workers": 1, "cache_dir": cache}
    ProcessPoolValidator(tree, rules, config={"x": 1}, **options).validate()
    assert Store(cache).timings()[STARTUP_KEY] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "warp"}, "mode must be one of auto, sequential, threads, processes; received 'warp'"),
        ({"max_workers": 0}, "max_workers must be a whole number of at least 1 or None; received 0"),
        ({"max_workers": 1.5}, "max_workers must be a whole number of at least 1 or None; received 1.5"),
        ({"timeout": "60"}, "timeout must be above 0 seconds or None; received '60'"),
        ({"timeout": -1}, "timeout must be above 0 seconds or None; received -1"),
        ({"changed_since": "HEAD"}, "pass cache_dir too"),
        ({"ignored": "dist"}, "ignored must be a sequence of names; received the string 'dist'"),
    ],
)
def test_bad_options_are_refused(tmp_path: Path, options: dict[str, object], message: str) -> None:
    """Options that cannot be used are refused before anything runs."""
    with pytest.raises(RulesUsageError, match=message):
        ProcessPoolValidator(tmp_path, RuleSet(), **options)  # type: ignore[arg-type]


def test_anything_but_a_rule_set_is_refused(tmp_path: Path) -> None:
    """A list of functions is no rule set, and is refused before anything runs."""
    with pytest.raises(RulesUsageError, match=r"rules must be a RuleSet; received \[\]"):
        ProcessPoolValidator(tmp_path, [])  # type: ignore[arg-type]


def test_no_rules_give_an_empty_report(tmp_path: Path) -> None:
    """An empty rule set gives an empty report in every mode."""
    for mode in ("auto", "sequential", "threads", "processes"):
        report = ProcessPoolValidator(tmp_path, RuleSet(), mode=mode).validate()
        assert report.results == []
        assert sum(report.counts.values()) == 0


def test_the_decision_is_cheap_for_many_rules(tmp_path: Path) -> None:
    """Auto's looks at what is left grow with the time rules take, not with the square of their number."""
    rules = RuleSet()
    asked = 0

    class Counting(str):
        """A rule id that counts how often it is looked up."""

        __slots__ = ()

        def __hash__(self) -> int:
            nonlocal asked
            asked += 1
            return super().__hash__()

    for number in range(3000):
        rules.add(Counting(f"R{number}"), lambda ctx: True)
    report = ProcessPoolValidator(tmp_path, rules, mode="auto", max_workers=2).validate()
    assert len(report.results) == 3000
    assert asked < 3000 * 500
