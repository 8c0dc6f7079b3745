"""A real trace of this machine: the same code timed over and over, and sessions cut out of it.

Because nothing changes between slots, any difference between "arms" laid over the trace is noise.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass

import numpy as np

from pytest_optbench.core.arrays import FloatArray, IntArray
from pytest_optbench.measure.pilot import PILOT_ROUNDS, enough_micro_pairs, spread

_WORK = 12_000
_WARM_UP = 200
FEWEST_SLOTS = 4000


def _work() -> int:
    total = 0
    for i in range(_WORK):
        total += i * i
    return total


def record(seconds: float) -> FloatArray:
    """Return log times of identical work of about half a millisecond, repeated for `seconds`.

    On a machine too busy to fill that time with a few sessions it goes on until there are some.
    """
    for _ in range(_WARM_UP):
        _work()
    gc.collect()
    gc.disable()
    times: list[float] = []
    clock = time.perf_counter
    end = clock() + seconds
    try:
        while True:
            start = clock()
            _work()
            stop = clock()
            times.append(stop - start)
            if stop > end and len(times) >= FEWEST_SLOTS:
                log_times: FloatArray = np.log(np.array(times))
                return log_times
    finally:
        gc.enable()


@dataclass(frozen=True)
class Trials:
    """R sessions of n trials over a trace: log ratio and order (R, n), seconds per arm (R, n)."""

    log_ratio: FloatArray
    order: FloatArray
    baseline: FloatArray
    optimized: FloatArray


def windows(trace: FloatArray, slots: int, rows: int, rng: np.random.Generator) -> FloatArray:
    """Return `rows` stretches of `slots` consecutive slots at random starts, (R, slots); they may overlap.

    Raises:
        ValueError: the trace is shorter than one stretch.
    """
    if len(trace) <= slots:
        raise ValueError(f"a session needs {slots} slots, got a trace of {len(trace)}; record it for longer")
    starts = rng.integers(0, len(trace) - slots, rows)
    stretches: FloatArray = trace[starts[:, None] + np.arange(slots)]
    return stretches


def micro_trials(stretch: FloatArray, order: FloatArray, k: int, rng: np.random.Generator) -> Trials:
    """Return trials of k interleaved micro-pairs each, in balanced random order inside the trial."""
    rows, n = order.shape
    slot = stretch.reshape(rows, n, k, 2)
    base = np.repeat([1.0, -1.0], k // 2)
    side = rng.permuted(np.broadcast_to(base, (rows, n, k)).copy(), axis=2)
    baseline = np.where(side > 0, slot[..., 0], slot[..., 1])
    optimized = np.where(side > 0, slot[..., 1], slot[..., 0])
    ratio = optimized - baseline
    arranged = np.take_along_axis(ratio, np.argsort(-side, axis=2, kind="stable"), 2)
    half = k // 2
    log_ratio = 0.5 * (np.median(arranged[..., :half], 2) + np.median(arranged[..., half:], 2))
    return Trials(log_ratio, order, np.exp(baseline).mean(2), np.exp(optimized).mean(2))


def piloted_trials(
    stretch: FloatArray, order: FloatArray, most: int, rng: np.random.Generator
) -> tuple[Trials, IntArray]:
    """Return trials as the harness makes them, and the micro-pairs of each session (R,).

    The first slots of a stretch are the pilot, whose spread settles the number of micro-pairs; a session that needs
    few does not use its stretch up.
    """
    rows, n = order.shape
    pilot, rest = stretch[:, : 2 * PILOT_ROUNDS], stretch[:, 2 * PILOT_ROUNDS :]
    ratios = pilot[:, 1::2] - pilot[:, ::2]
    k = np.array([enough_micro_pairs(spread(list(row)), most) for row in ratios])
    made = [np.empty((rows, n)) for _ in range(3)]
    for micro in np.unique(k):
        chosen = k == micro
        trials = micro_trials(rest[chosen, : 2 * n * micro], order[chosen], int(micro), rng)
        for whole, part in zip(made, (trials.log_ratio, trials.baseline, trials.optimized), strict=True):
            whole[chosen] = part
    return Trials(made[0], order, made[1], made[2]), k


def pilot_slots(n: int, most: int) -> int:
    """Return the slots `piloted_trials` needs for n trials of at most `most` micro-pairs."""
    return 2 * PILOT_ROUNDS + 2 * n * most


def block_trials(stretch: FloatArray, order: FloatArray, k: int) -> Trials:
    """Return trials that run k times one arm, then k times the other: the same runs, not interleaved."""
    rows, n = order.shape
    first, second = np.moveaxis(np.exp(stretch.reshape(rows, n, 2, k)).mean(3), 2, 0)
    baseline = np.where(order > 0, first, second)
    optimized = np.where(order > 0, second, first)
    return Trials(np.log(optimized / baseline), order, baseline, optimized)
