"""Five batches of twenty tasks over the market bundle, and the ways to give them to pools of eight workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from market_tasks import Task

from optengine import PersistentWorkerPool

WORKERS, BATCHES, TASKS = 8, 5, 20
COUNTS = {"workers": WORKERS, "batches": BATCHES, "tasks": TASKS}


def batches(folder: Path) -> list[list[Task]]:
    """Return the tasks of each batch."""
    return [[(str(folder), batch * TASKS + i) for i in range(TASKS)] for batch in range(BATCHES)]


def in_new_pools(context: Any, task: Callable[[Task], Any], work: Sequence[list[Task]]) -> list[Any]:
    """Start a new pool of the standard library for every batch; ``context`` is of ``multiprocessing``."""
    results = []
    for batch in work:
        with context.Pool(WORKERS) as pool:
            results.append(pool.map(task, batch))
    return results


def in_one_pool(task: Callable[[Task], Any], work: Sequence[list[Task]], **options: Any) -> list[Any]:
    """Keep one pool of the engine, made with ``options``, for all batches."""
    with PersistentWorkerPool(WORKERS, **options) as pool:
        return [pool.run_batch(task, batch) for batch in work]
