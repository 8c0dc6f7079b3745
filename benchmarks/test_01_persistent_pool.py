"""Claim: keeping one pool of workers over five batches saves 74.97 % of the time of a new pool per batch.

Eight workers, five batches of twenty tasks over a market bundle, as in the claim. Two decisions:

* the source's protocol: workers are spawned, every task loads the bundle again. A new pool per batch then pays
  five times eight interpreter starts with their imports, and the gain is mostly that;
* the fair protocol: both sides fork their workers from a server that has imported everything once, and a worker
  loads the bundle once. What is left is the cost of starting processes and of loading.

Trap avoided: both arms start and end inside the clock, so no start-up is billed to one side only.
"""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import market_tasks
import pytest

from optengine import PersistentWorkerPool

WORKERS, BATCHES, TASKS = 8, 5, 20


def batches(folder: Path) -> list[list[market_tasks.Task]]:
    """Return the tasks of each batch."""
    return [[(str(folder), batch * TASKS + i) for i in range(TASKS)] for batch in range(BATCHES)]


@pytest.mark.optbench(
    title="Persistent pool, the source's protocol",
    group="pool",
    rank=1,
    expected="74.97%",
    max_time=600,
    risks=[
        "The gain holds for work split into short batches; one long batch starts its workers once anyway."
    ],
    notes="Interpreter start and imports dominate both arms here: see the fair protocol beside it.",
)
def test_source_protocol(optbench: Any, bundle_folder: Path, bundle_source: str) -> None:
    """Spawned workers, the bundle loaded by every task."""
    work = batches(bundle_folder)

    def new_pool_per_batch() -> list[Any]:
        results = []
        for batch in work:
            with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
                results.append(pool.map(market_tasks.load_and_work, batch))
        return results

    def one_pool_kept() -> list[Any]:
        with PersistentWorkerPool(WORKERS, start_method="spawn") as pool:
            return [pool.run_batch(market_tasks.load_and_work, batch) for batch in work]

    optbench.compare(
        baseline=new_pool_per_batch,
        optimized=one_pool_kept,
        config={
            "workers": WORKERS,
            "batches": BATCHES,
            "tasks": TASKS,
            "start": "spawn",
            "data": bundle_source,
        },
    )


@pytest.mark.optbench(
    title="Persistent pool, the fair protocol",
    group="pool",
    rank=2,
    expected="74.97%",
    max_time=300,
    risks=["The gain shrinks with the length of a batch: starting workers is a fixed cost."],
    notes="Both arms fork from a server that imported the task's modules before; a worker loads the bundle once.",
)
def test_fair_protocol(optbench: Any, bundle_folder: Path, bundle_source: str) -> None:
    """Workers forked from a preloaded server on both sides, the bundle loaded once per worker."""
    work = batches(bundle_folder)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["market_tasks"])

    def new_pool_per_batch() -> list[Any]:
        results = []
        for batch in work:
            with context.Pool(WORKERS) as pool:
                results.append(pool.map(market_tasks.work_on_loaded, batch))
        return results

    def one_pool_kept() -> list[Any]:
        with PersistentWorkerPool(WORKERS, start_method="forkserver", preload=["market_tasks"]) as pool:
            return [pool.run_batch(market_tasks.work_on_loaded, batch) for batch in work]

    optbench.compare(
        baseline=new_pool_per_batch,
        optimized=one_pool_kept,
        config={
            "workers": WORKERS, "batches": BATCHES, "tasks": TASKS, "start": "forkserver, preloaded",
            "data": bundle_source,
        },
    )  # fmt: skip
