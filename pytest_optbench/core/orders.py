"""Which arm runs first: balanced random orders, drawn from a seed before the first run.

Fixed alternation is fooled by interference in step with it and by effects of running second; balanced
random order is not, and the balance lets the order effect be estimated.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pytest_optbench.core.arrays import IntArray

MICRO_PAIRS = (4, 40)
"""Fewest and most micro-pairs of a trial whose runs are short."""


def plan_orders(looks: Sequence[int], seed: int) -> IntArray:
    """Return +1 (baseline first) or -1 for every pair up to the last look, shape (looks[-1],).

    Inside each block between looks both orders are equally frequent; of the odd blocks, consecutive ones
    give the extra pair to opposite orders. The same looks and seed give the same plan.
    """
    rng = np.random.default_rng(seed)
    plan: list[int] = []
    carry: int | None = None
    for size in np.diff(np.asarray(looks, dtype=np.int64), prepend=0):
        half = int(size) // 2
        block = [1] * half + [-1] * half
        if size % 2:
            extra = (1 if rng.random() < 0.5 else -1) if carry is None else -carry
            carry = extra if carry is None else None
            block.append(extra)
        plan.extend(int(order) for order in rng.permutation(block))
    return np.array(plan, dtype=np.int64)


def micro_orders(k: int, rng: np.random.Generator) -> IntArray:
    """Return a balanced random order for each of the k micro-pairs of one trial (odd k: one extra).

    Raises:
        ValueError: k is below 1.
    """
    if k < 1:
        raise ValueError(f"a trial needs at least one micro-pair, got {k!r}")
    extra = [1 if rng.random() < 0.5 else -1] if k % 2 else []
    orders: IntArray = rng.permutation(np.array([1] * (k // 2) + [-1] * (k // 2) + extra, dtype=np.int64))
    return orders


def micro_pairs(pair_seconds: float, budget_seconds: float = 1.0) -> int:
    """Return how many micro-pairs a trial has: as many of each order as fill `budget_seconds`, in all 1 or 4..40.

    pair_seconds is the time of one baseline run plus one optimized run.
    """
    if pair_seconds >= budget_seconds:
        return 1
    fewest, most = MICRO_PAIRS
    if pair_seconds <= budget_seconds / most:
        return most
    return max(fewest, min(2 * round(budget_seconds / pair_seconds), most))
