"""Which arm runs first: balanced random orders, drawn from a seed before the first run.

Fixed alternation is fooled by interference in step with it and by effects of running second; balanced
random order is not, and the balance lets the order effect be estimated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_optbench.core.arrays import IntArray


@dataclass(frozen=True, slots=True)
class Budget:
    """What the micro-pairs of one trial may cost: about ``seconds``, of which there are ``fewest`` to ``most``.

    From ``single_s`` seconds on there is one micro-pair: what takes that long averages the interruptions itself.
    """

    seconds: float
    most: int
    single_s: float
    fewest: int = 4


INLINE = Budget(seconds=2.0, most=40, single_s=1.0)
"""A trial inside one process: up to a second of each order."""

PROCESSES = Budget(seconds=0.25, most=60, single_s=1.0)
"""A trial of two fresh processes: short, because what differs from process to process only more trials can average."""


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


def micro_pairs(round_seconds: float, longest_seconds: float, budget: Budget) -> int:
    """Return how many micro-pairs a trial has under ``budget``: 1, or an even number (both orders equally often).

    ``round_seconds`` is what one micro-pair costs, one run of each arm; ``longest_seconds`` is what is held against
    ``budget.single_s``.
    """
    if longest_seconds >= budget.single_s:
        return 1
    if round_seconds * budget.most <= budget.seconds:
        return budget.most
    return max(budget.fewest, min(2 * round(budget.seconds / round_seconds / 2), budget.most))
