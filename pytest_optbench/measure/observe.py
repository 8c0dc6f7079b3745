"""Untimed calls of arms that look at everything but time: memory, output, global state, leftovers, recorded numbers.

The first call is the one that tells most: what an arm changes, loads or keeps once, it does not a second time.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from ..core.findings import Finding
from .arm import Arm, Arms
from .memory import MemoryUse, MemoryWatch
from .output import counted_output, diverted_output, null_stream
from .statewatch import watched_state


@dataclass(frozen=True, slots=True)
class Observation:
    """What one call needed and left behind."""

    memory: MemoryUse
    findings: tuple[Finding, ...]


def observe(arm: Arm, watch: MemoryWatch) -> Observation:
    """Return memory use and findings of one fresh, untimed call; raises `ArmRaised`."""
    with watched_state(arm.name) as findings, counted_output(arm.name) as output:
        memory = watch.measure(arm)
    return Observation(memory, (*findings, *output.findings()))


def memory_again(arms: Arms, watch: MemoryWatch, rounds: int) -> dict[str, list[MemoryUse]]:
    """Return the memory use of ``rounds`` further calls of every arm, by name, the arms taking turns."""
    found: dict[str, list[MemoryUse]] = {arm.name: [] for arm in arms}
    with null_stream() as null, diverted_output(null):
        for _ in range(rounds):
            for arm in arms:
                found[arm.name].append(watch.measure(arm))
    return found


def record_pairs(arms: Arms, rounds: int, seed: int) -> None:
    """Call every arm once a round, untimed, for what the arms record; ends early when the time is over.

    The order is drawn from ``seed``; every second round runs backwards, so no arm comes first more often.
    """
    rng = random.Random(seed)
    names = [arm.name for arm in arms]
    order = list(arms)
    with null_stream() as null, diverted_output(null):
        for number in range(rounds):
            if number % 2 == 0:
                rng.shuffle(order)
            else:
                order.reverse()
            if arms.limit.reached:
                return
            for arm in order:
                arm.once()
            arms.recordings.pair(names)
