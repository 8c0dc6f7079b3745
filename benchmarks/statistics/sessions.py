"""Run the shipped decision rule on many simulated sessions at once, for any true effect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_optbench.core.arrays import BoolArray, FloatArray, IntArray
from pytest_optbench.core.estimate import Estimate, TotalTime, huber, total_time
from pytest_optbench.core.goal import Goal
from pytest_optbench.core.judge import OUTCOMES, judge_rows, rank_confirms
from pytest_optbench.core.ranks import crossover_below
from pytest_optbench.core.sequential import Schedule
from pytest_optbench.core.verdicts import Verdict, verdict_of


@dataclass(frozen=True)
class Looks:
    """Both estimates of R sessions at every look of a plan, without any true effect.

    log_ratio and order (R, n) are what they were made from.
    """

    schedule: Schedule
    log_ratio: FloatArray
    order: FloatArray
    estimates: tuple[Estimate, ...]
    totals: tuple[TotalTime, ...]


@dataclass(frozen=True)
class Outcome:
    """What the rule did in R sessions: accepted or not, pairs used, interval at the stop covers the truth.

    code (R,) indexes `judge.OUTCOMES`: the reason each session ended with.
    """

    accepted: BoolArray
    pairs: IntArray
    covered: BoolArray
    code: IntArray

    @property
    def accept_rate(self) -> float:
        """Share of sessions that ended in ACCEPT."""
        return float(self.accepted.mean())

    def rate(self, verdict: Verdict) -> float:
        """Share of sessions that ended in this verdict."""
        codes = [code for code, reason in enumerate(OUTCOMES) if verdict_of(reason) is verdict]
        return float(np.isin(self.code, codes).mean())

    @property
    def mean_pairs(self) -> float:
        """Average number of pairs to the decision."""
        return float(self.pairs.mean())

    @property
    def coverage(self) -> float:
        """Share of sessions whose interval at the stop contains the true ratio."""
        return float(self.covered.mean())


def at_looks(
    log_ratio: FloatArray,
    order: FloatArray,
    baseline: FloatArray,
    optimized: FloatArray,
    schedule: Schedule,
) -> Looks:
    """Return the shipped estimates at every look; all arrays (R, n), baseline and optimized in seconds."""
    estimates, totals = [], []
    for n, limit in zip(schedule.looks, schedule.limits, strict=True):
        estimates.append(huber(log_ratio[:, :n], order[:, :n]))
        totals.append(total_time(baseline[:, :n], optimized[:, :n], 2.0 * limit))
    return Looks(schedule, log_ratio, order, tuple(estimates), tuple(totals))


def rank_tests(looks: Looks, time_saved: float, goal: Goal) -> tuple[tuple[FloatArray, FloatArray], ...]:
    """Return the rank test against the threshold at every look, which repeated attempts need."""
    shifted = looks.log_ratio + math.log1p(-time_saved)
    return tuple(
        crossover_below(shifted[:, :n], looks.order[:, :n], goal.log_threshold) for n in looks.schedule.looks
    )


def run(
    looks: Looks,
    time_saved: float,
    goal: Goal,
    schedule: Schedule | None = None,
    ranks: Sequence[tuple[FloatArray, FloatArray]] = (),
) -> Outcome:
    """Return the decisions when the optimized arm truly saves `time_saved` of the time.

    schedule: other limits at the same looks, such as those of a later attempt, which also needs `ranks`.
    """
    plan = schedule or looks.schedule
    effect = math.log1p(-time_saved)
    rows = len(looks.estimates[0].theta)
    accepted, covered = np.zeros(rows, dtype=bool), np.zeros(rows, dtype=bool)
    pairs = np.full(rows, plan.looks[-1], dtype=np.int64)
    code = np.zeros(rows, dtype=np.int64)
    open_ = np.ones(rows, dtype=bool)
    for k, (estimate, total) in enumerate(zip(looks.estimates, looks.totals, strict=True)):
        confirmed = rank_confirms(*ranks[k], plan, k) if plan.attempt > 1 and ranks else None
        judged = judge_rows(estimate.shifted(effect), total.shifted(effect), plan, k, goal, confirmed)
        stop = open_ & judged.stopped
        accepted |= stop & judged.accepted
        covered |= stop & (judged.low <= effect) & (effect <= judged.high)
        pairs[stop] = plan.looks[k]
        code[stop] = judged.outcome[stop]
        open_ &= ~stop
    return Outcome(accepted, pairs, covered, code)
