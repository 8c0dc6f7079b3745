"""The question that is decided: is it faster by a margin, or is it not slower by a margin?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

GoalKind: TypeAlias = Literal["speedup", "no-regression"]
KINDS: tuple[GoalKind, ...] = ("speedup", "no-regression")


def allows(kind: GoalKind, margin: float) -> bool:
    """Return whether a goal can have this margin: not all of the time can be saved, some slowdown is allowed.

    A slowdown of more than 100 % is no margin but another question; NaN is none at all.
    """
    return 0.0 <= margin < 1.0 if kind == "speedup" else 0.0 < margin <= 1.0


@dataclass(frozen=True)
class Goal:
    """What must be shown.

    kind "speedup": at least the fraction `margin` of the time is saved (0.05 = 5 %, 0 <= margin < 1).
    kind "no-regression": the optimized arm takes at most the fraction `margin` longer (0 < margin <= 1).

    Raises:
        ValueError: unknown kind or a margin out of range.
    """

    kind: GoalKind = "speedup"
    margin: float = 0.05

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"goal must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if not allows(self.kind, self.margin):
            span = "at least 0 and below 1" if self.kind == "speedup" else "above 0 and at most 1"
            raise ValueError(
                f"the margin of goal {self.kind!r} must be a fraction {span}, got {self.margin!r}; "
                "write 0.05 for 5 %"
            )

    @property
    def time_ratio(self) -> float:
        """Largest optimized/baseline time ratio that satisfies the goal: 0.95 for 5 % time saved."""
        return 1.0 - self.margin if self.kind == "speedup" else 1.0 + self.margin

    @property
    def log_threshold(self) -> float:
        """Logarithm of `time_ratio`; the estimate must be shown to lie below it."""
        return math.log1p(-self.margin) if self.kind == "speedup" else math.log1p(self.margin)

    @property
    def ratio(self) -> float:
        """Smallest baseline/optimized ratio that satisfies the goal: 1.0526 for 5 % time saved."""
        return 1.0 / self.time_ratio

    def one_sided(self, alpha: float) -> float:
        """Return the one-sided error for a stated `alpha`.

        "speedup" halves it (two-sided 95 % interval at 0.05); "no-regression" is a one-sided question.
        """
        return alpha / 2.0 if self.kind == "speedup" else alpha
