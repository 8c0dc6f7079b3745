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

from pytest_optbench.core.arrays import FloatArray, scalar
from pytest_optbench.core.classic import TTest, paired_t, welch_t
from pytest_optbench.core.control import Control, aa_control, control_findings
from pytest_optbench.core.criteria import Criterion, Evidence, criteria, metric_line
from pytest_optbench.core.diagnose import diagnose, order_effect, tied_share
from pytest_optbench.core.distributions import t_critical, t_upper
from pytest_optbench.core.equivalence import Equivalence
from pytest_optbench.core.estimate import huber, least_squares, total_time
from pytest_optbench.core.findings import Finding
from pytest_optbench.core.goal import Goal
from pytest_optbench.core.judge import LookResult, rank_confirms
from pytest_optbench.core.metrics import MetricResult, settle, telling
from pytest_optbench.core.multiplicity import attempt_alpha, sequential_p
from pytest_optbench.core.pairs import Pairs
from pytest_optbench.core.power import pairs_needed, smallest_detectable
from pytest_optbench.core.ranks import RankTest, crossover, crossover_below
from pytest_optbench.core.replay import checked_looks, replay
from pytest_optbench.core.sequential import MIN_PAIRS, Schedule
from pytest_optbench.core.verdicts import EXPLANATION, Reason, Verdict, verdict_of
from pytest_optbench.core.wording import percent, short_percent, times

__all__ = ["ArmSummary", "Companions", "Decision", "Effect", "decide", "replay"]
COARSEST_CLOCK = 0.001
"""Clock resolution, as a fraction of a timed sample, above which its error counts against the verdict."""
MOST_TIES = 0.5
"""Largest share of log ratios that repeat another one exactly."""
COMPANION_ALPHA = 0.05
"""The tests beside the decision are plain 95 % ones; looks and attempts do not change them."""


@dataclass(frozen=True)
class ArmSummary:
    """Seconds per call of one arm over n trials; NaN where nothing was measured (sd from two trials on)."""

    mean_s: float
    sd_s: float
    median_s: float
    min_s: float
    n: int


@dataclass(frozen=True)
class Effect:
    """The estimate at the stop on the log scale of optimized/baseline, and the tests that go with it.

    low, high: repeated interval at the look's limit. t values are positive when the optimized arm is
    faster (than the threshold, than the baseline); p_margin is one-sided, p_zero two-sided.
    """

    theta: float
    se: float
    df: int
    low: float
    high: float
    limit: float
    t_margin: float
    p_margin: float
    t_zero: float
    p_zero: float
    weights: tuple[float, ...]

    @property
    def saved(self) -> tuple[float, float, float]:
        """Fraction of time saved: estimate, low, high."""
        return -math.expm1(self.theta), -math.expm1(self.high), -math.expm1(self.low)

    @property
    def ratio(self) -> tuple[float, float, float]:
        """Ratio baseline/optimized (above 1 is faster): estimate, low, high."""
        return math.exp(-self.theta), math.exp(-self.high), math.exp(-self.low)


@dataclass(frozen=True)
class Companions:
    """The tests beside the decision, all at 95 %, on the log speedup (positive is faster); Welch on seconds.

    total_ratio is total baseline / total optimized time with its Fieller interval.
    """

    paired_t: TTest
    welch_t: TTest
    ranks: RankTest
    total_ratio: tuple[float, float, float]
    order_ratio: float
    order_p: float


@dataclass(frozen=True, eq=False)
class Decision:
    """A verdict with its reasons (the first one settled it) and all the numbers behind it."""

    goal: Goal
    schedule: Schedule
    verdict: Verdict
    reasons: tuple[Reason, ...]
    pairs: Pairs
    looks: tuple[LookResult, ...]
    baseline: ArmSummary
    optimized: ArmSummary
    effect: Effect | None
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
        goal = self.goal
        required = (
            f">= {short_percent(goal.margin)}"
            if goal.kind == "speedup"
            else f"slowdown <= {short_percent(goal.margin)}"
        )
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
            f"{self.verdict.value} {title}: {seen}, required {required}; {count}{at}{metrics}; "
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
    outside = _outside_reasons(reasons)
    taken = checked_looks(pairs, schedule, tuple(looks), goal, cut_short=bool(outside))
    equivalence = equivalence or Equivalence()
    control = aa_control(pairs.control)
    effect = _effect(pairs, schedule, taken, goal)
    coarse = _too_coarse(effect, goal, clock_resolution)
    blocking = _blocking(pairs, effect, equivalence, control, outside, coarse)
    if blocking:
        final = blocking
        verdict = Verdict.REJECT if Reason.NOT_EQUIVALENT in blocking else Verdict.INCONCLUSIVE
    else:
        last = taken[-1]
        final = (last.reason if last.stop else Reason.NOT_DEMONSTRATED,)
        verdict, final = settle(verdict_of(final[0]), final, metrics)
    companions = _companions(pairs) if effect is not None else None
    detectable = needed = None
    findings: tuple[Finding, ...] = ()
    if effect is not None:
        detectable = smallest_detectable(effect.se, effect.df, goal.log_threshold, effect.limit)
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


def _outside_reasons(codes: Sequence[str]) -> tuple[Reason, ...]:
    reasons = tuple(dict.fromkeys(Reason(code) for code in codes))
    for reason in reasons:
        if verdict_of(reason) is not Verdict.INCONCLUSIVE and reason is not Reason.NOT_EQUIVALENT:
            raise ValueError(
                f"only reasons against a verdict may come from outside, got {reason.value!r}; "
                "that one follows from the data alone"
            )
    return reasons


def _effect(pairs: Pairs, schedule: Schedule, looks: tuple[LookResult, ...], goal: Goal) -> Effect | None:
    if not pairs.estimable:
        return None
    estimate = huber(pairs.log_ratio, pairs.order)
    if not estimate.valid[0]:
        return None
    # Away from a planned look no limit applies: show the widest interval, nothing is accepted there.
    planned = bool(looks) and looks[-1].n == len(pairs)
    limit = looks[-1].limit if planned else min(schedule.limits)
    theta, se, df = scalar(estimate.theta), scalar(estimate.se), estimate.df
    half = float(t_critical(limit, df)) * se
    t_margin, t_zero = (goal.log_threshold - theta) / se, -theta / se
    return Effect(
        theta=theta,
        se=se,
        df=df,
        low=theta - half,
        high=theta + half,
        limit=limit,
        t_margin=t_margin,
        p_margin=float(t_upper(t_margin, df)),
        t_zero=t_zero,
        p_zero=float(2.0 * t_upper(abs(t_zero), df)),
        weights=tuple(float(w) for w in estimate.weights[0]),
    )


def _blocking(
    pairs: Pairs,
    effect: Effect | None,
    equivalence: Equivalence,
    control: Control | None,
    outside: tuple[Reason, ...],
    coarse: bool,
) -> tuple[Reason, ...]:
    """Return everything that forbids a verdict from the data, the most telling first."""
    if equivalence.checked and equivalence.passed is False:
        return tuple(dict.fromkeys((Reason.NOT_EQUIVALENT, *outside)))
    if outside:
        return outside
    tied = tied_share(pairs.log_ratio) > MOST_TIES
    found = (
        (Reason.EQUIVALENCE_ERROR, equivalence.checked and equivalence.passed is None),
        (Reason.TOO_FEW_PAIRS, len(pairs) < MIN_PAIRS),
        (Reason.INVALID_MEASUREMENT, len(pairs) >= MIN_PAIRS and effect is None),
        (Reason.CLOCK_RESOLUTION, coarse or tied),
        (Reason.NOISY_CONTROL, control is not None and not control.clean),
        (Reason.NO_CONTROL, control is None and effect is not None and len(pairs) >= MIN_PAIRS),
    )
    return tuple(reason for reason, applies in found if applies)


def _too_coarse(effect: Effect | None, goal: Goal, resolution: float | None) -> bool:
    """Whether a clock step in each arm could move the interval across the threshold.

    A cached result can be thousands of times faster than what it replaces and last few clock steps: the
    step is then a large share of the sample and no danger at all to the verdict.
    """
    if effect is None or resolution is None or resolution <= COARSEST_CLOCK:
        return False
    if not resolution < 0.5:
        return True
    error = -2.0 * math.log1p(-resolution)  # each of the two arms may be off by one step
    return effect.low - error <= goal.log_threshold < effect.high + error


def _companions(pairs: Pairs) -> Companions:
    total = total_time(pairs.baseline_s, pairs.optimized_s, COMPANION_ALPHA)
    order_ratio, order_p = order_effect(least_squares(pairs.log_ratio, pairs.order))
    with np.errstate(divide="ignore"):
        inverse = tuple(float(v) for v in 1.0 / np.array([total.ratio[0], total.high[0], total.low[0]]))
    ranks = crossover(pairs.log_ratio, pairs.order, COMPANION_ALPHA)
    return Companions(
        paired_t=paired_t(-pairs.log_ratio, alpha=COMPANION_ALPHA),
        welch_t=welch_t(pairs.baseline_s, pairs.optimized_s, COMPANION_ALPHA),
        ranks=RankTest(ranks.statistic, ranks.p, -ranks.estimate, -ranks.high, -ranks.low),
        total_ratio=(inverse[0], inverse[1], inverse[2]),
        order_ratio=order_ratio,
        order_p=order_p,
    )


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
        return ArmSummary(float(seconds.mean()), sd, float(np.median(seconds)), float(seconds.min()), n)


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
