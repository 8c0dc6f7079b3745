"""Which side of a pair was the base, drawn again: the shipped decision over recorded suites. Pure.

    recorded pairs -> flipped by a coin -> one benchmark slowed, or none -> looks -> decision

Both processes of a pair run code that does the same, so which of them is called the base is a label: with it swapped,
the suite is as likely as the one recorded. One coin per pair turns all benchmarks of that pair, because what disturbs
a pair disturbs them together. The planned order of a pair stays: the log ratio of a pair is the mean of two medians,
one per order, so that an effect of running second has cancelled in it, and looks stay balanced as planned.

What decides is what decides in `--optbench-base`: `Comparison` takes the pairs one by one, judges at the planned looks
and stops where it stops. Holm's correction has no part in it: it is for claims of a gain, and here nobody makes any.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any

from pytest_optbench.comparison import Comparison, Record
from pytest_optbench.core import Trial, schedule
from pytest_optbench.options import Settings
from pytest_optbench.subject import goal_of

SIDE = "optimized"


@dataclass(frozen=True)
class RecordedPair:
    """One benchmark in one pair: seconds per call and log(optimized / baseline).

    ``order`` is +1 when the baseline ran first; the medians are over the runs of the pair; ``control_label`` is the
    sign with which this baseline is compared with that of the pair before, 0 where it is not.
    """

    order: int
    baseline_s: float
    optimized_s: float
    log_ratio: float
    baseline_median_s: float
    optimized_median_s: float
    control_label: int

    def flipped(self) -> RecordedPair:
        """Return the pair with the names of its two processes swapped."""
        return replace(
            self,
            baseline_s=self.optimized_s,
            optimized_s=self.baseline_s,
            log_ratio=-self.log_ratio,
            baseline_median_s=self.optimized_median_s,
            optimized_median_s=self.baseline_median_s,
        )

    def slowed(self, factor: float) -> RecordedPair:
        """Return the pair as if every run of the optimized side had taken `factor` times as long."""
        return replace(
            self,
            optimized_s=factor * self.optimized_s,
            log_ratio=self.log_ratio + math.log(factor),
            optimized_median_s=factor * self.optimized_median_s,
        )

    def row(self) -> list[float]:
        """Return the fields as plain JSON values, rounded to what a clock can tell of a millisecond."""
        return [value if isinstance(value, int) else float(f"{value:.7g}") for value in astuple(self)]

    @classmethod
    def from_row(cls, row: Sequence[float]) -> RecordedPair:
        """Return the pair of `row`; raises `ValueError` for a row of another shape."""
        if len(row) != len(cls.__dataclass_fields__):
            raise ValueError(f"a recorded pair has {len(cls.__dataclass_fields__)} numbers, received {row!r}")
        order, *seconds, label = row
        return cls(int(order), *map(float, seconds), control_label=int(label))


Suite = Mapping[str, Sequence[RecordedPair]]
"""The pairs of every benchmark of one suite; pair i of all of them is the same pair of processes."""


@dataclass(frozen=True)
class Rule:
    """What is asked: the no-regression goal at a margin, looks from `first` to `last` pairs."""

    margin: float
    first: int
    last: int

    def comparison(self) -> Comparison:
        """Return an empty comparison of one benchmark across revisions, at the product's defaults."""
        settings = Settings(
            goal="no-regression", max_slowdown=self.margin, trials=self.first, max_trials=self.last
        )
        goal = goal_of(settings)
        plan = schedule(settings.trials, settings.max_trials, goal.one_sided(settings.alpha))
        return Comparison(plan, goal, {SIDE: Record()})


def trials(pairs: Sequence[RecordedPair]) -> list[Trial]:
    """Return the trials of these pairs, each with its control: this baseline against that of the pair before."""
    made = []
    for index, pair in enumerate(pairs):
        control: tuple[float, ...] = ()
        if pair.control_label:
            before = pairs[index - 1].baseline_median_s
            control = (pair.control_label * math.log(pair.baseline_median_s / before),)
        made.append(
            Trial(index, pair.order, pair.baseline_s, pair.optimized_s, pair.log_ratio, control=control)
        )
    return made


@dataclass(frozen=True)
class Ending:
    """The verdict on one benchmark, or OPEN when more pairs were due than recorded, and after how many pairs."""

    verdict: str
    pairs: int


OPEN = "OPEN"


def ending(pairs: Sequence[RecordedPair], rule: Rule) -> Ending:
    """Return how the shipped rule decides on these pairs, taken one by one until it stops or there are no more."""
    run = rule.comparison()
    for trial in trials(pairs):
        run.add({SIDE: trial})
        run.look()
        if run.stopped:
            return Ending(run.decide(SIDE).verdict.value, run.pairs_done)
    if run.pairs_done < run.plan.looks[-1]:
        return Ending(OPEN, run.pairs_done)
    return Ending(run.decide(SIDE).verdict.value, run.pairs_done)


def coins(pairs: int, count: int, rng: random.Random) -> list[tuple[bool, ...]]:
    """Return `count` different ways to flip `pairs` pairs, or all 2**pairs where there are no more."""
    drawn = rng.sample(range(2**pairs), min(count, 2**pairs))
    return [tuple(bool(number >> i & 1) for i in range(pairs)) for number in drawn]


def relabelled(suite: Suite, flips: Sequence[bool]) -> dict[str, list[RecordedPair]]:
    """Return the suite with the pairs flipped where `flips` says so, the same ones for every benchmark."""
    return {
        name: [pair.flipped() if flip else pair for pair, flip in zip(pairs, flips, strict=True)]
        for name, pairs in suite.items()
    }


@dataclass
class Tally:
    """What was counted over the relabellings of one suite under one rule.

    ``regressed`` of ``suites`` relabelled suites called at least one benchmark regressed although none was;
    ``looks`` counts those benchmarks by the pairs after which they were; ``endings`` counts all by verdict. Of
    ``planted`` slower benchmarks ``found`` were called regressed and ``undecided`` needed more pairs than recorded.
    """

    suites: int = 0
    regressed: int = 0
    looks: Counter[int] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    planted: int = 0
    found: int = 0
    undecided: int = 0

    def add_unchanged(self, endings: Mapping[str, Ending]) -> None:
        """Count a suite in which nothing is slower."""
        wrong = [each for each in endings.values() if each.verdict == "REJECT"]
        self.suites += 1
        self.regressed += bool(wrong)
        self.looks.update(each.pairs for each in wrong)
        self.endings.update(each.verdict for each in endings.values())

    def add_planted(self, planted: Ending) -> None:
        """Count a benchmark that is truly slower."""
        self.planted += 1
        self.found += planted.verdict == "REJECT"
        self.undecided += planted.verdict == OPEN

    def record(self) -> dict[str, Any]:
        """Return plain JSON values."""
        plain = {name: value for name, value in vars(self).items() if not isinstance(value, Counter)}
        looks = {str(pairs): count for pairs, count in sorted(self.looks.items())}
        return {**plain, "looks": looks, "endings": dict(sorted(self.endings.items()))}


def tally(
    suite: Suite, flips: Sequence[Sequence[bool]], rule: Rule, factor: float, rng: random.Random
) -> Tally:
    """Return the counts over all relabellings; in each, one drawn benchmark is also judged as slower by `factor`."""
    counted = Tally()
    for each in flips:
        turned = relabelled(suite, each)
        counted.add_unchanged({name: ending(pairs, rule) for name, pairs in turned.items()})
        chosen = turned[rng.choice(sorted(turned))]
        counted.add_planted(ending([pair.slowed(factor) for pair in chosen], rule))
    return counted
