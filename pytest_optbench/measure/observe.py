"""One untimed call of an arm that looks at everything but time: memory, output, global state, leftovers."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.findings import Finding
from .arm import Arm
from .memory import MemoryUse, measure_memory
from .output import counted_output
from .statewatch import watched_state


@dataclass(frozen=True, slots=True)
class Observation:
    """What one call needed and left behind."""

    memory: MemoryUse
    findings: tuple[Finding, ...]


def observe(arm: Arm) -> Observation:
    """Return memory use and findings of one fresh, untimed call; raises `ArmRaised`."""
    with watched_state(arm.name) as findings, counted_output(arm.name) as output:
        memory = measure_memory(arm)
    return Observation(memory, (*findings, *output.findings()))
