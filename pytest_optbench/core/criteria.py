"""The acceptance criteria as rows: what was required, what was seen, passed or not.

ACCEPT implies that no row failed; a row that could not be checked has passed = None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_optbench.core.control import Control
from pytest_optbench.core.equivalence import Equivalence
from pytest_optbench.core.goal import Goal
from pytest_optbench.core.metrics import MetricResult
from pytest_optbench.core.sequential import MIN_PAIRS
from pytest_optbench.core.wording import change, p_value, percent, quantity, short_percent, times


@dataclass(frozen=True)
class Criterion:
    """One row: display strings for what was required and what was seen."""

    name: str
    required: str
    actual: str
    passed: bool | None


@dataclass(frozen=True)
class Evidence:
    """The numbers criteria look at, as fractions of time saved and p-values; None when unknown.

    rank_p is only given where the rank test must confirm the result, at a repeated attempt.
    """

    pairs: int
    saved: float | None = None
    saved_low: float | None = None
    total_saved: float | None = None
    p: float | None = None
    limit: float | None = None
    p_zero: float | None = None
    shown: bool = False
    total_agrees: bool = False
    rank_p: float | None = None
    rank_agrees: bool | None = None


def _telling(value: float, required: float, passed: bool) -> str:
    """Return `value` with enough digits that it does not look like `required` when it misses it."""
    for digits in (2, 4, 6):
        text = percent(value, digits)
        if passed or text != percent(required, digits):
            return text
    return percent(value, 9)


def criteria(
    evidence: Evidence,
    goal: Goal,
    equivalence: Equivalence,
    control: Control | None,
    alpha: float,
    metrics: Sequence[MetricResult] = (),
) -> tuple[Criterion, ...]:
    """Return the rows for one decision. `alpha` is the two-sided level of the test against zero."""
    speedup = goal.kind == "speedup"
    bound = "time saved, lower bound" if speedup else "slowdown, upper bound"
    total = "total time saved" if speedup else "total slowdown"
    rows = [
        Criterion("pairs", f">= {MIN_PAIRS}", str(evidence.pairs), evidence.pairs >= MIN_PAIRS),
        _bound_row(bound, evidence.saved_low, goal, evidence.shown),
        _bound_row(total, evidence.total_saved, goal, evidence.total_agrees),
        Criterion(
            "p against the threshold",
            "n/a" if evidence.limit is None else f"<= {evidence.limit:.3g}",
            "n/a" if evidence.p is None else p_value(evidence.p),
            None if evidence.p is None else evidence.shown,
        ),
    ]
    if evidence.rank_p is not None:
        required = "n/a" if evidence.limit is None else f"<= {evidence.limit:.3g} (repeated attempt)"
        rows.append(Criterion("rank test p", required, p_value(evidence.rank_p), bool(evidence.rank_agrees)))
    if speedup:
        p = evidence.p_zero
        passed = None if p is None or evidence.saved is None else p < alpha and evidence.saved > 0.0
        rows.append(
            Criterion(
                "p against no difference",
                f"< {alpha:g}, faster",
                "n/a" if p is None else p_value(p),
                passed,
            )
        )
    rows.append(_equivalence_row(equivalence))
    rows.append(
        Criterion(
            "A/A control",
            "99 % interval contains 1",
            f"[{times(control.ci_low)}, {times(control.ci_high)}]" if control else "not measured",
            control.clean if control else None,
        )
    )
    rows += [
        Criterion(
            result.metric.name, metric_requirement(result), metric_change(result), result.outcome == "within"
        )
        for result in metrics
        if result.gated
    ]
    return tuple(rows)


def requirement(goal: Goal) -> str:
    """Return what the goal asks for in short: ``>= 5 %``, ``slowdown <= 5 %``."""
    return f"{'>=' if goal.kind == 'speedup' else 'slowdown <='} {short_percent(goal.margin)}"


def metric_line(result: MetricResult) -> str:
    """Return one metric in a clause: ``memory 10.00 MiB to 20.00 MiB, +100.00 % (at most +20 %)``."""
    return f"{result.metric.name} {metric_change(result)} ({metric_requirement(result)})"


def metric_requirement(result: MetricResult) -> str:
    """Return what a gated metric has to keep: ``at most +20 %``, ``the same``."""
    metric = result.metric
    margin = short_percent(metric.margin or 0.0)
    if metric.better == "same":
        return "the same" if result.exact or not metric.margin else f"within ±{margin}"
    return f"at most {'+' if metric.better == 'lower' else '-'}{margin}"


def metric_change(result: MetricResult) -> str:
    """Return both values and the change with its interval; why it is open, where it is."""
    unit = result.metric.unit
    old, new = quantity(result.baseline, unit), quantity(result.optimized, unit)
    found, low, high = result.change
    text = f"{old} to {new}"
    if found is not None:
        text += f", {change(found)}"
    if low is not None and high is not None:
        text += f" [{change(low)}, {change(high)}]"
    return text if result.message is None else f"{text}: {result.message}"


def _bound_row(name: str, saved: float | None, goal: Goal, passed: bool) -> Criterion:
    speedup = goal.kind == "speedup"
    required = requirement(goal).removeprefix("slowdown ")
    if saved is None:
        return Criterion(name, required, "n/a", None)
    return Criterion(name, required, _telling(saved if speedup else -saved, goal.margin, passed), passed)


def _equivalence_row(equivalence: Equivalence) -> Criterion:
    if not equivalence.checked:
        return Criterion("equivalent results", "equal", "not checked", None)
    actual = {True: "equal", False: "different", None: "comparison failed"}[equivalence.passed]
    return Criterion("equivalent results", "equal", actual, bool(equivalence.passed))
