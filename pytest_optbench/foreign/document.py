"""The decision document of one benchmark found in two files: same schema, no pairs, and the label ``unpaired``.

``protocol.design`` is ``"unpaired"`` and ``protocol.isolation`` ``"none"``; ``unpaired`` holds what only such a
comparison has. The paired tests are null.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from ..core.criteria import Criterion, requirement
from ..core.document import control_document, criteria_document, finite, interval_document
from ..core.unpaired import FEWEST, Side, Unpaired
from ..core.verdicts import EXPLANATION, Reason
from ..core.wording import p_value, percent, short_percent, times
from ..store import slug
from ..store.schema import SCHEMA
from .compare import Compared, Comparison
from .recorded import File, Recorded

Document = dict[str, Any]

MOST_VALUES: Final = 1000
"""Values of a side a document repeats; the file holds all of them."""


def document(
    comparison: Comparison,
    compared: Compared,
    *,
    command: str,
    earlier: Sequence[dict[str, Any]],
    seconds: float,
) -> Document:
    """Return the document of ``compared`` as plain JSON types."""
    shown, name = compared.shown, compared.name
    identity = f"compare::{name}"
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    saved, ratio, total = shown.effect.saved, shown.effect.ratio, shown.total
    sides = (
        ("baseline", shown.baseline, compared.old, comparison.old),
        ("optimized", shown.optimized, compared.new, comparison.new),
    )
    control = compared.control
    return {
        "schema": SCHEMA,
        "id": identity,
        "slug": slug.slug(identity),
        "title": name,
        "group": None,
        "rank": None,
        "expected": None,
        "goal": shown.goal.kind,
        "verdict": shown.verdict.value,
        "reasons": [reason.value for reason in shown.reasons],
        "summary": summary(shown, name),
        "margin": shown.goal.ratio,
        "confidence": round(1.0 - 2.0 * shown.limit, 12),
        **{arm: _arm(side, file) for arm, side, _, file in sides},
        "time_saved": interval_document("estimate", saved),
        "ratio": interval_document("estimate", ratio),
        "tests": _tests(shown),
        "total_time": interval_document("ratio", total),
        "criteria": criteria_document(_criteria(shown, comparison)),
        "equivalence": {
            "checked": False,
            "passed": None,
            "how": "not checked: files hold no results",
            "message": None,
        },
        "pairs": [],
        "looks": [],
        "pairs_needed": None,
        "smallest_detectable": _detectable(shown),
        "control": control_document(control),
        "order_effect": {"ratio": None, "p": None},
        "p_sequential": finite(shown.effect.p_margin),
        "p_adjusted": finite(shown.p_adjusted),
        "diagnostics": _diagnostics(comparison, compared),
        "memory": _memory(compared, comparison.old.tool),
        "metrics": {},
        "config": {
            "compared with": comparison.old.name,
            "file": comparison.new.name,
            "tool": comparison.new.label,
        },
        "environment": {
            arm: {k: v for k, v in {**file.machine, **file.facts}.items() if v is not None}
            for arm, _, _, file in sides
        },
        "code": {
            arm: {"name": file.label, "file": file.name, "line": None, "sha256": file.sha256}
            for arm, _, _, file in sides
        },
        "protocol": {
            "isolation": "none",
            "design": "unpaired",
            "allowance": shown.allowance,
            "plan": [],
            "looks": [],
            "limits": [],
            "alpha": shown.limit if shown.goal.kind == "no-regression" else 2.0 * shown.limit,
            "attempt": 1,
            "quick": False,
        },
        "unpaired": {
            "unit": unit(shown),
            "suggests": shown.suggestion,
            "p_worse": finite(shown.p_worse),
            "p_worse_adjusted": finite(shown.p_worse_adjusted),
            **{
                arm: {
                    "processes": len(recorded.processes) or None,
                    "values": recorded.values,
                    "seconds": list(side.values) if 0 < len(side.values) <= MOST_VALUES else None,
                }
                for arm, side, recorded, _ in sides
            },
        },
        "overhead": {"analysis_s": seconds, "total_s": seconds},
        "notes": None,
        "risks": [],
        "earlier": list(earlier),
        "attempt": 1,
        "seed": None,
        "command": command,
        "started": now,
        "seconds": seconds,
    }


def unit(shown: Unpaired) -> str:
    """Return what one value is: ``process``, ``round of one process`` or ``none, summary only``."""
    if shown.summary_only:
        return "none, summary only"
    return "round of one process" if shown.one_process else "process"


def summary(shown: Unpaired, title: str) -> str:
    """Return the comparison in one line, which always says that it is unpaired."""
    saved, low, high = shown.effect.saved
    if not math.isfinite(saved):
        seen = "no estimate"
    else:
        seen = f"time saved {percent(saved)} = {times(shown.effect.ratio[0])}"
        if math.isfinite(low):
            seen += f", {short_percent(1.0 - 2.0 * shown.limit)} CI [{percent(low)}, {percent(high)}]"
    reason = shown.reasons[0]
    return (
        f"{shown.verdict.value} {title}: unpaired, {seen}, required {requirement(shown.goal)}; {counts(shown)}; "
        f"it suggests: {shown.suggestion}; {reason.value}: {EXPLANATION[reason]}"
    )


def counts(shown: Unpaired) -> str:
    """Return how many values each side has: ``12 and 12 processes``."""
    a, b = shown.baseline, shown.optimized
    if not (a.n and b.n):
        return "number of values unknown"
    if shown.summary_only:
        return f"summaries of {a.n} and {b.n} values"
    return f"{a.n} and {b.n} {'rounds of one process each' if shown.one_process else 'processes'}"


def _arm(side: Side, file: File) -> dict[str, Any]:
    return {
        "name": file.name,
        "mean_s": finite(side.mean_s),
        "sd_s": finite(side.sd_s),
        "median_s": finite(side.median_s),
        "min_s": finite(side.min_s),
        "n": side.n or None,
    }


def _tests(shown: Unpaired) -> dict[str, Any]:
    effect, ranks = shown.effect, shown.ranks
    df = finite(effect.df)
    shift = (
        (None, None, None)
        if ranks is None
        else tuple(_exp(v) for v in (ranks.estimate, ranks.low, ranks.high))
    )
    none = {"t": None, "df": None, "p": None}
    return {
        "margin": {
            "t": finite(effect.t_margin),
            "df": df,
            "p": finite(effect.p_margin),
            "limit": shown.limit,
        },
        "zero": {"t": finite(effect.t_zero), "df": df, "p": finite(effect.p_zero)},
        "paired_t": {**none, "ratio": None, "ci_low": None, "ci_high": None},
        "welch_t": {"t": finite(shown.welch.t), "df": finite(shown.welch.df), "p": finite(shown.welch.p)},
        "distribution_free": {
            "name": "Mann-Whitney (Hodges-Lehmann), unpaired" if ranks else "none: no values",
            "p": finite(ranks.p) if ranks else None,
            "ratio": shift[0],
            "ci_low": shift[1],
            "ci_high": shift[2],
        },
    }


def _exp(value: float) -> float | None:
    return math.exp(value) if math.isfinite(value) else None


def _detectable(shown: Unpaired) -> float | None:
    from ..core.power import smallest_detectable

    effect = shown.effect
    if not effect.se > 0.0:
        return None
    return finite(smallest_detectable(effect.se, int(effect.df) or 1, shown.goal.log_threshold, shown.limit))


def _criteria(shown: Unpaired, comparison: Comparison) -> list[Criterion]:
    goal = shown.goal
    speedup = goal.kind == "speedup"
    sign = 1.0 if speedup else -1.0
    _, low, _ = shown.effect.saved
    known = math.isfinite(low)
    clears = known and shown.effect.high <= goal.log_threshold
    return [
        Criterion("measured side by side", "pairs, interleaved", "unpaired, two recordings", False),
        Criterion(
            "independent values on each side",
            f">= {FEWEST} processes",
            counts(shown),
            not shown.one_process
            and not shown.summary_only
            and min(shown.baseline.n, shown.optimized.n) >= FEWEST,
        ),
        Criterion("same machine", "equal", *_machine(comparison)),
        Criterion(
            "time saved, lower bound" if speedup else "slowdown, upper bound",
            f"{'>=' if speedup else '<='} {short_percent(goal.margin)}",
            percent(sign * low) if known else "n/a",
            clears if known else None,
        ),
        Criterion(
            "p against the threshold (Holm)",
            f"<= {shown.limit:.3g}",
            p_value(shown.p_adjusted) if known else "n/a",
            shown.p_adjusted <= shown.limit if known else None,
        ),
        Criterion("equivalent results", "equal", "not checked", None),
    ]


def _machine(comparison: Comparison) -> tuple[str, bool | None]:
    if comparison.differences:
        return "; ".join(comparison.differences), False
    known = any(
        v is not None and comparison.new.machine.get(k) is not None for k, v in comparison.old.machine.items()
    )
    return ("equal as far as the files say", True) if known else ("the files do not say", None)


def _diagnostics(comparison: Comparison, compared: Compared) -> list[dict[str, str]]:
    shown, control = compared.shown, compared.control
    found = [
        (
            "unpaired",
            "warn",
            "the two sides were recorded at different times; a machine that changed in between looks like a "
            f"change of the code. REJECT is said only of what a change of the machine by {times(1 + shown.allowance)} "
            "could not explain, ACCEPT never",
        )
    ]
    if shown.one_process:
        found.append(
            (
                "one-process",
                "warn",
                "all values of a side come from one process, so the interval covers the noise inside a process and not "
                "what differs from process to process (memory layout, hash seed)",
            )
        )
    if shown.summary_only:
        found.append(("summary-only", "warn", "a file keeps no values, so the tests rest on mean, standard deviation "
                      "and count, and there is no distribution-free check"))  # fmt: skip
    for recorded, file in ((compared.old, comparison.old), (compared.new, comparison.new)):
        if recorded.note:
            found.append(("file", "info", f"{file.name}: {recorded.note}"))
        if recorded.failed_runs:
            words = f"{file.name}: {recorded.failed_runs} runs ended with a status other than 0"
            found.append(("arm-raised", "error", words))
    if comparison.differences:
        found.append(
            ("different-machines", "warn", f"the machines differ: {'; '.join(comparison.differences)}")
        )
    elif _machine(comparison)[1] is None:
        found.append(("machine-unknown", "warn", "the files do not say on which machine they were recorded"))
    for key in ("python", "implementation"):
        a, b = comparison.old.facts.get(key), comparison.new.facts.get(key)
        if a != b:
            found.append((f"{key}-differs", "info", f"{key}: {a} and {b}"))
    if comparison.old.version != comparison.new.version:
        found.append(
            ("tool-version", "info", f"written by {comparison.old.label} and {comparison.new.label}")
        )
    if control is not None:
        found.append(
            (
                "unchanged-code",
                "info" if control.clean else "warn",
                f"code that is the same in both files differs by {times(control.ratio)}, 99% CI "
                f"[{times(control.ci_low)}, {times(control.ci_high)}]: that much is not the code's doing",
            )
        )
    return [{"code": code, "level": level, "message": message} for code, level, message in found]


def _memory(compared: Compared, tool: str) -> dict[str, Any]:
    def peak(recorded: Recorded) -> dict[str, float | None]:
        median = statistics.median(recorded.peak_bytes) if recorded.peak_bytes else None
        return {"peak_bytes": median, "extra_bytes": None}

    known = bool(compared.old.peak_bytes or compared.new.peak_bytes)
    how = f"peak as {tool} recorded it, median over processes" if known else "not measured"
    return {"how": how, "baseline": peak(compared.old), "optimized": peak(compared.new)}


__all__ = ["Document", "Reason", "counts", "document", "summary", "unit"]
