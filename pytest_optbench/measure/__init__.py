"""Measuring: arms called side by side, timed in balanced random order, with everything odd noted.

One benchmark, from arms to trials::

    with Arms(baseline, {"optimized": call}, setup, max_time_s=60) as arms:
        before = check(arms, equal)
        seen = [observe(arm) for arm in arms]  # memory, output, global state
        with InlineRunner(arms, looks=(10, 15, 20), seed=7) as runner:
            for (trial,) in runner.trials(0, 10):
                ...
        after = check(arms, equal)

Nothing here knows pytest. What is imported from this package loads on first use: `Arms` and `check` need the
standard library only, the rest numpy and psutil. `observe` lives in the module of the same name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .arm import Arm, Arms
    from .environment import read_environment
    from .equivalence import check, compare
    from .errors import ArmRaised, InvalidArm, MeasureError, TimeLimitReached
    from .inline import InlineRunner
    from .lock import measuring_lock
    from .memory import MemoryUse
    from .observe import Observation

_HOMES = {
    "Arm": "arm",
    "Arms": "arm",
    "ArmRaised": "errors",
    "InlineRunner": "inline",
    "InvalidArm": "errors",
    "MeasureError": "errors",
    "MemoryUse": "memory",
    "Observation": "observe",
    "TimeLimitReached": "errors",
    "check": "equivalence",
    "compare": "equivalence",
    "measuring_lock": "lock",
    "read_environment": "environment",
}

__all__ = [
    "Arm",
    "ArmRaised",
    "Arms",
    "InlineRunner",
    "InvalidArm",
    "MeasureError",
    "MemoryUse",
    "Observation",
    "TimeLimitReached",
    "check",
    "compare",
    "measuring_lock",
    "read_environment",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module that holds it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
