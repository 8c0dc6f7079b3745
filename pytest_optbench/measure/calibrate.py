"""Calibration: one inner loop count for all arms, and how many micro-pairs make a trial.

All arms share the loop count: a different count per arm would spread fixed costs differently over the calls
and look like a difference in speed. The count brings a run of the slowest arm as near to `MIN_RUN_S` as whole calls
can and makes a run of the fastest arm at least `MIN_STEPS` clock steps long, but no run may cost more than
`MAX_RUN_S` for the sake of a longer loop. Two readings in a row have to agree before the count is settled, because one
interrupted reading would make every later run many times too short.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ..core.findings import Finding
from ..core.orders import INLINE, micro_pairs
from .arm import Reading
from .clock import Clock, resolution_s

MIN_RUN_S: Final = 1e-3
MIN_STEPS: Final = 1000
MAX_RUN_S: Final = 0.02
TRIAL_S: Final = 1.0
MAX_DISAGREEMENT: Final = 2.0

_SAFETY = 1.2  # aim above the minimum, so that a slightly faster run still reaches it
_GROWTH = 100  # for readings the clock cannot see
_ATTEMPTS = 10


class Timed(Protocol):
    """What can be calibrated: an arm of this process, or one in a child."""

    @property
    def name(self) -> str:
        """The name of the arm."""

    @property
    def setup(self) -> object | None:
        """Not None when every call is timed by itself."""

    def run(self, loops: int, clock: Clock, /) -> Reading:
        """Return the times of ``loops`` calls."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What calibration settled.

    ``loops`` calls make a run of any arm; ``micro_pairs`` rounds of runs make a trial. ``run_s`` maps arm
    names to the seconds of one run as last read; ``resolution_s`` is the observed clock step. ``readings``
    counts the timed runs it took. ``confirmed`` says whether the last two readings agreed on every arm within
    a factor of `MAX_DISAGREEMENT`.
    """

    loops: int
    micro_pairs: int
    run_s: dict[str, float]
    resolution_s: float
    readings: int
    confirmed: bool
    findings: tuple[Finding, ...] = ()


def calibrate(
    arms: Sequence[Timed],
    clock: Clock,
    trial_budget_s: float = math.inf,
    *,
    min_run_s: float = MIN_RUN_S,
    max_run_s: float = MAX_RUN_S,
) -> Calibration:
    """Return the loop count and the micro-pairs per trial for ``arms``, the baseline first.

    Costs a few runs of each arm; arms of which one takes a second or more run once. Each arm must have been
    called with `Arm.once` before. ``trial_budget_s`` bounds the micro-pairs, see `rounds_per_trial`;
    ``min_run_s`` and ``max_run_s`` bound a run, see `needed_loops`. Raises `ArmRaised`.
    """
    resolution = resolution_s(clock)
    readings = [arm.run(1, clock) for arm in arms]
    loops, confirmed, count = 1, _slowest(readings) >= TRIAL_S, len(arms)
    for _ in range(_ATTEMPTS):
        if confirmed:
            break
        loops = needed_loops(readings, resolution, min_run_s, max_run_s)
        again = [arm.run(loops, clock) for arm in arms]
        confirmed = all(_agree(one, two) for one, two in zip(readings, again, strict=True))
        readings = again
        count += len(arms)
    costs = [reading.elapsed_ns / 1e9 for reading in readings]
    return Calibration(
        loops=loops,
        micro_pairs=rounds_per_trial(costs, trial_budget_s),
        run_s={arm.name: reading.wall_s for arm, reading in zip(arms, readings, strict=True)},
        resolution_s=resolution,
        readings=count,
        confirmed=confirmed,
        findings=tuple(_findings(arms, readings, resolution, confirmed)),
    )


def rounds_per_trial(costs: Sequence[float], trial_budget_s: float = math.inf) -> int:
    """Return the micro-pairs per trial for runs that cost ``costs`` seconds, the baseline's first.

    What `core.orders.micro_pairs` says for the baseline and the slowest candidate, cut to no fewer than 4
    when a trial would exceed ``trial_budget_s``: somewhat coarser trials serve better than a time limit that
    comes before the verdict.
    """
    pair_s = costs[0] + max(costs[1:], default=costs[0])
    wanted = micro_pairs(pair_s, pair_s, INLINE)
    affordable = 2 * math.floor(min(trial_budget_s / max(sum(costs), 1e-9), 2 * wanted) / 2)
    return min(wanted, max(affordable, INLINE.fewest))


def needed_loops(
    readings: Sequence[Reading],
    resolution: float,
    min_run_s: float = MIN_RUN_S,
    max_run_s: float = MAX_RUN_S,
) -> int:
    """Return the loop count that ``readings`` of all arms (with one loop count) ask for, at least 1.

    About ``min_run_s`` seconds for the slowest arm, to the nearest whole call (a second call would double the cost of a
    decision), and long enough for the clock on the fastest one, within ``max_run_s`` per run.
    """
    loops = readings[0].loops
    fastest = min(reading.wall_s for reading in readings)
    costliest = max(reading.elapsed_ns for reading in readings) / 1e9
    if fastest <= 0:
        wanted = float(loops * _GROWTH)
    else:
        per_clock = loops * MIN_STEPS * resolution / fastest
        if per_clock > 1:
            per_clock *= _SAFETY
        wanted = max(float(round(loops * min_run_s / _slowest(readings))), per_clock)
    affordable = loops * max_run_s / costliest if costliest > 0 else math.inf
    return max(1, math.ceil(min(wanted, affordable)))


def _slowest(readings: Sequence[Reading]) -> float:
    return max(reading.wall_s for reading in readings)


def _agree(one: Reading, two: Reading) -> bool:
    low, high = sorted((one.seconds_per_call, two.seconds_per_call))
    return high <= MAX_DISAGREEMENT * low


def _findings(
    arms: Sequence[Timed], readings: Sequence[Reading], resolution: float, confirmed: bool
) -> list[Finding]:
    found = []
    for arm, reading in zip(arms, readings, strict=True):
        # With a setup every call is read by itself; without one only the run as a whole is.
        interval = reading.wall_s if arm.setup is None else reading.seconds_per_call
        if resolution > interval / 1000:
            found.append(
                Finding(
                    "clock-resolution",
                    "warn",
                    f"arm {arm.name!r}: a timed interval of {interval:.3g} s must be at least 1000 clock "
                    f"steps of {resolution:.3g} s; make one call do more work"
                    + ("" if arm.setup is None else ", or make the input inside the arm instead of setup="),
                )
            )
    if not confirmed:
        found.append(
            Finding(
                "calibration-unstable",
                "warn",
                f"{_ATTEMPTS} calibration readings in a row disagreed by more than a factor of "
                f"{MAX_DISAGREEMENT:g}: the machine is very noisy, or the work of an arm changes from call "
                "to call",
            )
        )
    return found
