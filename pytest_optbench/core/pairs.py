"""What was measured: trials, each one a pair of an optimized and a baseline time, as arrays.

A trial of a short workload holds many micro-pairs ("runs"); its log ratio is the mean of two medians, one
per order, so that an effect of running second cancels inside the trial. Its A/A control comes from the
baseline runs of the very same trial, so it costs no extra run. Where a trial is a single run it comes from
the baseline runs of two successive trials, which costs none either and is an upper estimate of the noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from pytest_optbench.core.arrays import FloatArray, median
from pytest_optbench.core.orders import micro_orders

Run: TypeAlias = tuple[int, float, float]
"""One micro-pair: order (+1 baseline first, -1 optimized first), baseline seconds, optimized seconds."""
_CONTROL_SEED = 17


def trial_log_ratio(runs: Sequence[Run]) -> float:
    """Return log(optimized / baseline) of one trial from its micro-pairs; NaN if any time is unusable.

    Half the sum of the median log ratio of the baseline-first runs and that of the others; the plain
    median where only one order occurs (a single run).

    Raises:
        ValueError: no runs.
    """
    if not runs:
        raise ValueError("a trial needs at least one run, got none")
    if not all(_usable(a) and _usable(b) for _, a, b in runs):
        return math.nan
    sides = [[math.log(b) - math.log(a) for x, a, b in runs if x == side] for side in (1, -1)]
    medians = [float(median(side)) for side in sides if side]
    return sum(medians) / len(medians)


def control_log_ratios(baseline: Sequence[float], rng: np.random.Generator) -> tuple[float, ...]:
    """Return the A/A log ratio of one trial, () if it has fewer than four baseline runs.

    Adjacent baseline runs, in the order they were run, form A/A micro-pairs; seeded balanced labels say
    which one plays the optimized arm, and the trial's value is formed as in `trial_log_ratio`. It rests on
    half as many micro-pairs as the comparison itself, so its noise is an upper estimate.
    """
    pairs = len(baseline) // 2
    if pairs < 2:
        return ()
    return (_labelled(baseline, pairs, rng),)


def adjacent_control(baseline: Sequence[float], rng: np.random.Generator) -> tuple[float, ...]:
    """Return one A/A log ratio per two successive trials of one run each, with seeded balanced labels."""
    pairs = len(baseline) // 2
    if pairs == 0:
        return ()
    labels = micro_orders(pairs, rng)
    return tuple(
        float(label) * _log_ratio(baseline[2 * i], baseline[2 * i + 1]) for i, label in enumerate(labels)
    )


def _labelled(baseline: Sequence[float], pairs: int, rng: np.random.Generator) -> float:
    runs: list[Run] = []
    for i, label in enumerate(micro_orders(pairs, rng)):
        earlier, later = baseline[2 * i], baseline[2 * i + 1]
        runs.append((1, earlier, later) if label > 0 else (-1, later, earlier))
    return trial_log_ratio(runs)


def _usable(seconds: float) -> bool:
    return math.isfinite(seconds) and seconds > 0.0


def _log_ratio(first: float, second: float) -> float:
    return math.log(second / first) if _usable(first) and _usable(second) else math.nan


@dataclass(frozen=True)
class Trial:
    """One trial: the unit of the analysis.

    Times are seconds per call, averaged over the trial's runs; started_s counts from the start of
    measuring; control holds A/A log ratios; runs holds the micro-pairs when there are several.
    """

    index: int
    order: int
    baseline_s: float
    optimized_s: float
    log_ratio: float
    control: tuple[float, ...] = ()
    baseline_cpu_s: float | None = None
    optimized_cpu_s: float | None = None
    started_s: float | None = None
    runs: tuple[Run, ...] = ()

    @classmethod
    def from_runs(
        cls,
        index: int,
        order: int,
        runs: Sequence[Run],
        *,
        control: tuple[float, ...] = (),
        baseline_cpu_s: float | None = None,
        optimized_cpu_s: float | None = None,
        started_s: float | None = None,
    ) -> Trial:
        """Return the trial of these micro-pairs: mean seconds per arm and the order-balanced log ratio."""
        return cls(
            index=index,
            order=order,
            baseline_s=math.fsum(a for _, a, _ in runs) / len(runs) if runs else math.nan,
            optimized_s=math.fsum(b for _, _, b in runs) / len(runs) if runs else math.nan,
            log_ratio=trial_log_ratio(runs),
            control=control,
            baseline_cpu_s=baseline_cpu_s,
            optimized_cpu_s=optimized_cpu_s,
            started_s=started_s,
            runs=tuple((int(x), float(a), float(b)) for x, a, b in runs),
        )

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Trial:
        """Return the trial that `record` describes; times recorded as null come back as NaN."""

        def number(key: str) -> float:
            value = record.get(key)
            return math.nan if value is None else float(value)

        def optional(key: str) -> float | None:
            value = record.get(key)
            return None if value is None else float(value)

        return cls(
            index=int(record["index"]),
            order=int(record["order"]),
            baseline_s=number("baseline_s"),
            optimized_s=number("optimized_s"),
            log_ratio=number("log_ratio"),
            control=tuple(float(c) for c in record.get("control") or ()),
            baseline_cpu_s=optional("baseline_cpu_s"),
            optimized_cpu_s=optional("optimized_cpu_s"),
            started_s=optional("started_s"),
            runs=tuple((int(x), float(a), float(b)) for x, a, b in record.get("runs") or ()),
        )


@dataclass(frozen=True, eq=False)
class Pairs:
    """All trials of one comparison in the order they were measured, with their columns as arrays (n,)."""

    trials: tuple[Trial, ...]
    order: FloatArray
    baseline_s: FloatArray
    optimized_s: FloatArray
    log_ratio: FloatArray

    @classmethod
    def from_trials(cls, trials: Iterable[Trial]) -> Pairs:
        """Return the pairs of `trials`.

        Unusable times are kept and reported by `problem`; they never become a verdict.

        Raises:
            ValueError: an order is neither +1 nor -1.
        """
        kept = tuple(trials)
        wrong = [t.order for t in kept if t.order not in (1, -1)]
        if wrong:
            raise ValueError(
                f"the order of a trial must be +1 (baseline first) or -1, got {wrong[0]!r}; "
                "take it from plan_orders"
            )
        return cls(
            trials=kept,
            order=np.array([t.order for t in kept], dtype=np.float64),
            baseline_s=np.array([t.baseline_s for t in kept], dtype=np.float64),
            optimized_s=np.array([t.optimized_s for t in kept], dtype=np.float64),
            log_ratio=np.array([t.log_ratio for t in kept], dtype=np.float64),
        )

    @classmethod
    def from_seconds(
        cls, baseline: Sequence[float], optimized: Sequence[float], order: Sequence[float]
    ) -> Pairs:
        """Return the pairs of plain seconds, one run per trial.

        Raises:
            ValueError: the three sequences differ in length, or an order is neither +1 nor -1.
        """
        return cls.from_trials(
            Trial.from_runs(i, int(x), [(int(x), float(a), float(b))])
            for i, (a, b, x) in enumerate(zip(baseline, optimized, order, strict=True))
        )

    def __len__(self) -> int:
        return len(self.trials)

    def first(self, n: int) -> Pairs:
        """Return the first n pairs."""
        return Pairs(
            self.trials[:n], self.order[:n], self.baseline_s[:n], self.optimized_s[:n], self.log_ratio[:n]
        )

    @property
    def control(self) -> FloatArray:
        """The A/A log ratios of all trials, see `controls`."""
        return np.array([value for values in self.controls for value in values], dtype=np.float64)

    @property
    def controls(self) -> tuple[tuple[float, ...], ...]:
        """The A/A log ratios by trial: its own; where no trial has any, every second one's with the one before."""
        own = tuple(trial.control for trial in self.trials)
        if any(own):
            return own
        labels = np.random.default_rng(_CONTROL_SEED)  # the same record must give the same control
        across = adjacent_control(self.baseline_s.tolist(), labels)
        return tuple((across[i // 2],) if i % 2 else () for i in range(len(self.trials)))

    @property
    def problem(self) -> str | None:
        """What makes these times unusable, or None."""
        for name, values in (("baseline", self.baseline_s), ("optimized", self.optimized_s)):
            bad = ~(np.isfinite(values) & (values > 0.0))
            if bad.any():
                i = int(np.flatnonzero(bad)[0])
                return f"seconds must be finite and positive, got {values[i]!r} for {name} in pair {i}"
        bad = ~np.isfinite(self.log_ratio)
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            return f"the log ratio must be finite, got {self.log_ratio[i]!r} in pair {i}"
        return None

    @property
    def estimable(self) -> bool:
        """True when a fit is possible: usable times and at least two pairs in each order."""
        first = int((self.order > 0).sum())
        return self.problem is None and first >= 2 and len(self) - first >= 2
