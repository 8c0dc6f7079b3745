"""Claims about the optimizer, decided by the harness: two workers against one, local against Ray, BOHB against random
search.

* Two local workers halve the time of a search with 10 ms evaluations, pool start included in a run of seconds.
* Ray on one machine against local processes: expected REJECT, since every evaluation pays a remote call.
* BOHB against random search: time until a strategy of a given Sharpe ratio is found on the whole history.

Traps avoided: evaluations burn a fixed number of steps, so that waiting cannot pass for working; the cluster of Ray is
started outside the clock, as the local pool of that comparison is; the searches race over a new seed in each call, so
that no lucky seed decides, and both give up at the same total budget.

Run: ``pytest --optbench benchmarks/engine/optimizer_decisions.py --optbench-gate=off``.
"""

from __future__ import annotations

import itertools
from importlib.util import find_spec
from typing import Any

import pytest
from optimizer_quality import best_within, load_market
from optimizer_scaling import burn, calibrated_steps

from optengine import (
    BOHBSearchAlgorithm,
    GridSearchAlgorithm,
    ParallelOptimizer,
    PersistentWorkerPool,
    RandomSearchAlgorithm,
)
from optengine.optimize.backends.local import LocalBackend
from optengine.optimize.backends.serial import SerialBackend
from optengine.search import SearchAlgorithm
from optengine.strategies import SPACE, Market, walk_forward_sharpe

WORKERS, TRIALS = 2, 400
TARGET, LIMIT, RACES = 1.4, 150.0, 10


def search(backend: Any, steps: int) -> bytes:
    """One search; the reproducible part of its history, so that equivalence is checked byte for byte."""
    algorithm = GridSearchAlgorithm({"item": range(TRIALS), "steps": [steps]})
    optimizer = ParallelOptimizer(algorithm, backend=backend, progress=False)
    optimizer.run(burn)
    return optimizer.history_bytes()


@pytest.fixture(scope="module")
def steps() -> int:
    return calibrated_steps(0.01)


@pytest.mark.optbench(title="Two workers", group="optimizer", rank=40, expected="47%", max_time=300)
def test_two_workers(optbench: Any, steps: int) -> None:
    """A search on two local workers, start of the pool included, against the same search in this process."""
    optbench.compare(
        baseline=lambda: search(SerialBackend(), steps),
        optimized=lambda: search(LocalBackend(WORKERS), steps),
        config={"workers": WORKERS, "trials": TRIALS, "milliseconds": 10},
    )


@pytest.mark.skipif(find_spec("ray") is None, reason="the extra 'ray' is not installed")
@pytest.mark.optbench(title="Ray on one machine", group="optimizer", rank=41, max_time=300)
def test_ray_on_one_machine(optbench: Any, steps: int) -> None:
    """The Ray backend against local processes, both warm; a REJECT is the expected and honest result."""
    import ray

    from optengine.optimize.backends.ray import RayBackend

    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False)
    try:
        with PersistentWorkerPool(WORKERS) as pool:
            optbench.compare(
                baseline=lambda: search(LocalBackend(pool=pool), steps),
                optimized=lambda: search(RayBackend(WORKERS), steps),
                config={"workers": WORKERS, "trials": TRIALS, "milliseconds": 10},
            )
    finally:
        ray.shutdown()


@pytest.fixture(scope="module")
def market() -> tuple[Market, str]:
    return load_market()


def until_target(algorithm: SearchAlgorithm, market: Market) -> bool:
    """Search until the target is found on the whole history, or LIMIT whole histories are spent."""
    spent = 0.0
    while spent < LIMIT and (suggestion := algorithm.ask()) is not None:
        share = suggestion.budget or 1.0
        spent += share
        value = walk_forward_sharpe(market, suggestion.params, share)
        if share == 1.0 and value >= TARGET:
            break
        algorithm.tell(suggestion.trial_id, value)
    return True


@pytest.mark.optbench(title="BOHB against random search", group="optimizer", rank=42, max_time=900)
def test_bohb_reaches_the_target_sooner(optbench: Any, market: tuple[Market, str]) -> None:
    """Seconds until a Sharpe ratio of TARGET is found, summed over ten races with ever new seeds."""
    seeds = itertools.count()
    optbench.compare(
        baseline=lambda block: [
            until_target(RandomSearchAlgorithm(SPACE, 10**6, seed), market[0]) for seed in block
        ],
        optimized=lambda block: [
            until_target(BOHBSearchAlgorithm(SPACE, 1 / 3, 1, eta=3, n_iter=10**6, seed=seed), market[0])
            for seed in block
        ],
        setup=lambda: [next(seeds) for _ in range(RACES)],
        config={"market": market[1], "target": TARGET, "limit": LIMIT, "races per call": RACES},
    )


def test_searches_find_what_they_say(market: tuple[Market, str]) -> None:
    """A short race spends its budget and finds a finite best value."""
    best, seconds = best_within(RandomSearchAlgorithm(SPACE, 100, 1), market[0], 3.0)
    assert best > -10
    assert seconds > 0
