"""Claim: a bundle loaded once and inherited by forked workers saves 98.76 % (3.14 s down to 0.04 s).

Eight workers, sixteen tasks over a market bundle, as in the claim. Four decisions:

* the source's protocol: the baseline spawns interpreters that load the bundle in every task, all inside the clock;
  the optimized arm forks workers of a bundle that was loaded before the clock started. It is repeated as it was
  claimed, and its figure says little about sharing: it compares spawn with fork;
* fair: the same pool, the same start method (fork) on both sides, every load inside the clock. A load per task against
  memory-mapped, on the bundle of the claim; and on a bundle of a million bars, where there is something to load, a load
  per worker against memory-mapped, and inherited by fork against memory-mapped.

Trap avoided: start method, place of the load and amount of work change together in the source's protocol. Here one
thing changes per decision, and all arms end in the same function on the same table.
"""

from __future__ import annotations

import functools
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import market_tasks
import pytest

from optengine import PersistentWorkerPool, SharedBundle

WORKERS, TASKS = 8, 16
FAIR = {"workers": WORKERS, "tasks": TASKS, "start": "fork on both sides, load inside the clock"}

LARGE = "1,024,675 generated bars, 200 symbols"

Arm = Callable[[], list[Any]]


def tasks(folder: Path) -> list[market_tasks.Task]:
    """Return the sixteen tasks."""
    return [(str(folder), number) for number in range(TASKS)]


def in_forked_pool(
    task: Callable[[Any], Any], work: list[Any], shared: SharedBundle | None = None
) -> list[Any]:
    """Run the tasks in a new pool of forked workers."""
    names = {} if shared is None else {market_tasks.HELD: shared}
    with PersistentWorkerPool(WORKERS, start_method="fork", shared=names) as pool:
        assert pool.start_method == "fork", pool.start_reason
        return pool.run_batch(task, work, chunksize=1)


def mapped(folder: Path) -> Arm:
    """Return the arm whose workers map the bundle's files."""

    def memory_mapped() -> list[Any]:
        with SharedBundle.create(folder, "mmap") as shared:
            return in_forked_pool(market_tasks.work_on_mapped, tasks(folder), shared)

    return memory_mapped


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.optbench(
    title="Shared bundle, the source's protocol",
    group="bundle",
    rank=1,
    expected="98.76%",
    max_time=300,
    notes="Not a fair comparison, shown because it was claimed: one side spawns interpreters and loads inside the "
    "clock, the other forks and has loaded before it. See the three fair decisions beside it.",
)
def test_source_protocol(optbench: Any, bundle_folder: Path, bundle_source: str) -> None:
    """Spawn and load per task, against fork with the load outside the clock."""
    work = tasks(bundle_folder)

    def spawned_load_per_task(_: Any) -> list[Any]:
        with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
            return pool.map(market_tasks.load_and_work, work)

    def forked_loaded_before(_: Any) -> list[Any]:
        with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
            return pool.map(market_tasks.work_on_held, work)

    optbench.compare(
        baseline=spawned_load_per_task,
        optimized=forked_loaded_before,
        setup=lambda: market_tasks.hold(market_tasks.load(str(bundle_folder))),
        config={
            "workers": WORKERS,
            "tasks": TASKS,
            "baseline": "spawn, load in every task",
            "optimized": "fork, loaded before the clock starts",
            "data": bundle_source,
        },
    )


@pytest.mark.optbench(
    title="Shared bundle: memory-mapped against a load per task",
    group="bundle",
    rank=2,
    expected="98.76%",
    max_time=120,
    risks=["The gain is the load itself: it grows with the bundle and shrinks with the work of a task."],
)
def test_mapped_against_load_per_task(optbench: Any, bundle_folder: Path, bundle_source: str) -> None:
    """The same forked pool; every task reads Parquet and opens the database, or uses the mapped bundle."""

    def load_per_task() -> list[Any]:
        return in_forked_pool(market_tasks.load_and_work, tasks(bundle_folder))

    optbench.compare(
        baseline=load_per_task,
        optimized=mapped(bundle_folder),
        config={**FAIR, "data": bundle_source},
    )


@pytest.mark.optbench(
    title="Shared bundle: memory-mapped against a load per worker",
    group="bundle",
    rank=3,
    max_time=120,
    notes="Workers load at the same time, so most of what sharing saves is memory, see the report.",
)
def test_mapped_against_load_per_worker(optbench: Any, large_bundle_folder: Path) -> None:
    """The same forked pool; every worker loads once, or uses the mapped bundle."""

    def load_per_worker() -> list[Any]:
        return in_forked_pool(market_tasks.work_on_loaded, tasks(large_bundle_folder))

    optbench.compare(
        baseline=load_per_worker,
        optimized=mapped(large_bundle_folder),
        config={**FAIR, "data": LARGE},
    )


@pytest.mark.optbench(
    title="Shared bundle: memory-mapped against inherited by fork",
    group="bundle",
    rank=4,
    expected="0%",
    max_time=120,
    goal="no-regression",
    max_slowdown="10%",
    gate="off",  # no claim hangs on it: both share, and what mapping costs against inheriting is published as it is
    notes="Both share; mapping also works with spawn and across programs. The bundle is loaded inside the clock.",
)
def test_mapped_against_inherited(optbench: Any, large_bundle_folder: Path) -> None:
    """The same forked pool; the parent loads before it forks, or workers use the mapped bundle."""
    loader = functools.partial(market_tasks.load, str(large_bundle_folder))

    def inherited() -> list[Any]:
        with SharedBundle.create(loader, "fork") as shared:
            return in_forked_pool(market_tasks.work_on_inherited, tasks(large_bundle_folder), shared)

    optbench.compare(
        baseline=inherited,
        optimized=mapped(large_bundle_folder),
        config={**FAIR, "data": LARGE},
    )
