"""How workers begin: start methods, preloading, initializers and settings."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pool_tasks as tasks
import pytest

from optengine import InitializerFailed, PersistentWorkerPool
from optengine.errors import ConfigurationError, StartMethodError
from optengine.pool.start import choose
from optengine.testing.bestiary import run_beast

METHODS = ["preload", "fork", "forkserver", "spawn"]
each_method = pytest.mark.parametrize("method", METHODS)


# ---- start


def test_the_default_start_is_safe_and_says_why():
    """Without a wish Linux gets the preloaded fork server, other systems spawn, each with a reason."""
    assert choose(None, platform="linux")[0] == "preload"
    assert choose(None, platform="darwin")[0] == "spawn"
    assert "single-threaded fork server" in choose(None, platform="linux")[1]
    with pytest.raises(
        StartMethodError, match="must be None or one of fork, forkserver, spawn, preload; got 'thread'"
    ):
        choose("thread")


def test_fork_is_not_used_beside_other_threads(no_leftovers):
    """With threads in the parent a raw fork is replaced by the clean server, and the pool says so."""
    release = threading.Event()
    thread = threading.Thread(target=release.wait, name="a-user-thread")
    thread.start()
    try:
        with PersistentWorkerPool(1, start_method="fork") as pool:
            assert pool.start_method == "preload"
            assert "instead of the requested fork, because 1 other threads" in pool.start_reason
            assert "a-user-thread" in pool.start_reason
            assert pool.run_batch(tasks.increment, [1]) == [2]
        with PersistentWorkerPool(1) as pool:
            assert "a raw fork was out of the question" in pool.start_reason
    finally:
        release.set()
        thread.join()


@each_method
def test_nothing_is_left_after_use(method, no_leftovers):
    """No process, thread, descriptor or file remains after a pool that worked, crashed and restarted."""
    with PersistentWorkerPool(2, start_method=method) as pool:
        assert pool.start_method == method
        pool.run_batch(run_beast, [(None, 1), ("kills_itself", 2), (None, 3)], on_error="return")


def test_modules_are_preloaded_once_and_failures_told(no_leftovers):
    """A module that cannot be preloaded is named in the pool's notes; the pool works without it."""
    with PersistentWorkerPool(1, preload=["json", "no_such_module_here"]) as pool:
        pool.run_batch(tasks.increment, [1])
        assert any("module 'no_such_module_here' could not be preloaded" in note for note in pool.notes)


# ---- initializer and settings


@each_method
def test_the_initializer_runs_in_every_worker(method, no_leftovers):
    """What the initializer sets is there for every task, also in a worker that replaces a dead one."""
    with PersistentWorkerPool(
        2, start_method=method, initializer=tasks.set_state, initargs=("ready",)
    ) as pool:
        assert pool.run_batch(tasks.read_state, range(20), chunksize=1) == ["ready"] * 20
        pool.run_batch(run_beast, [("exits_three", 0)], on_error="return")
        assert pool.run_batch(tasks.read_state, range(20), chunksize=1) == ["ready"] * 20


@each_method
def test_a_bad_initializer_stops_at_once(method, no_leftovers, tmp_path):
    """A raising initializer fails every task with its traceback; workers are not started again and again."""
    log = tmp_path / "log"
    with PersistentWorkerPool(
        2, start_method=method, initializer=tasks.counting_failing_initializer, initargs=(str(log),)
    ) as pool:
        results = pool.run_batch(tasks.increment, range(10), on_error="return")
        assert [failure.kind for failure in results] == ["initializer"] * 10
        assert "no database" in results[0].message
        assert "in counting_failing_initializer" in results[0].traceback
        with pytest.raises(InitializerFailed, match="no database"):
            pool.run_batch(tasks.increment, [1])
        with pytest.raises(InitializerFailed, match="no database"):
            pool.submit(tasks.increment, 1)
        time.sleep(0.3)
        assert len(log.read_text()) <= 2


def test_the_time_out_of_the_start(no_leftovers):
    """A worker not ready in time is killed, however it was started; every task fails with the limit and the stack.

    Of a task that takes longer than a start may, it says nothing. All pools run side by side, as each takes the limit.
    """
    limit = 10.0  # long enough for a busy machine to import everything anew and get to the initializer
    with ExitStack() as stack:

        def opened(method, **options):
            return stack.enter_context(
                PersistentWorkerPool(2, start_method=method, start_timeout=limit, **options)
            )

        pools = [opened(method, initializer=tasks.hanging_initializer) for method in METHODS]
        assert [pool.start_method for pool in pools] == METHODS
        long = opened("preload").submit(tasks.sleep_then_return, limit + 1)
        with ThreadPoolExecutor(len(pools)) as threads:
            batches = threads.map(
                lambda pool: pool.run_batch(tasks.square, range(5), on_error="return"), pools
            )
            for results in batches:
                assert [failure.kind for failure in results] == ["initializer"] * 5
                assert f"start_timeout={limit:g} s; its initializer has not ended" in results[0].message
                assert "in hanging_initializer" in results[0].traceback
        assert long.result() == limit + 1


def test_an_initializer_that_dies_stops_at_once(no_leftovers):
    """A worker that dies in the initializer breaks the pool with its exit code."""
    with PersistentWorkerPool(1, initializer=tasks.dying_initializer) as pool:
        (failure,) = pool.run_batch(tasks.increment, [1], on_error="return")
    assert (failure.kind, failure.exitcode) == ("initializer", 7)
    assert "died in the pool's initializer: it left with exit code 7" in failure.message


def test_wrong_settings_are_refused_by_name():
    """Each bad argument is an error that names it, what must hold and what came."""
    for arguments, text in [
        ({"max_workers": 0}, "max_workers must be a whole number of at least 1, or None; got 0"),
        ({"max_workers": 1, "task_timeout": -1}, "task_timeout must be above zero or None; got -1"),
        ({"max_workers": 1, "max_attempts": 0}, "max_attempts must be a whole number of at least 1"),
        ({"max_workers": 1, "memory_limit": "much"}, "memory must be a number of bytes"),
        ({"max_workers": 1, "cpus": [9999]}, "cpus must name CPUs this process may use"),
        ({"max_workers": 1, "initializer": 5}, "initializer must be callable or None; got 5"),
        (
            {"max_workers": 1, "preload": "json"},
            "preload must be a sequence of module names; got the text 'json'",
        ),
        (
            {"max_workers": 1, "shared": {"x": 5}},
            r"shared\['x'\] must be a share handle with a get\(\) method",
        ),
        (
            {"max_workers": 1, "initializer": print, "initargs": (threading.Lock(),)},
            "initializer and initargs must be picklable",
        ),
    ]:
        with pytest.raises(ConfigurationError, match=text):
            PersistentWorkerPool(**arguments)
    with PersistentWorkerPool(1) as pool:
        with pytest.raises(ConfigurationError, match="on_error must be 'raise' or 'return'; got 'ignore'"):
            pool.run_batch(tasks.increment, [1], on_error="ignore")
        with pytest.raises(ConfigurationError, match="chunksize must be a whole number"):
            pool.run_batch(tasks.increment, [1], chunksize=0)
        with pytest.raises(ConfigurationError, match="the function must be callable"):
            pool.run_batch(3, [1])


def test_workers_are_pinned_and_their_threads_capped(no_leftovers):
    """cpus= decides the affinity of each worker, threads_per_worker the BLAS and OpenMP variables."""
    available = sorted(os.sched_getaffinity(0))
    with PersistentWorkerPool(2, cpus=[available[0], available[-1]], threads_per_worker=3) as pool:
        seen = pool.run_batch(tasks.affinity, range(40), chunksize=1)
        assert {cpu for cpus in seen for cpu in cpus} <= {available[0], available[-1]}
        assert all(len(cpus) == 1 for cpus in seen)
        expected = {name: os.environ.get(name, "3") for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        assert pool.run_batch(tasks.thread_variables, [1]) == [expected]


@each_method
def test_shared_handles_reach_every_worker(method, no_leftovers):
    """shared() opens a handle once per worker; fork servers preload it before they fork."""
    with PersistentWorkerPool(2, start_method=method, shared={"thing": tasks.Handle(41)}) as pool:
        for (value, opened, preloaded_in), same in pool.run_batch(tasks.shared_value, range(10), chunksize=1):
            assert (value, opened, same) == (41, 1, True)
            assert (preloaded_in is not None) == (method in ("preload", "fork"))


def test_forked_workers_draw_different_random_numbers(no_leftovers):
    """Workers forked from one server do not repeat each other's numpy random numbers."""
    with PersistentWorkerPool(2, preload=["numpy"], max_tasks_per_worker=1) as pool:
        drawn = pool.run_batch(tasks.random_number, range(6), chunksize=1)
    assert len(set(drawn)) == 6
