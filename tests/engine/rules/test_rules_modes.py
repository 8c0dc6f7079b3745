"""Every mode judges alike: the conformance suite bound to each, and random graphs with random outcomes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optengine import PersistentWorkerPool
from optengine.rules import Context, Outcome, ProcessPoolValidator, RuleSet
from optengine.testing.rule_cases import RuleModeCases, make_rules, make_tree


@pytest.fixture(scope="module")
def pool() -> Iterator[PersistentWorkerPool]:
    """One pool for all runs of this module, as a program with many validations would keep it."""
    with PersistentWorkerPool(max_workers=2, max_attempts=1) as opened:
        yield opened


class TestSequential(RuleModeCases):
    mode = "sequential"


class TestThreads(RuleModeCases):
    mode = "threads"


class TestAuto(RuleModeCases):
    mode = "auto"


class TestProcessesInOnePool(RuleModeCases):
    mode = "processes"
    contains_crashes = True

    @pytest.fixture(autouse=True)
    def _use(self, pool: PersistentWorkerPool) -> None:
        self.pool = pool

    def options(self) -> dict[str, Any]:
        return {"pool": self.pool}


@pytest.mark.parametrize("start_method", ["preload", "forkserver", "spawn"])
def test_start_methods_judge_alike(tmp_path: Path, start_method: str) -> None:
    """A pool of each start method gives the sequential verdicts."""
    tree = make_tree(tmp_path)
    reference = ProcessPoolValidator(tree, make_rules(), mode="sequential").validate()
    report = ProcessPoolValidator(
        tree, make_rules(), mode="processes", max_workers=2, start_method=start_method
    ).validate()
    assert report.verdicts == reference.verdicts
    assert report.stats.fallbacks == 0


class Scripted:
    """A rule whose answer was drawn beforehand."""

    def __init__(self, outcome: str, path: str) -> None:
        self.outcome = outcome
        self.path = path

    def __call__(self, ctx: Context) -> Outcome | None:
        """Look at a file, then do what was drawn."""
        there = ctx.fs.exists(self.path)
        if self.outcome == "error":
            raise RuntimeError(f"drawn for {self.path}")
        if self.outcome == "none":
            return None
        if self.outcome == "pass":
            return ctx.passed(self.path, evidence={"there": there})
        return ctx.failed(self.path, evidence={"there": there, "odd": {1, 2}})


@st.composite
def rule_sets(draw: st.DrawFn) -> RuleSet:
    """Random rules: 1 to 25, each requiring some of those before it."""
    rules = RuleSet()
    for number in range(draw(st.integers(1, 25))):
        outcome = draw(st.sampled_from(["pass", "pass", "pass", "fail", "error", "none"]))
        needed = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        rules.add(
            f"R{number}",
            Scripted(outcome, draw(st.sampled_from(["data/a.txt", "data/b.txt", "data/none.txt"]))),
            requires=[f"R{one}" for one in sorted(needed)],
            group=draw(st.sampled_from([None, "g1", "g2"])),
            severity=draw(st.sampled_from(["CRITICAL", "HIGH", "LOW"])),
        )
    return rules


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rules=rule_sets(), workers=st.integers(1, 3), cached=st.booleans())
def test_random_graphs_are_judged_alike_in_all_modes(
    tmp_path_factory: pytest.TempPathFactory,
    pool: PersistentWorkerPool,
    rules: RuleSet,
    workers: int,
    cached: bool,
) -> None:
    """For random graphs and outcomes the verdicts of all modes are equal, one per rule and in order."""
    tree = make_tree(tmp_path_factory.mktemp("tree"))
    reference = ProcessPoolValidator(tree, rules, mode="sequential").validate()
    assert [one.rule_id for one in reference.results] == [rule.id for rule in rules]
    for rule, result in zip(rules, reference.results, strict=True):
        blocked = [name for name in rule.requires if reference.result(name).status != "PASS"]
        drawn = {"pass": "PASS", "fail": "FAIL", "error": "ERROR", "none": "SKIP"}[rule.check.outcome]  # type: ignore[attr-defined]
        assert result.status == ("SKIP" if blocked else drawn)
    for mode in ("threads", "processes", "auto"):
        options: dict[str, Any] = {"pool": pool} if mode != "threads" else {}  # beside a pool auto uses one
        if cached:
            options["cache_dir"] = tmp_path_factory.mktemp("cache")
        report = ProcessPoolValidator(tree, rules, mode=mode, max_workers=workers, **options).validate()
        assert report.verdicts == reference.verdicts, mode
        if cached:
            again = ProcessPoolValidator(tree, rules, mode=mode, max_workers=workers, **options).validate()
            assert again.verdicts == reference.verdicts, mode
            decided = [one for one in reference.results if one.status in ("PASS", "FAIL")]
            assert again.stats.cache_hits == len(decided)
