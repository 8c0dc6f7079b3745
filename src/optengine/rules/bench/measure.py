"""Measuring runs of the validator: verdicts compared first, then every run's numbers, medians last."""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from optengine import cpus
from optengine.rules import ProcessPoolValidator, Report, RuleSet
from optengine.rules.errors import RuleSetError

#: What the original document claims for 384 rules in 9 batches with 8 workers. No result file of it shows
# these figures.
CLAIMED = {
    "rules": 384,
    "batches": 9,
    "workers": 8,
    "sequential_s": 35.0,
    "threads_s": 12.1,
    "processes_s": 2.8,
    "processes_speedup": 12.5,
    "serialisation_share": 0.043,
    "startup_share": 0.029,
}


class VerdictsDiffer(RuleSetError):
    """Two ways of running the same rules judged differently, so their times must not be compared."""


@dataclass(frozen=True)
class Arm:
    """One way of running a rule set: a name and the validator's options."""

    name: str
    options: Mapping[str, Any]


def run(root: Path, rules: RuleSet, arm: Arm, ignored: Sequence[str]) -> tuple[Report, dict[str, Any]]:
    """One run and its numbers: times in seconds, sizes in bytes."""
    report = ProcessPoolValidator(root, rules, ignored=ignored, **arm.options).validate()
    stats = report.stats
    numbers = {
        "wall_s": stats.wall_s,
        "mode": stats.mode,
        "workers": stats.workers,
        "reason": stats.reason,
        "rule_s": stats.rule_s,
        "index_s": stats.index_s,
        "startup_s": stats.startup_s,
        "serialisation_s": stats.serialisation_s,
        "transfer_s": stats.transfer_s,
        "overhead": stats.overhead,
        "peak_memory": stats.peak_memory,
        "memory_how": stats.memory_how,
        "segment_bytes": stats.segment_bytes,
        "crashes": stats.crashes,
        "timeouts": stats.timeouts,
        "fallbacks": stats.fallbacks,
        "cache_hits": stats.cache_hits,
        "ran": sum(one.attempts > 0 for one in report.results),
        "attached": [one.attached for one in stats.worker_reports],
        "batches": [asdict(batch) | {"rules": len(batch.rules)} for batch in report.batches],
    }
    return report, numbers


def compare(
    root: Path, rules: RuleSet, arms: Sequence[Arm], runs: int, ignored: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """Numbers of *runs* runs of every arm, taken in turn so that a slow spell of the machine hits all of
    them.

    Raises:
        VerdictsDiffer: two runs judged a rule differently; the message names it.
    """
    found: dict[str, list[dict[str, Any]]] = {arm.name: [] for arm in arms}
    reference: Report | None = None
    for turn in range(runs):
        for arm in arms if turn % 2 == 0 else [*reversed(arms)]:
            report, numbers = run(root, rules, arm, ignored)
            reference = reference or report
            check_verdicts(reference, report, arm.name)
            found[arm.name].append(numbers)
    return found


def check_verdicts(reference: Report, report: Report, name: str) -> None:
    """Return nothing when both judged alike. Raises VerdictsDiffer with the first difference."""
    for expected, received in zip(reference.verdicts, report.verdicts, strict=True):
        if expected != received:
            raise VerdictsDiffer(
                f"All modes must judge alike before times are compared; {name} gave {received!r} where the first run "
                f"gave {expected!r}."
            )


def median(found: Sequence[Mapping[str, Any]], key: str = "wall_s") -> float:
    """Median of one number over runs."""
    return statistics.median(float(one[key]) for one in found)


def machine() -> dict[str, Any]:
    """What the numbers were measured on; no names of hosts or users."""
    return {
        "python": sys.version.split()[0],
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "architecture": platform.machine(),
        "usable_cpus": cpus.usable_cpus(),
        "load_before": os.getloadavg()[0],
    }
