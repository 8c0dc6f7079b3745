"""The order of every run, drawn from the seed before the first timed run and written down.

A *round* runs each arm once. Rounds come in mirror pairs: a random permutation of the arms and its reverse.
In such a pair every candidate runs once before and once after the baseline, so any even number of mirrored
rounds is exactly balanced for every candidate at once, however many there are. The rounds are then shuffled:
only random order is safe against interference that has a rhythm of its own.

A *trial* is ``micro_pairs`` rounds. Its label for a candidate is the order of its first round: +1 when the
baseline ran before the candidate, -1 otherwise. First rounds are mirrored and shuffled within each look, so
labels are balanced wherever a decision may stop; after an odd number of trials one label leads by one, and
the next odd look takes its mirror image. For one candidate the labels are those of `core.orders.plan_orders`.
They depend on the seed and the looks alone, not on how fast the arms are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.orders import plan_orders

Round = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole order.

    ``rounds[trial][r]`` lists the arms of one round in the order they run: 0 is the baseline, ``c`` the c-th
    candidate counted from 1.
    """

    seed: int
    looks: tuple[int, ...]
    rounds: tuple[tuple[Round, ...], ...]

    def label(self, trial: int, candidate: int) -> int:
        """Return +1 when the baseline ran before ``candidate`` (from 1) at the trial's start, else -1."""
        return order_in(self.rounds[trial][0], candidate)

    def labels(self, candidate: int) -> tuple[int, ...]:
        """Return the label of every planned trial for ``candidate`` (from 1)."""
        return tuple(self.label(trial, candidate) for trial in range(len(self.rounds)))


def order_in(arms: Round, candidate: int) -> int:
    """Return +1 when the baseline comes before ``candidate`` in the round, else -1."""
    return 1 if arms.index(0) < arms.index(candidate) else -1


def draw_plan(looks: Sequence[int], micro_pairs: int, candidates: int, seed: int) -> Plan:
    """Return the order of all trials up to the last of ``looks`` (numbers of trials, increasing).

    ``micro_pairs`` is 1 or even, ``candidates`` at least 1. Raises `ValueError` otherwise.
    """
    ends = tuple(looks)
    if not ends or list(ends) != sorted(set(ends)) or ends[0] < 1:
        raise ValueError(f"looks must be increasing numbers of trials, received {looks!r}; use (10, 15, 20)")
    if micro_pairs != 1 and (micro_pairs < 2 or micro_pairs % 2):
        raise ValueError(f"micro_pairs must be 1 or even, received {micro_pairs!r}; use an even number")
    if candidates < 1:
        raise ValueError(f"a plan needs at least one candidate, received {candidates!r}")
    first_rounds, further_rounds = np.random.SeedSequence(seed).spawn(2)
    if candidates == 1:
        firsts: list[Round] = [(0, 1) if label > 0 else (1, 0) for label in plan_orders(ends, seed)]
    else:
        firsts = _mirrored_blocks(ends, candidates + 1, np.random.default_rng(first_rounds))
    rng = np.random.default_rng(further_rounds)
    rounds = tuple((first, *_rest(first, micro_pairs, rng)) for first in firsts)
    return Plan(seed, ends, rounds)


def _mirrored_blocks(ends: Sequence[int], arms: int, rng: np.random.Generator) -> list[Round]:
    """Return one round per trial, mirrored within each look; an odd look's spare is mirrored in the next."""
    rounds: list[Round] = []
    spare: Round | None = None
    start = 0
    for end in ends:
        block = _mirrored((end - start) // 2, arms, rng)
        if (end - start) % 2:
            if spare is None:
                spare = _permutation(arms, rng)
                block.append(spare)
            else:
                block.append(spare[::-1])
                spare = None
        rounds += [block[i] for i in rng.permutation(len(block))]
        start = end
    return rounds


def _rest(first: Round, micro_pairs: int, rng: np.random.Generator) -> list[Round]:
    """Return the rounds after the first of a trial: its mirror image and mirrored pairs, shuffled."""
    if micro_pairs == 1:
        return []
    rounds = [first[::-1], *_mirrored(micro_pairs // 2 - 1, len(first), rng)]
    return [rounds[i] for i in rng.permutation(len(rounds))]


def _mirrored(pairs: int, arms: int, rng: np.random.Generator) -> list[Round]:
    rounds = []
    for _ in range(pairs):
        order = _permutation(arms, rng)
        rounds += [order, order[::-1]]
    return rounds


def _permutation(arms: int, rng: np.random.Generator) -> Round:
    return tuple(int(arm) for arm in rng.permutation(arms))
