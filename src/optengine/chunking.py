"""How many tasks to send at once: guided by the time a task takes and the work that is left.

``chunk = clamp(min(ceil(remaining / (2 * workers)), floor(target / task_time)), 1, cap)``: never more than half of an
even share of what is left, so that the tail stays short (factoring, Hummel et al. 1992), and never more than
``target`` seconds of work, so that results keep flowing. ``task_time`` is measured in the worker, so queueing
in front of it does not count. Worked example: 1,000 tasks of 1 ms left, 2 workers, target 50 ms: min(250, 50) = 50.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

TARGET_S = 0.05
CAP = 1 << 16


def chunk_size(
    remaining: int, workers: int, task_s: float | None, *, target_s: float = TARGET_S, cap: int = CAP
) -> int:
    """Number of tasks for the next chunk, at least 1.

    ``remaining`` tasks are not sent yet; ``task_s`` is the seconds per task, ``None`` while unknown (then 1).
    """
    if task_s is None:
        return 1
    share = math.ceil(remaining / (2 * workers))
    affordable = cap if task_s * cap <= target_s else int(target_s / task_s)
    return max(1, min(share, affordable, cap))


@dataclass
class TaskTime:
    """Running estimate of the seconds per task: an exponentially weighted mean of worker-measured chunks.

    The first observation holds imports and cold caches, so the second replaces it.
    """

    weight: float = 0.3
    seconds: float | None = None
    observations: int = 0

    def observe(self, seconds: float, tasks: int) -> None:
        """Take in that ``tasks`` tasks took ``seconds`` together."""
        if tasks < 1:
            return
        per_task = max(seconds, 0.0) / tasks
        self.observations += 1
        if self.seconds is None or self.observations == 2:
            self.seconds = per_task
        else:
            self.seconds += self.weight * (per_task - self.seconds)
