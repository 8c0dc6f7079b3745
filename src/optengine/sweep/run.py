"""Run a strategy over the points of a grid with a pool of workers that share one frame."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from optengine.frames import SharedFrame
from optengine.pool.executor import PersistentWorkerPool
from optengine.pool.failure import TaskFailure
from optengine.progress import ProgressOption
from optengine.sweep.grid import Point
from optengine.sweep.outcome import Outcome
from optengine.sweep.strategy import FRAME, Strategy, evaluate

if TYPE_CHECKING:
    import pandas as pd


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C during a sweep; ``outcomes`` holds every point, those that did not end with kind ``cancelled``."""

    def __init__(self, outcomes: list[Outcome]) -> None:
        super().__init__("the sweep was interrupted")
        self.outcomes = outcomes


def sweep(
    frame: pd.DataFrame,
    strategy: Strategy,
    points: Sequence[Point],
    *,
    workers: int | None = None,
    task_timeout: float | None = None,
    progress: ProgressOption = False,
) -> list[Outcome]:
    """One outcome per point, in their order; a point that fails does not stop the others.

    The frame is stored once and read by all workers without a copy. ``workers``: default one per usable CPU.
    ``task_timeout``: seconds a point may take. Raises SweepInterrupted on Ctrl-C, after the workers are gone, and the
    engine's errors for a frame that has no shared form or a pool that cannot start.
    """
    outcomes: list[Outcome | None] = [None] * len(points)
    limits: dict[str, Any] = {} if task_timeout is None else {"task_timeout": task_timeout}
    try:
        with (
            SharedFrame.create(frame) as stored,
            PersistentWorkerPool(workers, shared={FRAME: stored.handle}, **limits) as pool,
        ):
            # Results as they come, not all at the end: after Ctrl-C what was computed is still there.
            arrivals = pool.as_completed_batch(
                functools.partial(evaluate, strategy), points, progress=progress
            )
            for index, result in arrivals:
                outcomes[index] = _outcome(points[index], result)
    except KeyboardInterrupt:
        raise SweepInterrupted(
            [
                outcome or Outcome(point, error_kind="cancelled", error="interrupted before it ended")
                for point, outcome in zip(points, outcomes, strict=True)
            ]
        ) from None
    return [outcome for outcome in outcomes if outcome is not None]


def _outcome(point: Point, result: Any) -> Outcome:
    if isinstance(result, TaskFailure):
        return Outcome(point, error_kind=result.kind, error=result.message)
    metrics, seconds = result
    return Outcome(point, metrics, seconds)
