"""Claim: a frame shared once serves any number of workers; sent along, start-up and memory grow with them.

A frame of four floats, timestamps and strings, small tasks, four per worker. The baseline sends the frame with each
task, pickled; the optimized arm stores it once as a SharedFrame and sends the handle. Four sizes with two workers,
and 100,000 rows with four and eight. Two workers gain from a million rows on: smaller frames reach them faster through
the pool's mapped memory than they are stored, which these benchmarks show with the gate off.

Traps avoided: storing the frame (and freeing it) is inside the clock, so sharing pays its price. The pool is the same
for both arms, warm and kept, so start-up is no part of it. Both arms return values read from the frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pool_tasks
import pytest

from optengine import PersistentWorkerPool, SharedFrame

TASKS_PER_WORKER = 4
WORTH_SHARING = [(1_000_000, 2), (100_000, 4), (100_000, 8)]
NOT_WORTH_SHARING = [(50_000, 2), (100_000, 2)]
_not_worth_it = pytest.mark.optbench(
    gate="off",
    notes="A REJECT is the right answer: so few rows reach two workers as fast as they are stored.",
)
CASES = [
    *(pytest.param(*case, marks=_not_worth_it) for case in NOT_WORTH_SHARING),
    *(pytest.param(*case) for case in WORTH_SHARING),
]
NAMES = [f"{rows // 1000}k-rows-{workers}-workers" for rows, workers in NOT_WORTH_SHARING + WORTH_SHARING]


def make_frame(rows: int) -> pd.DataFrame:
    """Return prices with their times and symbols."""
    generator = np.random.default_rng(7)
    frame = pd.DataFrame(generator.normal(60, 5, (rows, 4)), columns=["open", "high", "low", "close"])
    frame["time"] = pd.date_range("2020", periods=rows, freq="s")
    frame["symbol"] = generator.choice(["WTI", "BRENT", "HENRY_HUB"], rows)
    return frame


@pytest.fixture(scope="module")
def pool_of() -> Iterator[Callable[[int], PersistentWorkerPool]]:
    """Give a pool of so many workers, the same for all tests that ask for it; older ones end."""
    pools: dict[int, PersistentWorkerPool] = {}

    def get(workers: int) -> PersistentWorkerPool:
        for other in [count for count in pools if count != workers]:
            pools.pop(other).shutdown()
        if workers not in pools:
            pools[workers] = PersistentWorkerPool(workers)
        return pools[workers]

    yield get
    for pool in pools.values():
        pool.shutdown()


@pytest.mark.optbench(
    title="Shared frame against pickled frames",
    group="frames",
    max_time=40,
    risks=["Smaller frames, or tasks much longer than these, leave nothing to gain."],
    notes="Storing and freeing the frame is inside the clock; the pool is warm and the same for both arms.",
)
@pytest.mark.parametrize(("rows", "workers"), CASES, ids=NAMES)
def test_shared_frame(
    optbench: Any, pool_of: Callable[[int], PersistentWorkerPool], rows: int, workers: int
) -> None:
    """The frame with every task, against stored once and its handle with every task."""
    compare(optbench, pool_of(workers), rows)


@pytest.mark.optbench(
    title="Shared frame against pickled frames, small",
    group="frames",
    gate="off",
    max_time=40,
    notes="A REJECT is the right answer: a frame this small is sent faster than it is stored and attached.",
)
def test_small_frames_need_no_sharing(optbench: Any, pool_of: Callable[[int], PersistentWorkerPool]) -> None:
    """10,000 rows: published because the claim names them, with the gate off because nothing is gained there."""
    compare(optbench, pool_of(2), 10_000)


def compare(optbench: Any, pool: PersistentWorkerPool, rows: int) -> None:
    """Compare a frame of so many rows sent with each task, and stored once."""
    frame = make_frame(rows)
    numbers = range(TASKS_PER_WORKER * pool.max_workers)

    def pickled() -> list[Any]:
        return pool.run_batch(pool_tasks.on_pickled, [(frame, number) for number in numbers], chunksize=1)

    def shared() -> list[Any]:
        with SharedFrame.create(frame) as stored:
            return pool.run_batch(
                pool_tasks.on_shared, [(stored.handle, number) for number in numbers], chunksize=1
            )

    optbench.compare(
        baseline=pickled,
        optimized=shared,
        config={
            "rows": rows,
            "workers": pool.max_workers,
            "tasks": len(numbers),
            "frame": f"{frame.memory_usage(deep=True).sum() / 1e6:.1f} MB in pandas",
            "start": pool.start_method,
        },
    )
