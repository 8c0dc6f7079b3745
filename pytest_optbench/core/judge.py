"""One look at the data: is the question settled, and how?

The rule compares the interval at this look's limit with the threshold: ACCEPT when all of it lies beyond
and the total time agrees; REJECT when all of it lies on the wrong side; stop as futile when reaching the
threshold at the last look is unlikely (conditional power below 5 % under the current trend; this cannot
raise the error). `judge_rows` is the rule for many sessions at once; `look` is its one-row case.

A repeated attempt spends so little error that the tail of the t distribution is no longer to be trusted:
under interference in step with the pairs, 20 attempts at 4.9 % were accepted in 7.4 % of simulations. From
the second attempt on the exact rank test must therefore meet the same limit, which brings that to 2.7 %.

Nothing is settled while the A/A control of the same run stands out: one in a hundred does by chance, so measuring
goes on to the next planned look, where a machine that is really disturbed shows it more clearly. The limits hold for
sessions that take every look, so going on after any look, as after one that was futile, cannot raise the error.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from pytest_optbench.core.arrays import BoolArray, FloatArray, IntArray, scalar
from pytest_optbench.core.control import aa_control
from pytest_optbench.core.distributions import normal_critical, normal_upper, t_critical, t_upper
from pytest_optbench.core.estimate import Estimate, TotalTime, huber, total_time
from pytest_optbench.core.goal import Goal
from pytest_optbench.core.pairs import Pairs
from pytest_optbench.core.ranks import crossover_below
from pytest_optbench.core.sequential import MIN_PAIRS, PlanError, Schedule
from pytest_optbench.core.verdicts import Reason, Verdict, verdict_of

FUTILE_BELOW = 0.05
"""Conditional power below which measuring on is futile."""
OUTCOMES: tuple[Reason, ...] = (
    Reason.UNDECIDED,
    Reason.INVALID_MEASUREMENT,
    Reason.TOO_FEW_PAIRS,
    Reason.DEMONSTRATED,
    Reason.TOTAL_TIME,
    Reason.SLOWER,
    Reason.BELOW_THRESHOLD,
    Reason.TAIL_RISK,
    Reason.NOT_DEMONSTRATED,
    Reason.FUTILE,
)
"""Reasons by the codes of `JudgedRows.outcome`; code 0 means measure on."""


@dataclass(frozen=True)
class JudgedRows:
    """The rule applied to R sessions at one look; every array has shape (R,).

    outcome indexes `OUTCOMES`. low, high bound the log time ratio. p is one-sided against the threshold.
    conditional_power is NaN at the last look.
    """

    outcome: IntArray
    low: FloatArray
    high: FloatArray
    p: FloatArray
    conditional_power: FloatArray

    @property
    def accepted(self) -> BoolArray:
        """True where this look ends in ACCEPT."""
        hit: BoolArray = self.outcome == OUTCOMES.index(Reason.DEMONSTRATED)
        return hit

    @property
    def stopped(self) -> BoolArray:
        """True where no further pair is needed."""
        done: BoolArray = self.outcome != 0
        return done


@dataclass(frozen=True)
class LookResult:
    """One look: what it decided and the numbers it saw.

    index counts looks from 0. n pairs; level is the two-sided level of the interval [low, high], given on
    the log scale of optimized/baseline together with theta and its standard error se. p is one-sided
    against the threshold and was compared with limit. competing is the number of candidates the limit was
    shared among. Numbers are NaN when the measurement is invalid; conditional_power is None at the last look.
    """

    index: int
    stop: bool
    verdict: Verdict
    reason: Reason
    n: int
    level: float
    theta: float
    se: float
    lo: float
    hi: float
    p: float
    limit: float
    conditional_power: float | None
    competing: int = 1


def judge_rows(
    estimate: Estimate,
    total: TotalTime,
    schedule: Schedule,
    k: int,
    goal: Goal,
    confirmed: BoolArray | None = None,
) -> JudgedRows:
    """Return the outcome of look k (0-based) for R sessions.

    estimate and total must hold the first `schedule.looks[k]` pairs; total's interval should have level
    1 - 2 * schedule.limits[k]. confirmed, see `rank_confirms`, is needed for a repeated attempt.

    Raises:
        ValueError: a repeated attempt without `confirmed`.
    """
    if confirmed is None:
        if schedule.attempt > 1:
            raise ValueError(f"attempt {schedule.attempt} needs the rank test to confirm, got confirmed=None")
        confirmed = np.ones(len(estimate.theta), dtype=bool)
    n, limit = schedule.looks[k], schedule.limits[k]
    last = k == len(schedule.looks) - 1
    threshold = goal.log_threshold
    theta, df = estimate.theta, estimate.df
    se = np.where(estimate.valid, estimate.se, np.nan)
    half = float(t_critical(limit, df)) * se
    low, high = theta - half, theta + half
    with np.errstate(invalid="ignore"):
        p = np.asarray(t_upper((threshold - theta) / se, df))
        shown, refuted = high <= threshold, low > threshold
        total_agrees, total_refuted = total.ratio <= goal.time_ratio, total.low > goal.time_ratio
        slower = refuted & ((low > 0.0) | (goal.kind == "no-regression"))
        power = np.full(len(theta), np.nan) if last else _conditional_power(p, n, schedule, goal)
        futile = power < FUTILE_BELOW
    few = n < MIN_PAIRS
    rules: list[tuple[Reason, BoolArray]] = [
        (Reason.INVALID_MEASUREMENT, ~estimate.valid),
        (Reason.TOO_FEW_PAIRS, np.full(len(theta), few and last)),
        (Reason.UNDECIDED, np.full(len(theta), few)),
        (Reason.DEMONSTRATED, shown & total_agrees & confirmed),
        (Reason.TOTAL_TIME, shown & total_refuted),
        (Reason.SLOWER, slower),
        (Reason.BELOW_THRESHOLD, refuted),
        (Reason.TAIL_RISK, shown & ~total_agrees & last),
        (Reason.NOT_DEMONSTRATED, np.full(len(theta), last)),
        (Reason.FUTILE, ~shown & futile),
    ]
    codes = [np.int64(OUTCOMES.index(reason)) for reason, _ in rules]
    outcome: IntArray = np.select([mask for _, mask in rules], codes, default=np.int64(0))
    return JudgedRows(outcome, low, high, p, power)


def rank_confirms(p: FloatArray, least: FloatArray, schedule: Schedule, k: int) -> BoolArray:
    """Return where the exact rank test against the threshold meets the limit of look k, (R,).

    p and least are those of `ranks.crossover_below`. At the last look complete separation of the two orders
    is enough, so a short plan can still accept.
    """
    last = k == len(schedule.looks) - 1
    agrees: BoolArray = p <= np.maximum(schedule.limits[k], least if last else 0.0)
    return agrees


def _conditional_power(p: FloatArray, n: int, schedule: Schedule, goal: Goal) -> FloatArray:
    """Return the chance that the last look settles it, if the trend seen so far goes on.

    For "speedup" settling means meeting the last limit. For "no-regression" showing the regression also
    settles it, and is worth the pairs: a lenient gate lets INCONCLUSIVE pass.
    """
    fraction = n / schedule.looks[-1]
    z = np.asarray(normal_critical(np.clip(p, 1e-300, 1.0 - 1e-16)))
    needed = float(normal_critical(schedule.limits[-1]))

    def chance(trend: FloatArray) -> FloatArray:
        drift = trend / np.sqrt(fraction)
        reached: FloatArray = np.asarray(normal_upper((needed - drift) / np.sqrt(1.0 - fraction)))
        return reached

    return chance(z) if goal.kind == "speedup" else np.maximum(chance(z), chance(-z))


def look(pairs: Pairs, schedule: Schedule, k: int, goal: Goal) -> LookResult:
    """Return the result of look k (0-based); `pairs` must hold exactly `schedule.looks[k]` pairs.

    Raises:
        PlanError: k is not a planned look or the number of pairs is not the planned one.
    """
    if not 0 <= k < len(schedule.looks):
        raise PlanError(
            f"looks are planned at {schedule.looks!r} pairs, got look {k!r}; no look may be added"
        )
    n = schedule.looks[k]
    if len(pairs) != n:
        raise PlanError(
            f"look {k + 1} of {len(schedule.looks)} is planned at {n} pairs, got {len(pairs)}; "
            "judge only at the planned looks"
        )
    limit = schedule.limits[k]
    level = 1.0 - 2.0 * limit
    if not pairs.estimable:
        nan = float("nan")
        reason = Reason.INVALID_MEASUREMENT
        return LookResult(
            k, True, verdict_of(reason), reason, n, level, nan, nan, nan, nan, nan, limit, None,
            schedule.candidates,
        )  # fmt: skip
    estimate = huber(pairs.log_ratio, pairs.order)
    total = total_time(pairs.baseline_s, pairs.optimized_s, alpha=2.0 * limit)
    confirmed = None
    if schedule.attempt > 1:
        p, least = crossover_below(pairs.log_ratio, pairs.order, goal.log_threshold)
        confirmed = rank_confirms(p, least, schedule, k)
    rows = judge_rows(estimate, total, schedule, k, goal, confirmed)
    reason = OUTCOMES[int(rows.outcome[0])]
    control = aa_control(pairs.control)
    if k < len(schedule.looks) - 1 and control is not None and not control.clean:
        reason = Reason.UNDECIDED
    power = scalar(rows.conditional_power)
    return LookResult(
        index=k,
        stop=reason is not Reason.UNDECIDED,
        verdict=verdict_of(reason),
        reason=reason,
        n=n,
        level=level,
        theta=scalar(estimate.theta),
        se=scalar(estimate.se),
        lo=scalar(rows.low),
        hi=scalar(rows.high),
        p=scalar(rows.p),
        limit=limit,
        conditional_power=None if np.isnan(power) else power,
        competing=schedule.candidates,
    )


def look_candidates(
    pairs: Mapping[str, Pairs],
    schedule: Schedule,
    k: int,
    goal: Goal,
    accepted: Collection[str] = (),
) -> dict[str, LookResult]:
    """Return look k for every candidate in `pairs`, with Holm's step down among them.

    schedule must have been made with `candidates` = the number of candidates at the start. `accepted` names
    those accepted at earlier looks; they stay accepted and are not judged again. Whenever a candidate is
    accepted, the others are judged again with the error shared among fewer.

    Raises:
        PlanError: as `look`.
    """
    done = set(accepted)
    results: dict[str, LookResult] = {}
    while True:
        # At least one share remains: a candidate that was dropped without ACCEPT keeps its own.
        plan = schedule.with_accepted(min(len(done), schedule.candidates - 1))
        open_ = {name: p for name, p in pairs.items() if name not in done}
        results.update({name: look(p, plan, k, goal) for name, p in open_.items()})
        newly = {name for name in open_ if results[name].verdict is Verdict.ACCEPT}
        if not newly:
            return results
        done |= newly
