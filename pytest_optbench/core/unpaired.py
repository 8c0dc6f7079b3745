"""Two samples measured at different times: what they suggest, and why that is never an ACCEPT.

One value is the mean of one process. On logarithms: Welch's t (J. Welch 1938 for unequal variances) gives the ratio
of geometric means with its interval, Mann-Whitney with the Hodges-Lehmann shift the distribution-free check. Of a
summary (mean, sd, n) only the ratio of means remains, by the delta method.

No interval knows what the machine did between the two recordings. The strongest verdict is therefore a REJECT that
would hold even if the machine had changed by `allowance` in favour of the old side; whatever else the numbers
show is INCONCLUSIVE, with what they suggest. Two recordings of the same code, half a minute apart on a shared
machine, have differed by 40 %.

When a side is one process, its values say nothing of what another process would give. They are grouped into
batches of successive values (batch means, Law & Kelton), so that at least what lasts longer than one value is in
the interval, and the allowance is at least `ONE_PROCESS`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pytest_optbench.core.arrays import FloatArray, median
from pytest_optbench.core.classic import TTest, welch_t
from pytest_optbench.core.distributions import t_critical, t_upper
from pytest_optbench.core.effect import Effect, effect_of
from pytest_optbench.core.goal import Goal
from pytest_optbench.core.multiplicity import holm
from pytest_optbench.core.ranks import RankTest, mann_whitney
from pytest_optbench.core.verdicts import Reason, Verdict

FEWEST = 10
"""Fewest values on each side of which anything is said with a verdict."""
BATCHES = 30
MOST = 500
"""Most values a side enters the tests with; more are batched, which costs no precision worth having."""
ALLOWANCE = 1.0
"""Extra time, as a fraction, that the machine alone is thought to be able to cause between two recordings."""
ONE_PROCESS = 0.5
"""The least allowance when a side is one process: memory layout and hash seed are one draw."""
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Side:
    """One side: seconds per call of each process, or a summary (mean, sd, n) when that is all there is.

    values holds one entry per process or, from a single process, one per round; one_process tells which.
    """

    values: tuple[float, ...] = ()
    one_process: bool = False
    mean_s: float = math.nan
    sd_s: float = math.nan
    median_s: float = math.nan
    min_s: float = math.nan
    n: int = 0

    @classmethod
    def of_processes(cls, processes: Sequence[Sequence[float]]) -> Side:
        """Return the side of processes with one or more values each."""
        one = len(processes) == 1
        values = processes[0] if one else [math.fsum(p) / len(p) for p in processes]
        array = np.asarray(values, dtype=np.float64)
        sd = float(array.std(ddof=1)) if len(array) > 1 else math.nan
        return cls(
            tuple(float(v) for v in values),
            one,
            float(array.mean()),
            sd,
            float(median(array)),
            float(array.min()),
            len(array),
        )

    @property
    def usable(self) -> bool:
        """Whether every time is positive."""
        return all(value > 0.0 for value in (self.values or (self.mean_s,)))

    def units(self) -> FloatArray:
        """Return the values that enter the tests (n,): processes, or batches of rounds."""
        most = BATCHES if self.one_process and len(self.values) >= 2 * BATCHES else MOST
        if len(self.values) <= most:
            return np.asarray(self.values, dtype=np.float64)
        return np.array([batch.mean() for batch in np.array_split(np.asarray(self.values), most)])


@dataclass(frozen=True)
class Unpaired:
    """What one comparison shows; NaN where nothing can be said.

    limit is the one-sided error rate. p_worse is one-sided for "the goal is missed even after the allowance".
    total is the ratio of mean times baseline/optimized with its interval. ranks is None for summaries.
    """

    goal: Goal
    limit: float
    allowance: float
    baseline: Side
    optimized: Side
    one_process: bool
    effect: Effect
    p_worse: float
    welch: TTest
    ranks: RankTest | None
    total: tuple[float, float, float]
    blocking: tuple[Reason, ...]
    p_adjusted: float = math.nan
    p_worse_adjusted: float = math.nan

    @property
    def summary_only(self) -> bool:
        """Whether a side is a summary."""
        return not (self.baseline.values and self.optimized.values)

    @property
    def worse(self) -> bool:
        """Whether every interval lies on the wrong side of the goal by more than the allowance."""
        if not self.p_worse_adjusted <= self.limit or self.ranks is None:
            return False
        beyond = self.goal.log_threshold + math.log1p(self.allowance)
        return -self.ranks.high > beyond and -math.log(self.total[2]) > beyond

    @property
    def verdict(self) -> Verdict:
        """REJECT or INCONCLUSIVE; there is no third."""
        return Verdict.REJECT if self.worse and not self.blocking else Verdict.INCONCLUSIVE

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why, the first settled it; `unpaired` is always among them."""
        if self.verdict is Verdict.REJECT:
            slower = self.goal.kind == "no-regression" or self.effect.low > math.log1p(self.allowance)
            return (Reason.SLOWER if slower else Reason.BELOW_THRESHOLD, Reason.UNPAIRED)
        kind = [Reason.SUMMARY_ONLY] if self.summary_only else []
        return (*self.blocking, Reason.UNPAIRED, *kind, *([Reason.ONE_PROCESS] if self.one_process else []))

    @property
    def suggestion(self) -> str:
        """What the numbers would mean had nothing but the code changed, in words."""
        if not math.isfinite(self.effect.low):
            return "nothing, there is no interval"
        agreed = self.ranks is None or -self.ranks.low <= self.goal.log_threshold
        if self.p_adjusted <= self.limit and agreed:
            return "the goal is met" if self.goal.kind == "speedup" else "no regression"
        if self.effect.low > 0.0:
            return "slower"
        if self.effect.low > self.goal.log_threshold:
            return "the goal is missed"
        return "faster, but not by the margin" if self.effect.high < 0.0 else "no clear difference"


def compare(
    baseline: Side,
    optimized: Side,
    goal: Goal,
    alpha: float = 0.05,
    allowance: float = ALLOWANCE,
    blocking: Sequence[Reason] = (),
) -> Unpaired:
    """Return the comparison of two sides; `adjusted` corrects several of them for their number.

    Args:
        baseline, optimized: the two sides.
        goal: the question.
        alpha: error rate; the goal halves it where the question has two sides.
        allowance: see `ALLOWANCE`.
        blocking: reasons from outside that forbid even a REJECT.
    """
    limit = goal.one_sided(alpha)
    one_process = baseline.one_process or optimized.one_process
    allowance = max(allowance, ONE_PROCESS) if one_process else allowance
    summary_only = not (baseline.values and optimized.values)
    usable = baseline.usable and optimized.usable
    theta = se = df = math.nan
    welch = TTest(math.nan, math.nan, math.nan, math.nan, math.nan, math.nan)
    ranks = None
    reasons = list(blocking)
    if not usable:
        reasons.append(Reason.INVALID_MEASUREMENT)
    elif summary_only:
        theta, se, df = _log_ratio_of_means(baseline, optimized)
    else:
        a, b = baseline.units(), optimized.units()
        test = welch_t(np.log(a), np.log(b))
        theta, df = float(np.log(b).mean() - np.log(a).mean()), test.df
        se = (
            abs(test.estimate / test.t) if test.t and math.isfinite(test.t) else _pooled(np.log(a), np.log(b))
        )
        welch = welch_t(a, b)
        ranks = mann_whitney(np.log(a), np.log(b), 2.0 * limit)
    if min(baseline.n, optimized.n) < FEWEST:
        reasons.append(Reason.TOO_FEW_VALUES)
    elif usable and not se > _ROUNDING:
        reasons.append(Reason.INVALID_MEASUREMENT)
    if not se > _ROUNDING:  # also NaN; equal times differ by rounding once their logarithms are taken
        se = math.nan
    effect = effect_of(theta, se, df, limit, goal)
    p_worse = math.nan
    if math.isfinite(effect.low):
        p_worse = float(t_upper((theta - math.log1p(allowance) - goal.log_threshold) / se, df))
    return Unpaired(
        goal=goal,
        limit=limit,
        allowance=allowance,
        baseline=baseline,
        optimized=optimized,
        one_process=one_process,
        effect=effect,
        p_worse=p_worse,
        welch=welch,
        ranks=ranks,
        total=_total(baseline, optimized, limit) if usable else (math.nan, math.nan, math.nan),
        blocking=tuple(dict.fromkeys(reasons)),
    )


def adjusted(comparisons: Sequence[Unpaired]) -> tuple[Unpaired, ...]:
    """Return the comparisons with their p-values corrected for how many there are (Holm)."""
    met = holm([each.effect.p_margin for each in comparisons])
    worse = holm([each.p_worse for each in comparisons])
    return tuple(
        replace(each, p_adjusted=float(p), p_worse_adjusted=float(q))
        for each, p, q in zip(comparisons, met, worse, strict=True)
    )


def _log_ratio_of_means(baseline: Side, optimized: Side) -> tuple[float, float, float]:
    """Return log(mean optimized / mean baseline), its standard error and df (delta method, Welch-Satterthwaite)."""
    theta = math.log(optimized.mean_s / baseline.mean_s)
    parts = [
        ((s.sd_s / s.mean_s) ** 2 / s.n, s.n) if s.n > 1 else (math.nan, 0) for s in (baseline, optimized)
    ]
    (va, na), (vb, nb) = parts
    spread = va + vb
    if not spread > 0.0:
        return theta, math.nan, math.nan
    return theta, math.sqrt(spread), spread**2 / (va**2 / (na - 1) + vb**2 / (nb - 1))


def _total(baseline: Side, optimized: Side, limit: float) -> tuple[float, float, float]:
    theta, se, df = _log_ratio_of_means(baseline, optimized)
    half = float(t_critical(limit, df)) * se if se > 0.0 else math.nan
    return math.exp(-theta), math.exp(-theta - half), math.exp(-theta + half)


def _pooled(log_a: FloatArray, log_b: FloatArray) -> float:
    """Return the standard error where the t statistic cannot give it: equal means, or too few values."""
    if min(len(log_a), len(log_b)) < 2:
        return math.nan
    return math.sqrt(float(log_a.var(ddof=1)) / len(log_a) + float(log_b.var(ddof=1)) / len(log_b))
