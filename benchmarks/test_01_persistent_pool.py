"""Claim: keeping one pool of workers over five batches saves 74.97 % of the time of a new pool per batch.

Eight workers, five batches of twenty tasks over a market bundle, as in the claim. Two decisions:

* the source's protocol: workers are spawned, every task loads the bundle again. A new pool per batch then pays
  five times eight interpreter starts with their imports, and the gain is mostly that;
* the fair protocol: both sides start one fork server that imports the same modules once, fork their workers from it,
  and a worker loads the bundle once. What is left is the cost of forking 32 workers more and loading 32 times more.

Traps avoided: both arms start and end inside the clock, server included, so no start-up is billed to one side only. And
that the standard library's server really preloads is proved in its workers before anything is measured: it fails in
silence, each worker then imports everything itself, and the baseline looks ten times slower than it is.
"""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import fork_server
import market_tasks
import pytest
from market_batches import COUNTS, batches, in_new_pools, in_one_pool

from optengine import PersistentWorkerPool

# The same on both sides. pytest is there because workers import the main module, which is pytest's own script.
PRELOAD = ("numpy", "pandas", "pyarrow", "pytest", "market_tasks")


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
        return in_new_pools(multiprocessing.get_context("spawn"), market_tasks.load_and_work, work)

    def one_pool_kept() -> list[Any]:
        return in_one_pool(market_tasks.load_and_work, work, start_method="spawn")

    optbench.compare(
        baseline=new_pool_per_batch,
        optimized=one_pool_kept,
        config={**COUNTS, "start": "spawn", "data": bundle_source},
    )


@pytest.mark.optbench(
    title="Persistent pool, the fair protocol",
    group="pool",
    rank=2,
    expected="74.97%",
    max_time=300,
    risks=["The gain shrinks with the length of a batch: starting workers is a fixed cost."],
    notes="Both arms start a fork server that imports the same modules; a worker loads the bundle once.",
)
def test_fair_protocol(optbench: Any, bundle_folder: Path, bundle_source: str) -> None:
    """Workers forked from one preloaded server on both sides, the bundle loaded once per worker."""
    work = batches(bundle_folder)

    with fork_server.preloading(PRELOAD) as context:

        def new_pool_per_batch(_: Any = None) -> list[Any]:
            return in_new_pools(context, market_tasks.work_on_loaded, work)

        def one_pool_kept(_: Any = None) -> list[Any]:
            return in_one_pool(market_tasks.work_on_loaded, work, start_method="preload", preload=PRELOAD)

        with (
            context.Pool(2) as theirs,
            PersistentWorkerPool(2, start_method="preload", preload=PRELOAD) as ours,
        ):
            assert all(theirs.map(market_tasks.imported_before_fork, range(8), chunksize=1))
            assert all(ours.run_batch(market_tasks.imported_before_fork, range(8), chunksize=1))

        optbench.compare(
            baseline=new_pool_per_batch,
            optimized=one_pool_kept,
            setup=fork_server.stop,  # the standard library's server outlives its pools; ours ends with its pool
            config={
                **COUNTS, "data": bundle_source,
                "start": f"fork server started inside the clock, preloads {', '.join(PRELOAD)}",
            },
        )  # fmt: skip
