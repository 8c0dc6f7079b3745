"""Figures of a run for people: where the time went, what each worker did, what looks odd."""

from __future__ import annotations

from collections import Counter
from typing import Any

from optengine.optimize.backends.base import Backend
from optengine.optimize.driver import Driver
from optengine.optimize.trial import Trial

_LEAST_GAIN = 0.7


def run_statistics(driver: Driver | None, backend: Backend | None, seconds: float) -> dict[str, Any]:
    """Counts of trials by state, seconds, the driver's own seconds, one entry per worker, and findings.

    ``driver_seconds`` is the time the driver spent outside waiting for results: asking, telling, writing the journal,
    starting and ending the backend not included; it is known when the run has ended. ``busy_share`` of a worker is the
    time inside the objective over the time of the run.
    """
    if driver is None or backend is None:
        return {"trials": 0, "complete": 0, "failed": 0, "cancelled": 0, "replayed": 0, "seconds": 0.0}
    trials = driver.history
    states = Counter(trial.state for trial in trials)
    total = seconds or driver.elapsed_s
    return {
        "trials": len(trials),
        "complete": states["complete"],
        "failed": states["failed"],
        "cancelled": states["cancelled"],
        "replayed": driver.replayed,
        "seconds": total,
        "driver_seconds": driver.own_s,
        "driver_seconds_per_trial": driver.own_s / len(trials) if trials else 0.0,
        "workers": _per_worker(trials, total),
        "backend": {"name": backend.name, "workers": backend.workers, **backend.stats()},
        "findings": [*_fidelity_finding(trials)],
    }


def _per_worker(trials: list[Trial], seconds: float) -> dict[int, dict[str, float]]:
    workers: dict[int, dict[str, float]] = {}
    for trial in trials:
        if trial.worker is None:
            continue
        row = workers.setdefault(trial.worker, {"trials": 0, "failed": 0, "busy_seconds": 0.0})
        row["trials"] += 1
        row["failed"] += trial.state == "failed"
        row["busy_seconds"] += trial.seconds
    for row in workers.values():
        row["busy_share"] = row["busy_seconds"] / seconds if seconds > 0 else 0.0
    return dict(sorted(workers.items()))


def _fidelity_finding(trials: list[Trial]) -> list[str]:
    """Says so when evaluations at the smallest budget are hardly cheaper than at the largest."""
    times: dict[float, list[float]] = {}
    for trial in trials:
        if trial.budget is not None and trial.state == "complete":
            times.setdefault(trial.budget, []).append(trial.seconds)
    if len(times) < 2:
        return []
    small, large = min(times), max(times)
    means = {budget: sum(times[budget]) / len(times[budget]) for budget in (small, large)}
    if means[large] <= 0 or means[small] < _LEAST_GAIN * means[large]:
        return []
    return [
        f"a smaller budget hardly saves time: {means[small]:.3g} s at budget {small:g} against "
        f"{means[large]:.3g} s at {large:g}; a search over budgets cannot pay here, random search or TPE "
        "will do better"
    ]
