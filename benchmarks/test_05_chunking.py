"""Claim: chunk sizes that follow the measured time of a task replace constants (1, 10 or 100 tasks at once).

Tasks of 0.1, 10 and 500 ms, two workers, warm pools. Two kinds of decisions per length of task:

* does a constant beat the adaptive size, in the same pool? The three constants are candidates against it. A REJECT of
  each is the right answer, so the gate is off and the test fails when one is accepted. No more is claimed of this pool:
  workers without work take back what others have not begun, so that a constant too large does little harm in it;
* does the adaptive size beat the constant that suits other tasks, where a constant is final:
  in ``multiprocessing.Pool``?

Trap avoided: one length of task always has a constant that suits it, and picking it afterwards makes any rule look
bad (or, picking the worst, good). All constants are shown at all lengths. Tasks keep a CPU busy for a calibrated
number of rounds: sleeping tasks would leave the CPUs to the dispatcher.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from typing import Any

import pool_tasks
import pytest

from optengine import PersistentWorkerPool

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")

WORKERS = 2
CONSTANTS = (1, 10, 100)
# Seconds of a task, how many of them, and the constant of the three that suits it least.
LENGTHS = {"0.1-ms": (0.0001, 10_000, 1), "10-ms": (0.01, 100, 100), "500-ms": (0.5, 4, 100)}


@pytest.fixture(scope="module")
def standard_pool() -> Iterator[Any]:
    """Give the standard library's pool, warm."""
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        pool.map(pool_tasks.spin, range(WORKERS * 4))
        yield pool


@pytest.fixture(scope="module")
def pool(standard_pool: Any) -> Iterator[PersistentWorkerPool]:
    """Give our pool, warm; after the other has forked, so that it inherits no thread."""
    assert standard_pool
    with PersistentWorkerPool(WORKERS) as pool:
        pool.run_batch(pool_tasks.spin, range(WORKERS * 4))
        yield pool


def rounds(seconds: float, tasks: int) -> list[int]:
    """Return the work of so many tasks of a length."""
    return [max(1, round(seconds * pool_tasks.rounds_per_second()))] * tasks


def config(seconds: float, tasks: int) -> dict[str, Any]:
    """Return what the report says of the work."""
    return {"workers": WORKERS, "tasks": tasks, "task": f"{seconds * 1e3:g} ms of work"}


@pytest.mark.optbench(
    title="Chunks: do constants beat the adaptive size?",
    group="chunking",
    expected="0%",
    gate="off",
    max_time=120,
    notes="A REJECT of every constant is the right answer; the test fails when one is accepted.",
)
@pytest.mark.parametrize("length", LENGTHS)
def test_no_constant_beats_adaptive(optbench: Any, pool: PersistentWorkerPool, length: str) -> None:
    """Constants as candidates against the adaptive size."""
    seconds, tasks, _ = LENGTHS[length]
    work = rounds(seconds, tasks)
    # Of the constants that send all tasks at once, one is enough.
    sizes = [size for i, size in enumerate(CONSTANTS) if i == 0 or CONSTANTS[i - 1] < tasks]

    def chunks_of(size: Any) -> Callable[[], list[int]]:
        return lambda: pool.run_batch(pool_tasks.spin, work, chunksize=size)

    decisions = optbench.compare(
        baseline=chunks_of("auto"),
        optimized={f"chunks of {size}": chunks_of(size) for size in sizes},
        config=config(seconds, tasks),
    )
    assert [name for name, decision in decisions.items() if decision.verdict == "ACCEPT"] == []


@pytest.mark.optbench(
    title="Chunks: adaptive against the constant of other tasks",
    group="chunking",
    max_time=120,
    risks=[
        "Two pools are compared, not chunk sizes alone: see the dispatch benchmarks for the pools' own speed."
    ],
    notes="The constant is the one of 1, 10 and 100 that suits tasks of this length least.",
)
@pytest.mark.parametrize("length", LENGTHS)
def test_adaptive_beats_the_wrong_constant(
    optbench: Any, pool: PersistentWorkerPool, standard_pool: Any, length: str
) -> None:
    """One constant for all lengths in the standard pool, against the adaptive size."""
    seconds, tasks, wrong = LENGTHS[length]
    work = rounds(seconds, tasks)
    optbench.compare(
        baseline=lambda: standard_pool.map(pool_tasks.spin, work, chunksize=wrong),
        optimized=lambda: pool.run_batch(pool_tasks.spin, work),
        config={**config(seconds, tasks), "constant": wrong, "baseline": "multiprocessing.Pool"},
    )
