"""The numeric part of a decision document: plain JSON types, finite floats, null for unknown.

Ratios are baseline/optimized (above 1 is faster), `time_saved` is 1 - 1/ratio. The shell adds what the
data does not know: title, code, environment, timing of the run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_optbench.core.classic import TTest
from pytest_optbench.core.pairs import Trial
from pytest_optbench.core.ranks import CROSSOVER

if TYPE_CHECKING:
    from pytest_optbench.core.control import Control
    from pytest_optbench.core.criteria import Criterion
    from pytest_optbench.core.decision import ArmSummary, Decision
    from pytest_optbench.core.judge import LookResult
    from pytest_optbench.core.metrics import MetricResult


def finite(value: float | None) -> float | None:
    """Return the value, or None when it is not finite."""
    return None if value is None or not math.isfinite(value) else float(value)


def trial_document(trial: Trial, weight: float | None = None) -> dict[str, Any]:
    """Return one trial as the document records it; `Trial.from_record` reads it back."""
    return {
        "index": trial.index,
        "order": trial.order,
        "baseline_s": finite(trial.baseline_s),
        "optimized_s": finite(trial.optimized_s),
        "log_ratio": finite(trial.log_ratio),
        "weight": finite(weight),
        "baseline_cpu_s": finite(trial.baseline_cpu_s),
        "optimized_cpu_s": finite(trial.optimized_cpu_s),
        "started_s": finite(trial.started_s),
        "control": [finite(value) for value in trial.control if math.isfinite(value)],
        "runs": [[order, finite(a), finite(b)] for order, a, b in trial.runs],
    }


def decision_document(decision: Decision) -> dict[str, Any]:
    """Return everything numeric of the document; the same decision always gives the same dictionary."""
    effect, companions, control = decision.effect, decision.companions, decision.control
    weights = (None,) * len(decision.pairs) if decision.weights is None else decision.weights
    saved = effect.saved if effect is not None else (None, None, None)
    ratio = effect.ratio if effect is not None else (None, None, None)
    total = companions.total_ratio if companions is not None else (None, None, None)
    return {
        "goal": decision.goal.kind,
        "verdict": decision.verdict.value,
        "reasons": [reason.value for reason in decision.reasons],
        "margin": decision.goal.ratio,
        "confidence": decision.confidence,
        "baseline": _arm(decision.baseline),
        "optimized": _arm(decision.optimized),
        "time_saved": interval_document("estimate", saved),
        "ratio": interval_document("estimate", ratio),
        "tests": _tests(decision),
        "total_time": interval_document("ratio", total),
        "criteria": criteria_document(decision.criteria),
        "equivalence": {
            "checked": decision.equivalence.checked,
            "passed": decision.equivalence.passed,
            "how": decision.equivalence.how,
            "message": decision.equivalence.message,
        },
        "pairs": [
            trial_document(replace(trial, control=control_of_trial), weight)
            for trial, control_of_trial, weight in zip(
                decision.pairs.trials, decision.pairs.controls, weights, strict=True
            )
        ],
        "looks": [_look(seen) for seen in decision.looks],
        "pairs_needed": decision.pairs_needed,
        "smallest_detectable": finite(decision.smallest_detectable),
        "control": control_document(control),
        "order_effect": {
            "ratio": finite(companions.order_ratio) if companions else None,
            "p": finite(companions.order_p) if companions else None,
        },
        "p_sequential": finite(decision.p_sequential),
        "p_adjusted": finite(decision.p_adjusted),
        "metrics": {result.metric.name: metric_document(result) for result in decision.metrics},
        "diagnostics": [
            {"code": found.code, "level": found.level, "message": found.message}
            for found in decision.diagnostics
        ],
    }


def interval_document(name: str, values: tuple[float | None, ...]) -> dict[str, float | None]:
    """Return an estimate under ``name``, with its interval: values are estimate, low, high."""
    return {name: finite(values[0]), "ci_low": finite(values[1]), "ci_high": finite(values[2])}


def criteria_document(rows: Iterable[Criterion]) -> list[dict[str, Any]]:
    """Return the criteria as the document records them."""
    return [
        {"name": row.name, "required": row.required, "actual": row.actual, "passed": row.passed}
        for row in rows
    ]


def control_document(control: Control | None) -> dict[str, float | None]:
    """Return the A/A control as the document records it; null where it was not measured."""
    return {
        "ratio": finite(control.ratio) if control else None,
        "ci_low": finite(control.ci_low) if control else None,
        "ci_high": finite(control.ci_high) if control else None,
        "noise_floor": finite(control.noise_floor) if control else None,
        "n": control.n if control else None,
    }


def metric_document(result: MetricResult) -> dict[str, Any]:
    """Return one metric as the document records it; the observed values allow judging it again."""
    metric, samples = result.metric, result.samples
    return {
        "unit": metric.unit,
        "better": metric.better,
        "margin": metric.margin,
        "exact": result.exact,
        "floor": metric.floor,
        "kind": metric.kind,
        "baseline": result.baseline,
        "optimized": result.optimized,
        "ratio": finite(result.ratio),
        "ci_low": finite(result.ci_low),
        "ci_high": finite(result.ci_high),
        "n": result.n,
        "verdict": result.outcome,
        "message": result.message,
        "observed": {
            "baseline": list(samples.baseline),
            "optimized": list(samples.optimized),
            "pairs": [list(pair) for pair in samples.pairs],
        },
    }


def _arm(arm: ArmSummary) -> dict[str, Any]:
    return {
        "mean_s": finite(arm.mean_s),
        "sd_s": finite(arm.sd_s),
        "median_s": finite(arm.median_s),
        "min_s": finite(arm.min_s),
        "n": arm.n,
    }


def _look(seen: LookResult) -> dict[str, Any]:
    return {
        "n": seen.n,
        "level": seen.level,
        "ratio": finite(math.exp(-seen.theta)),
        "ci_low": finite(math.exp(-seen.hi)),
        "ci_high": finite(math.exp(-seen.lo)),
        "p": finite(seen.p),
        "limit": seen.limit,
        "conditional_power": finite(seen.conditional_power),
        "stopped": seen.stop,
    }


def _tests(decision: Decision) -> dict[str, Any]:
    effect, companions = decision.effect, decision.companions
    if effect is None or companions is None:
        interval = {"ratio": None, "ci_low": None, "ci_high": None}
        empty = {"t": None, "df": None, "p": None}
        return {
            "margin": {**empty, "limit": None},
            "zero": dict(empty),
            "paired_t": {**empty, **interval},
            "welch_t": dict(empty),
            "distribution_free": {"name": CROSSOVER, "p": None, **interval},
        }
    paired, ranks = companions.paired_t, companions.ranks
    return {
        "margin": {
            "t": finite(effect.t_margin),
            "df": effect.df,
            "p": finite(effect.p_margin),
            "limit": effect.limit,
        },
        "zero": {"t": finite(effect.t_zero), "df": effect.df, "p": finite(effect.p_zero)},
        "paired_t": {**_t(paired), **_ratio(paired.estimate, paired.low, paired.high)},
        "welch_t": _t(companions.welch_t),
        "distribution_free": {
            "name": CROSSOVER,
            "p": finite(ranks.p),
            **_ratio(ranks.estimate, ranks.low, ranks.high),
        },
    }


def _t(test: TTest) -> dict[str, Any]:
    return {"t": finite(test.t), "df": finite(test.df), "p": finite(test.p)}


def _ratio(estimate: float, low: float, high: float) -> dict[str, float | None]:
    return {
        "ratio": finite(math.exp(estimate)),
        "ci_low": finite(math.exp(low)) if math.isfinite(low) else None,
        "ci_high": finite(math.exp(high)) if math.isfinite(high) else None,
    }
