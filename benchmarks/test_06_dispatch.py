"""Claim: supervision (crashes, time-outs, limits) costs no dispatch speed against the standard library's pools.

Two workers and trivial tasks, so that what is measured is handing out work and taking results:

* chunk 1 against ``multiprocessing.Pool`` with ``chunksize=1``: not slower (margin 5 %);
* automatic chunks against ``Pool.map`` with its own: at least half as fast. Pool cuts the work into eight pieces
  beforehand; here results stream in as they are made, one by one accounted for, and that costs;
* chunk 1 against ``ProcessPoolExecutor``: faster;
* 1 MB arrays, each different, against ``multiprocessing.Pool``: faster, since they travel through shared memory.

Trap avoided: all pools are open and warm before the clock starts, on both sides. The standard pools fork:
their fastest start, which makes no difference to dispatch. Seven pools side by side:
``python benchmarks/engine/dispatch.py``.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import pool_tasks
import pytest

from optengine import PersistentWorkerPool

WORKERS = 2
NUMBERS = range(4000)
MANY = range(40_000)
FEW = range(1000)
ARRAYS, LENGTH = 24, 131_072

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


@pytest.fixture(scope="module")
def standard_pool() -> Iterator[Any]:
    """Give the standard library's pool, warm."""
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        pool.map(pool_tasks.increment, range(WORKERS * 4))
        yield pool


@pytest.fixture(scope="module")
def executor() -> Iterator[ProcessPoolExecutor]:
    """Give the standard library's executor, warm."""
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
        list(pool.map(pool_tasks.increment, range(WORKERS * 4)))
        yield pool


@pytest.fixture(scope="module")
def our_pool(standard_pool: Any, executor: Any) -> Iterator[PersistentWorkerPool]:
    """Give our pool, warm; after the others have forked, so that none of them inherits its thread."""
    assert standard_pool
    assert executor
    with PersistentWorkerPool(WORKERS) as pool:
        pool.run_batch(pool_tasks.increment, range(WORKERS * 4))
        yield pool


@pytest.mark.optbench(
    title="Dispatch, chunk 1, against multiprocessing.Pool",
    group="dispatch",
    goal="no-regression",
    max_time=40,
)
def test_chunk_1_against_pool(optbench: Any, our_pool: PersistentWorkerPool, standard_pool: Any) -> None:
    """One trivial task at a time."""
    optbench.compare(
        baseline=lambda: standard_pool.map(pool_tasks.increment, NUMBERS, chunksize=1),
        optimized=lambda: our_pool.run_batch(pool_tasks.increment, NUMBERS, chunksize=1),
        config={"workers": WORKERS, "tasks": len(NUMBERS), "chunk": 1},
    )


@pytest.mark.optbench(
    title="Dispatch, automatic chunks, against multiprocessing.Pool",
    group="dispatch",
    goal="no-regression",
    max_slowdown="99%",
    max_time=40,
    notes="The margin is a factor of two: streaming each result has a price, which this bounds.",
)
def test_automatic_chunks_against_pool(
    optbench: Any, our_pool: PersistentWorkerPool, standard_pool: Any
) -> None:
    """Trivial tasks in chunks of each pool's own choice."""
    optbench.compare(
        baseline=lambda: standard_pool.map(pool_tasks.increment, MANY),
        optimized=lambda: our_pool.run_batch(pool_tasks.increment, MANY),
        config={"workers": WORKERS, "tasks": len(MANY), "chunk": "automatic"},
    )


@pytest.mark.optbench(title="Dispatch, chunk 1, against ProcessPoolExecutor", group="dispatch", max_time=40)
def test_chunk_1_against_executor(
    optbench: Any, our_pool: PersistentWorkerPool, executor: ProcessPoolExecutor
) -> None:
    """One trivial task at a time."""
    optbench.compare(
        baseline=lambda: list(executor.map(pool_tasks.increment, FEW)),
        optimized=lambda: our_pool.run_batch(pool_tasks.increment, FEW, chunksize=1),
        config={"workers": WORKERS, "tasks": len(FEW), "chunk": 1},
    )


@pytest.mark.optbench(title="Arguments of 1 MB against multiprocessing.Pool", group="dispatch", max_time=40)
def test_large_arguments_against_pool(
    optbench: Any, our_pool: PersistentWorkerPool, standard_pool: Any
) -> None:
    """Distinct arrays of 1 MB, one per task."""
    arrays = [np.full(LENGTH, float(number)) for number in range(ARRAYS)]
    optbench.compare(
        baseline=lambda: standard_pool.map(pool_tasks.corners, arrays),
        optimized=lambda: our_pool.run_batch(pool_tasks.corners, arrays),
        config={"workers": WORKERS, "tasks": ARRAYS, "argument": "1 MB array, all different"},
    )
