"""Metrics beside time: memory, counts and custom numbers, each judged against a margin of its own.

A metric may become worse by ``margin`` (a fraction of the baseline) and no more. What is looked at is the
excess: how much worse the optimized value is than that, so at most 0 when the margin is kept.

* Exact values (counts) have no noise to average away: the excess of every optimized value against every
  baseline value counts, or that of every pair where there are only pairs. All at most 0: within; all above 0:
  worse; else they differ from call to call, and it is open.
* Other values are measured in pairs of calls; a plain paired t interval (95 %) of the excess decides in the same
  way. Below `MIN_PAIRS` pairs it is open.

One fixed number of pairs, no looks, no correction for several metrics: a gate asks that *all* are within, and
an intersection of tests keeps the level of each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Literal, TypeAlias

import numpy as np

from pytest_optbench.core.arrays import scalar
from pytest_optbench.core.classic import paired_t
from pytest_optbench.core.estimate import total_time
from pytest_optbench.core.sequential import MIN_PAIRS
from pytest_optbench.core.verdicts import Reason, Verdict

Better: TypeAlias = Literal["lower", "higher", "same"]
Outcome: TypeAlias = Literal["within", "worse", "open", "reported"]
ALPHA = 0.05
_ROUNDING = 1e-9
"""Relative error of a margin in floating point: 29 % of 100 is 28.999999999999996."""
_WORSE = {"metric": Reason.METRIC, "memory": Reason.MEMORY}
_OPEN = {"metric": Reason.METRIC_OPEN, "memory": Reason.MEMORY_OPEN}


@dataclass(frozen=True)
class Metric:
    """What is asked of one metric.

    ``better`` says which way is good; "same" forbids any way. ``margin`` is the fraction of the baseline it may
    become worse by (0.05 = 5 %), None when it is only reported; exact values that should stay the same have none.
    ``exact`` None means: exact when every value is a whole number. Differences up to ``floor``, in the
    metric's own unit, never count. ``kind`` chooses the reason code.
    """

    name: str
    unit: str | None = None
    better: Better = "lower"
    margin: float | None = 0.05
    exact: bool | None = None
    floor: float = 0.0
    kind: Literal["metric", "memory"] = "metric"


@dataclass(frozen=True)
class Samples:
    """Observed values: single ones of each arm, and pairs (baseline, optimized) of calls made side by side."""

    baseline: tuple[float, ...] = ()
    optimized: tuple[float, ...] = ()
    pairs: tuple[tuple[float, float], ...] = ()

    @property
    def all_baseline(self) -> tuple[float, ...]:
        """Every baseline value."""
        return (*self.baseline, *(old for old, _ in self.pairs))

    @property
    def all_optimized(self) -> tuple[float, ...]:
        """Every optimized value."""
        return (*self.optimized, *(new for _, new in self.pairs))


@dataclass(frozen=True)
class MetricResult:
    """One metric judged.

    ``exact`` says how. ``baseline`` and ``optimized`` are the values, or their means; ``ratio`` is baseline /
    optimized with its 95 % interval (none for exact values); None where unknown or infinite. ``n`` counts the
    pairs, or the fewer values of the two arms when exact. ``outcome`` is "within" the margin, "worse" than it,
    "open", or only "reported"; ``message`` says why it is open.
    """

    metric: Metric
    exact: bool
    baseline: float | None
    optimized: float | None
    ratio: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    outcome: Outcome
    message: str | None = None
    samples: Samples = field(default_factory=Samples)

    @property
    def gated(self) -> bool:
        """Whether the verdict depends on it."""
        return self.outcome != "reported"

    @property
    def change(self) -> tuple[float | None, float | None, float | None]:
        """Change of the optimized arm as a fraction of the baseline: estimate, low, high; 0.1 is 10 % more."""
        return (
            _change(self.ratio, self.baseline, self.optimized),
            _inverse(self.ci_high),
            _inverse(self.ci_low),
        )


def judge(metric: Metric, samples: Samples) -> MetricResult:
    """Return ``metric`` judged on what was observed of both arms.

    Raises:
        ValueError: a margin below 0, or not finite.
    """
    if metric.margin is not None and not (math.isfinite(metric.margin) and metric.margin >= 0.0):
        raise ValueError(
            f"the margin of metric {metric.name!r} must be a fraction of at least 0, got {metric.margin!r}; "
            "write 0.05 for 5 %"
        )
    old, new = samples.all_baseline, samples.all_optimized
    exact = metric.exact
    if exact is None:
        exact = all(isinstance(value, int) for value in (*old, *new))
    if not exact and samples.pairs:  # calls that were not made side by side do not belong to the statistics
        old, new = tuple(a for a, _ in samples.pairs), tuple(b for _, b in samples.pairs)
    low, high = _ratio_interval(samples.pairs) if not exact else (None, None)
    baseline, optimized = _centre(old), _centre(new)
    outcome, message = _outcome(metric, samples, exact, old, new)
    return MetricResult(
        metric=metric,
        exact=exact,
        baseline=baseline,
        optimized=optimized,
        ratio=_quotient(baseline, optimized),
        ci_low=low,
        ci_high=high,
        n=min(len(old), len(new)) if exact else len(samples.pairs),
        outcome=outcome,
        message=message,
        samples=samples,
    )


def settle(
    verdict: Verdict, reasons: tuple[Reason, ...], results: Sequence[MetricResult]
) -> tuple[Verdict, tuple[Reason, ...]]:
    """Return verdict and reasons once the metrics had their say; the times alone gave the ones passed in.

    A metric shown to be worse than its margin is a REJECT, also where the times leave the question open. An
    open one keeps an ACCEPT from standing. Metrics never improve a verdict.
    """
    worse = tuple(dict.fromkeys(_WORSE[r.metric.kind] for r in results if r.outcome == "worse"))
    if worse:
        if verdict is Verdict.REJECT:
            return verdict, (*reasons, *worse)
        return Verdict.REJECT, (*worse, *(r for r in reasons if r is not Reason.DEMONSTRATED))
    still_open = tuple(dict.fromkeys(_OPEN[r.metric.kind] for r in results if r.outcome == "open"))
    if still_open and verdict is Verdict.ACCEPT:
        return Verdict.INCONCLUSIVE, still_open
    return verdict, reasons


def telling(results: Sequence[MetricResult], reason: Reason) -> list[MetricResult]:
    """Return the metrics that a reason code speaks of; none for a reason about times."""
    return [
        r
        for r in results
        if (r.outcome == "worse" and _WORSE[r.metric.kind] is reason)
        or (r.outcome == "open" and _OPEN[r.metric.kind] is reason)
    ]


def _outcome(
    metric: Metric, samples: Samples, exact: bool, old: tuple[float, ...], new: tuple[float, ...]
) -> tuple[Outcome, str | None]:
    if metric.margin is None:
        return "reported", None
    if not old or not new:
        who = "neither arm" if not old and not new else f"the {'baseline' if old else 'optimized arm'} only"
        return "open", f"recorded by {who}"
    if not exact and len(samples.pairs) < MIN_PAIRS:
        return "open", f"{len(samples.pairs)} pairs of calls were observed, {MIN_PAIRS} are needed"
    intervals = list(_exact_excess(metric, samples) if exact else _mean_excess(metric, samples.pairs))
    if any(low > 0.0 for low, _ in intervals):
        return "worse", None
    if all(high <= 0.0 for _, high in intervals):
        return "within", None
    if exact:
        return "open", "the values differ from call to call"
    return "open", "the interval still straddles the margin"


def _directions(metric: Metric) -> tuple[int, ...]:
    """Return the ways in which a difference optimized - baseline is bad."""
    return {"lower": (1,), "higher": (-1,), "same": (1, -1)}[metric.better]


def _exact_excess(metric: Metric, samples: Samples) -> Iterator[tuple[float, float]]:
    """Yield the least and the largest excess over all values, per bad direction."""
    margin = 0.0 if metric.better == "same" else metric.margin or 0.0
    compared: Iterable[tuple[float, float]] = samples.pairs
    if samples.baseline or samples.optimized:
        compared = product(set(samples.all_baseline), set(samples.all_optimized))
    differences = [(b - a, max(margin * abs(a) * (1.0 + _ROUNDING), metric.floor)) for a, b in compared]
    for sign in _directions(metric):
        excess = [sign * difference - allowed for difference, allowed in differences]
        yield min(excess), max(excess)


def _mean_excess(metric: Metric, pairs: tuple[tuple[float, float], ...]) -> Iterator[tuple[float, float]]:
    """Yield the interval of the mean excess per bad direction; a single value where there is no spread."""
    old, new = np.array(pairs, dtype=np.float64).T
    margin = metric.margin or 0.0
    relative = margin * abs(float(old.mean())) >= metric.floor
    # The baseline is noisy, too: a margin relative to it goes into the differences, pair by pair.
    allowed = margin * np.sign(old.mean()) * old * (1.0 + _ROUNDING) if relative else metric.floor
    for sign in _directions(metric):
        excess = sign * (new - old) - allowed
        test = paired_t(excess, alpha=ALPHA)
        if math.isfinite(test.low):
            yield test.low, test.high
        else:
            yield test.estimate, test.estimate


def _ratio_interval(pairs: tuple[tuple[float, float], ...]) -> tuple[float | None, float | None]:
    """Return the Fieller interval of mean baseline / mean optimized; None without one."""
    if len(pairs) < 2:
        return None, None
    old, new = np.array(pairs, dtype=np.float64).T
    if not (old.mean() > 0.0 and new.mean() > 0.0):
        return None, None
    with np.errstate(divide="ignore", invalid="ignore"):
        total = total_time(new, old, ALPHA)  # in this order the quotient is baseline / optimized
    low, high = scalar(total.low), scalar(total.high)
    if not math.isfinite(high):
        return None, None
    return max(low, 0.0), high


def _centre(values: tuple[float, ...]) -> float | None:
    if not values:
        return None
    if len(set(values)) == 1:
        return values[0]  # a count stays a whole number
    return math.fsum(values) / len(values)


def _quotient(baseline: float | None, optimized: float | None) -> float | None:
    if baseline is None or optimized is None:
        return None
    if baseline == optimized:
        return 1.0
    if baseline <= 0.0 or optimized <= 0.0:
        return None
    return baseline / optimized


def _change(ratio: float | None, baseline: float | None, optimized: float | None) -> float | None:
    if ratio:
        return 1.0 / ratio - 1.0
    if not baseline or optimized is None:
        return None
    return (optimized - baseline) / abs(baseline)


def _inverse(ratio: float | None) -> float | None:
    return 1.0 / ratio - 1.0 if ratio else None
