"""Claim: two optimizations of one workload, one on top of the other, and what they give together.

The workload of the claims, eight workers and five batches of twenty tasks over a market bundle, in three versions:

* a new pool per batch, every task loads the bundle;
* one pool kept, every task loads the bundle;
* one pool kept, the bundle mapped by the workers.

Each stage's baseline is the version before it, so the ratios of the two stages may be multiplied, and the third
decision measures the first version against the last directly: ``benchmarks/campaign.toml`` puts product and direct
measurement beside each other.

Traps avoided: all versions fork their workers the same way, start and end inside the clock, and run the same work on
the same table. Percentages of stages are never added: the second one saves a part of what the first one left.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import market_tasks
import pytest
from market_batches import COUNTS, WORKERS, batches, in_one_pool

from optengine import PersistentWorkerPool, SharedBundle

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


class Versions:
    """The three versions of the workload over one bundle."""

    def __init__(self, folder: Path) -> None:
        """Prepare the tasks of each batch."""
        self._folder = folder
        self._batches = batches(folder)

    def new_pools_that_load(self) -> list[Any]:
        """Start a new pool for every batch; every task loads the bundle."""
        results = []
        for batch in self._batches:
            with PersistentWorkerPool(WORKERS, start_method="fork") as pool:
                results.append(pool.run_batch(market_tasks.load_and_work, batch))
        return results

    def one_pool_that_loads(self) -> list[Any]:
        """Keep one pool; every task loads the bundle."""
        return in_one_pool(market_tasks.load_and_work, self._batches, start_method="fork")

    def one_pool_that_maps(self) -> list[Any]:
        """Keep one pool whose workers map the bundle."""
        with SharedBundle.create(self._folder, "mmap") as bundle:
            held = {market_tasks.HELD: bundle}
            return in_one_pool(market_tasks.work_on_mapped, self._batches, start_method="fork", shared=held)


@pytest.fixture
def versions(bundle_folder: Path) -> Versions:
    """Give the three versions."""
    return Versions(bundle_folder)


def config(bundle_source: str) -> dict[str, Any]:
    """Return what the report says of the workload."""
    return {**COUNTS, "start": "fork on both sides, inside the clock", "data": bundle_source}


@pytest.mark.optbench(
    title="Chain, stage 1: one pool kept", group="chain", rank=1, expected="74.97%", max_time=300
)
def test_pool_kept(optbench: Any, versions: Versions, bundle_source: str) -> None:
    """A new pool per batch against one pool kept; both load in every task."""
    optbench.compare(
        baseline=versions.new_pools_that_load,
        optimized=versions.one_pool_that_loads,
        config=config(bundle_source),
    )


@pytest.mark.optbench(
    title="Chain, stage 2: the bundle mapped", group="chain", rank=2, expected="98.76%", max_time=300
)
def test_bundle_mapped(optbench: Any, versions: Versions, bundle_source: str) -> None:
    """One pool kept on both sides; a load in every task against the mapped bundle."""
    optbench.compare(
        baseline=versions.one_pool_that_loads,
        optimized=versions.one_pool_that_maps,
        config=config(bundle_source),
    )


@pytest.mark.optbench(
    title="Chain: both stages together", group="chain", rank=3, expected="99.69%", max_time=300
)
def test_together(optbench: Any, versions: Versions, bundle_source: str) -> None:
    """The first version against the last."""
    optbench.compare(
        baseline=versions.new_pools_that_load,
        optimized=versions.one_pool_that_maps,
        config=config(bundle_source),
    )
