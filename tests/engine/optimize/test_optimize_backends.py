"""The serial and the local backend pass the shipped conformance suite; the local one on a given pool too."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optimize_tasks import mean_close

from optengine import PersistentWorkerPool, SharedBundle
from optengine.markets import market_bundle
from optengine.optimize import Backend, JournalError, OptimizeError, ParallelOptimizer
from optengine.optimize.backends.local import LocalBackend
from optengine.optimize.backends.serial import SerialBackend
from optengine.search import GridSearchAlgorithm, RandomSearchAlgorithm
from optengine.testing.backend_cases import SPACE, BackendCases, IsolationCases, delayed, finished


class TestSerial(BackendCases):
    worker_counts = (1,)

    def make(self, n_jobs: int, **options: Any) -> Backend:
        return SerialBackend(**options)


class TestLocalFork(IsolationCases):
    def make(self, n_jobs: int, **options: Any) -> Backend:
        return LocalBackend(n_jobs, start_method="fork", **options)


def test_the_default_start_method_gives_the_serial_history() -> None:
    """Workers started in the way the pool chooses by itself agree with the serial run."""
    run = finished(RandomSearchAlgorithm(SPACE, 30, seed=2), delayed, LocalBackend(2))
    serial = finished(RandomSearchAlgorithm(SPACE, 30, seed=2), delayed, SerialBackend())
    assert run.history_bytes() == serial.history_bytes()


@pytest.fixture
def pool() -> Iterator[PersistentWorkerPool]:
    with PersistentWorkerPool(2, start_method="fork") as pool:
        yield pool


def test_a_given_pool_serves_many_runs_and_stays_open(pool: PersistentWorkerPool) -> None:
    """Runs with different objectives share the workers of one pool, agree with serial runs and leave it usable."""
    before = pool.run_batch(_pid, range(50))
    deadline = time.monotonic() + 60
    while None in (
        pids := {row.pid for row in pool.stats().per_worker}
    ):  # one may do it all while another starts
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert set(before) <= pids
    for factor in (1.0, 2.0):
        grid = GridSearchAlgorithm({"n": [1, 2, 3]})
        run = finished(grid, lambda params, f=factor: params["n"] * f, LocalBackend(pool=pool))
        assert [trial.value for trial in run.trials] == [factor, 2 * factor, 3 * factor]
    run = finished(RandomSearchAlgorithm(SPACE, 30, seed=2), delayed, LocalBackend(pool=pool))
    serial = finished(RandomSearchAlgorithm(SPACE, 30, seed=2), delayed, SerialBackend())
    assert run.history_bytes() == serial.history_bytes()
    assert set(pool.run_batch(_pid, range(50))) <= pids
    assert {row.pid for row in pool.stats().per_worker} == pids


def _pid(_: int) -> int:
    return os.getpid()


def test_a_given_pool_keeps_its_own_settings(pool: PersistentWorkerPool) -> None:
    """Limits cannot be set on a pool that exists already."""
    with pytest.raises(
        OptimizeError, match=r"a pool given from outside keeps its own settings; .*'task_timeout'"
    ):
        LocalBackend(pool=pool, max_eval_time=1.0)


def test_an_objective_that_cannot_load_in_a_worker_stops_the_run() -> None:
    """A closure over something workers cannot rebuild is an error of the run, not of every trial."""
    optimizer = ParallelOptimizer(
        GridSearchAlgorithm({"n": [1, 2]}),
        1,
        progress=False,
        backend_options={"start_method": "fork"},
    )
    objective = _Refuses()
    with pytest.raises(OptimizeError, match="the objective must load in a worker process"):
        optimizer.run(objective)


class _Refuses:
    def __call__(self, params: dict[str, Any]) -> float:
        return 0.0

    def __reduce__(self) -> Any:
        return (_fail, ())


def _fail() -> None:
    raise RuntimeError("not here")


def test_nothing_is_left_behind(no_leftovers: None) -> None:
    """After a run and after a run that raised no process, segment, file or thread remains."""
    finished(RandomSearchAlgorithm(SPACE, 20, seed=1), delayed, LocalBackend(2, start_method="fork"))
    optimizer = ParallelOptimizer(
        RandomSearchAlgorithm(SPACE, 50, seed=1), 2, progress=False, backend_options={"start_method": "fork"}
    )
    stream = optimizer.stream(delayed)
    next(stream)
    with pytest.raises(KeyboardInterrupt):
        stream.throw(KeyboardInterrupt())  # type: ignore[attr-defined]


def test_worker_statistics_name_real_workers() -> None:
    """Each trial carries the number of the worker that evaluated it; trials and busy seconds add up per worker."""
    run = finished(RandomSearchAlgorithm(SPACE, 40, seed=1), delayed, LocalBackend(2, start_method="fork"))
    stats = run.stats()
    assert set(stats["workers"]) == {0, 1}
    assert sum(row["trials"] for row in stats["workers"].values()) == 40
    assert {trial.worker for trial in run.trials} == {0, 1}
    assert sum(row["busy_seconds"] for row in stats["workers"].values()) == pytest.approx(
        sum(trial.seconds for trial in run.trials)
    )
    assert stats["backend"]["restarts"] == 0
    assert 0 < stats["driver_seconds"] < stats["seconds"]


def test_a_sealed_bundle_is_shared_with_every_backend(tmp_path: Path) -> None:
    """The objective reads the bundle by name in this process and in workers; its fingerprint guards the journal."""
    for seed in (1, 2):
        market_bundle(tmp_path / f"bundle{seed}", "generated", seed=seed)

    def run(seed: int, backend: str, **options: Any) -> ParallelOptimizer:
        with SharedBundle.create(tmp_path / f"bundle{seed}") as shared:
            optimizer = ParallelOptimizer(
                GridSearchAlgorithm({"symbol": ["ALFA", "ECHO", "GOLF"]}),
                backend=backend,
                shared={"bundle": shared},
                checkpoint=tmp_path / f"{backend}.jsonl",
                progress=False,
                **options,
            )
            optimizer.run(mean_close)
        return optimizer

    serial = run(1, "serial")
    local = run(1, "local", n_jobs=2)
    assert serial.history_bytes() == local.history_bytes()
    assert len({trial.value for trial in serial.trials}) == 3
    with pytest.raises(JournalError, match="data is"):
        run(2, "serial")
