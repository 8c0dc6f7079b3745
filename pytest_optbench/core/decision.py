"""From measured pairs to a decision: the verdict, why, and every number a reader needs to check it.

`decide` is a pure function of the recorded trials, the plan, the looks and the goal, so a stored record
gives the same decision again, byte for byte (`replay` recomputes the looks). Whatever is missing, odd or
out of plan ends INCONCLUSIVE or raises; nothing opens the gate by failing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pytest_optbench.core.arrays import FloatArray, median, scalar
from pytest_optbench.core.blocking import blocking_reasons, outside_reasons, too_coarse
from pytest_optbench.core.companions import COMPANION_ALPHA, Companions, companions_of
from pytest_optbench.core.control import Control, aa_control, control_findings
from pytest_optbench.core.criteria import Criterion, Evidence, criteria, metric_line, requirement
from pytest_optbench.core.diagnose import diagnose
from pytest_optbench.core.effect import Effect, effect_of
from pytest_optbench.core.equivalence import Equivalence
from pytest_optbench.core.estimate import huber, least_squares, total_time
from pytest_optbench.core.findings import Finding
from pytest_optbench.core.goal import Goal
from pytest_optbench.core.judge import LookResult, rank_confirms
from pytest_optbench.core.metrics import MetricResult, settle, telling
from pytest_optbench.core.multiplicity import attempt_alpha, sequential_p
from pytest_optbench.core.pairs import Pairs
from pytest_optbench.core.power import pairs_needed, smallest_detectable
from pytest_optbench.core.ranks import crossover_below
from pytest_optbench.core.replay import checked_looks, replay
from pytest_optbench.core.sequential import Schedule
from pytest_optbench.core.verdicts import EXPLANATION, Reason, Verdict, verdict_of
from pytest_optbench.core.wording import percent, short_percent, times

__all__ = ["ArmSummary", "Decision", "decide", "replay"]


@dataclass(frozen=True)
class ArmSummary:
    """Seconds per call of one arm over n trials; NaN where nothing was measured (sd from two trials on)."""

    mean_s: float
    sd_s: float
    median_s: float
    min_s: float
    n: int


@dataclass(frozen=True, eq=False)
class Decision:
    """A verdict with its reasons (the first one settled it) and all the numbers behind it.

    The interval of `effect` is the repeated one at the limit of the look where it stopped. weights are those of the
    pairs in the estimate (n,); both are None where there is no estimate.
    """

    goal: Goal
    schedule: Schedule
    verdict: Verdict
    reasons: tuple[Reason, ...]
    pairs: Pairs
    looks: tuple[LookResult, ...]
    baseline: ArmSummary
    optimized: ArmSummary
    effect: Effect | None
    weights: tuple[float, ...] | None
    companions: Companions | None
    equivalence: Equivalence
    control: Control | None
    criteria: tuple[Criterion, ...]
    diagnostics: tuple[Finding, ...]
    pairs_needed: int | None
    smallest_detectable: float | None
    p_sequential: float
    p_adjusted: float | None = None
    metrics: tuple[MetricResult, ...] = ()

    @property
    def accepted(self) -> bool:
        """True for ACCEPT only."""
        return self.verdict is Verdict.ACCEPT

    @property
    def confidence(self) -> float:
        """Joint level of the intervals shown over all looks: 0.95 for a one-sided error of 0.025."""
        return round(1.0 - 2.0 * attempt_alpha(self.schedule.alpha, self.schedule.attempt), 12)

    def summary(self, title: str) -> str:
        """Return the decision in one line: verdict, title, effect, interval, threshold, pairs, reason."""
        if self.effect is None:
            seen = "no estimate"
        else:
            saved, low, high = self.effect.saved
            seen = (
                f"time saved {percent(saved)} = {times(self.effect.ratio[0])}, "
                f"{short_percent(self.confidence)} CI [{percent(low)}, {percent(high)}]"
            )
        count = f"{len(self.pairs)} pair{'' if len(self.pairs) == 1 else 's'}"
        at = f", look {len(self.looks)} of {len(self.schedule.looks)}" if self.looks else ""
        reason = self.reasons[0]
        # Those that settled it, else those that could have.
        shown = telling(self.metrics, reason) or [result for result in self.metrics if result.gated]
        metrics = "".join(f"; {metric_line(result)}" for result in shown)
        return (
            f"{self.verdict.value} {title}: {seen}, required {requirement(self.goal)}; {count}{at}{metrics}; "
            f"{reason.value}: {EXPLANATION[reason]}"
        )

    def adjusted(self, p_adjusted: float, alpha: float) -> Decision:
        """Return this decision with its p-value adjusted for a whole suite.

        An ACCEPT whose adjusted p-value exceeds `alpha` (one-sided, of the suite) becomes INCONCLUSIVE.
        """
        if self.accepted and not p_adjusted <= alpha:
            return replace(
                self,
                p_adjusted=p_adjusted,
                verdict=Verdict.INCONCLUSIVE,
                reasons=(Reason.MULTIPLICITY,),
            )
        return replace(self, p_adjusted=p_adjusted)

    def document(self) -> dict[str, Any]:
        """Return the numeric part of the decision document as plain JSON types."""
        from pytest_optbench.core.document import decision_document

        return decision_document(self)


def decide(
    pairs: Pairs,
    schedule: Schedule,
    looks: Sequence[LookResult],
    goal: Goal,
    *,
    equivalence: Equivalence | None = None,
    reasons: Sequence[str] = (),
    load: float | None = None,
    steal: float | None = None,
    clock_resolution: float | None = None,
    metrics: Sequence[MetricResult] = (),
) -> Decision:
    """Return the decision on these pairs.

    Args:
        pairs: everything measured, also pairs after the last look when measuring was cut short.
        schedule: the plan written down before the first run.
        looks: the looks taken, in order; each must follow from the pairs and the plan.
        goal: the question.
        equivalence: outcome of comparing the results of both arms; None: not checked.
        reasons: codes from outside that forbid ACCEPT ("time-limit", "quick", "arm-raised", ...).
        load, steal: machine state for the diagnostics, see `diagnose`.
        clock_resolution: resolution of the clock as a fraction of the shortest timed sample; above
            `COARSEST_CLOCK` the verdict must also hold with the interval widened by that error.
        metrics: memory and custom numbers, judged; they can take an ACCEPT away, never give one.

    Raises:
        PlanError: a look was added, skipped, taken at another number of pairs, or does not follow from the
            data; or pairs were added after a look that stopped or past the last one.
        ValueError: an unknown reason code, or one that is not from outside.
    """
    outside = outside_reasons(reasons)
    taken = checked_looks(pairs, schedule, tuple(looks), goal, cut_short=bool(outside))
    equivalence = equivalence or Equivalence()
    control = aa_control(pairs.control)
    effect, weights = _estimate(pairs, schedule, taken, goal)
    coarse = too_coarse(effect, goal, clock_resolution)
    blocking = blocking_reasons(pairs, effect, equivalence, control, outside, coarse)
    if blocking:
        final = blocking
        verdict = Verdict.REJECT if Reason.NOT_EQUIVALENT in blocking else Verdict.INCONCLUSIVE
    else:
        last = taken[-1]
        final = (last.reason if last.stop else Reason.NOT_DEMONSTRATED,)
        verdict, final = settle(verdict_of(final[0]), final, metrics)
    companions = companions_of(pairs) if effect is not None else None
    detectable = needed = None
    findings: tuple[Finding, ...] = ()
    if effect is not None:
        detectable = smallest_detectable(effect.se, int(effect.df), goal.log_threshold, effect.limit)
        findings = diagnose(
            pairs,
            huber(pairs.log_ratio, pairs.order),
            least_squares(pairs.log_ratio, pairs.order),
            total_time(pairs.baseline_s, pairs.optimized_s),
            goal,
            detectable,
            load,
            steal,
        )
        if verdict is not Verdict.ACCEPT:
            needed = pairs_needed(effect.theta, effect.se, len(pairs), goal.log_threshold, schedule.level)
    elif pairs.problem:
        findings = (Finding("invalid-measurement", "error", pairs.problem),)
    findings = (*findings, *control_findings(pairs, control))
    return Decision(
        goal=goal,
        schedule=schedule,
        verdict=verdict,
        reasons=final,
        pairs=pairs,
        looks=taken,
        baseline=_arm(pairs.baseline_s),
        optimized=_arm(pairs.optimized_s),
        effect=effect,
        weights=weights,
        companions=companions,
        equivalence=equivalence,
        control=control,
        criteria=criteria(
            _evidence(pairs, effect, companions, schedule, taken, goal),
            goal,
            equivalence,
            control,
            COMPANION_ALPHA,
            metrics,
        ),
        diagnostics=findings,
        pairs_needed=needed,
        smallest_detectable=detectable,
        p_sequential=_sequential_p(schedule, taken),
        metrics=tuple(metrics),
    )


def _estimate(
    pairs: Pairs, schedule: Schedule, looks: tuple[LookResult, ...], goal: Goal
) -> tuple[Effect | None, tuple[float, ...] | None]:
    """Return the estimate on all pairs and their weights in it."""
    estimate = huber(pairs.log_ratio, pairs.order) if pairs.estimable else None
    if estimate is None or not estimate.valid[0]:
        return None, None
    # Away from a planned look no limit applies: show the widest interval, nothing is accepted there.
    planned = bool(looks) and looks[-1].n == len(pairs)
    limit = looks[-1].limit if planned else min(schedule.limits)
    effect = effect_of(scalar(estimate.theta), scalar(estimate.se), estimate.df, limit, goal)
    return effect, tuple(float(w) for w in estimate.weights[0])


def _evidence(
    pairs: Pairs,
    effect: Effect | None,
    companions: Companions | None,
    schedule: Schedule,
    looks: tuple[LookResult, ...],
    goal: Goal,
) -> Evidence:
    if effect is None or companions is None:
        return Evidence(len(pairs))
    rank_p = rank_agrees = None
    if schedule.attempt > 1 and looks and looks[-1].n == len(pairs):
        plan = schedule.with_accepted(schedule.candidates - looks[-1].competing)
        p, least = crossover_below(pairs.log_ratio, pairs.order, goal.log_threshold)
        rank_p, rank_agrees = scalar(p), bool(rank_confirms(p, least, plan, looks[-1].index)[0])
    saved, low, _ = effect.saved
    total_ratio = companions.total_ratio[0]
    return Evidence(
        pairs=len(pairs),
        saved=saved,
        saved_low=low,
        total_saved=1.0 - 1.0 / total_ratio,
        p=effect.p_margin,
        limit=effect.limit,
        p_zero=effect.p_zero,
        shown=effect.high <= goal.log_threshold,
        total_agrees=float(pairs.optimized_s.mean() / pairs.baseline_s.mean()) <= goal.time_ratio,
        rank_p=rank_p,
        rank_agrees=rank_agrees,
    )


def _arm(seconds: FloatArray) -> ArmSummary:
    n = len(seconds)
    if n == 0:
        return ArmSummary(math.nan, math.nan, math.nan, math.nan, 0)
    with np.errstate(invalid="ignore", over="ignore"):  # unusable times are shown as they are
        sd = float(seconds.std(ddof=1)) if n > 1 else math.nan
        return ArmSummary(float(seconds.mean()), sd, float(median(seconds)), float(seconds.min()), n)


def _sequential_p(schedule: Schedule, looks: tuple[LookResult, ...]) -> float:
    spent = attempt_alpha(schedule.alpha, schedule.attempt)
    p = sequential_p(
        [seen.p for seen in looks],
        schedule.shares,
        [seen.limit for seen in looks],
        [spent / seen.competing for seen in looks],
    )
    # A repeated attempt spends less error, so its p-value counts for less by the same factor. Rounding must
    # not lift a value that met its level above alpha: the correction over a suite would then demote it.
    scaled = min(1.0, p * (schedule.alpha / spent))
    return min(scaled, schedule.alpha) if p <= spent else scaled
