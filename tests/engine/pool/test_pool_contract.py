"""What users may rely on, under every start method."""

import multiprocessing
import pickle
import threading
import time
from concurrent.futures import Executor, Future

import numpy as np
import pool_tasks as tasks
import pytest

from optengine import NotPicklable, PersistentWorkerPool, PoolClosed, TaskError, TaskFailure
from optengine.errors import NestedPoolError, SharedNameError
from optengine.pool.failure import RemoteTraceback
from optengine.testing.bestiary import run_beast


def test_results_equal_those_of_multiprocessing(pool):
    """A batch returns what multiprocessing.Pool returns, in input order, for every chunk size."""
    items = list(range(-50, 5000))
    with multiprocessing.get_context("spawn").Pool(1) as reference:
        expected = reference.map(tasks.square, items)

    assert pool.run_batch(tasks.square, items) == expected
    assert pool.run_batch(tasks.square, items, chunksize=1) == expected
    assert pool.run_batch(tasks.square, iter(items), chunksize=700) == expected


def test_batches_reuse_the_same_workers(pool):
    """Two batches are computed by the same processes, none of which is the parent."""
    first = set(pool.run_batch(tasks.process_id, range(50), chunksize=1))
    second = set(pool.run_batch(tasks.process_id, range(50), chunksize=1))

    assert first | second <= {worker.pid for worker in pool.stats().per_worker}
    assert multiprocessing.current_process().pid not in first


def test_it_is_an_executor(pool):
    """submit gives futures and map gives results in order, as concurrent.futures promises."""
    assert isinstance(pool, Executor)
    future = pool.submit(pow, 2, exp=5)
    assert isinstance(future, Future)
    assert future.result(60) == 32
    assert list(pool.map(pow, [2, 3, 4], [3, 2, 1])) == [8, 9, 4]
    with pytest.raises(KeyError, match="three"):
        pool.submit(tasks.raise_at_three, 3).result(60)
    assert list(pool.map(tasks.increment, range(500))) == list(range(1, 501))


def test_an_exception_is_raised_with_its_remote_traceback(pool):
    """on_error="raise" raises the task's own exception, caused by the worker's traceback; the pool goes on."""
    with pytest.raises(KeyError, match="three") as caught:
        pool.run_batch(tasks.raise_at_three, range(100))

    assert isinstance(caught.value.__cause__, RemoteTraceback)
    assert "in raise_at_three" in str(caught.value.__cause__)
    assert pool.run_batch(tasks.increment, range(5)) == [1, 2, 3, 4, 5]


def test_an_exception_that_cannot_be_rebuilt_is_raised_as_a_task_error(pool):
    """An exception whose class refuses to be rebuilt still reaches the caller, with its text."""
    with pytest.raises(TaskError, match=r"task 0 failed \(exception\).*NeedsTwo: 1 and 2"):
        pool.run_batch(tasks.raise_needs_two, [0])


def test_as_completed_yields_every_index_once(pool, tmp_path):
    """The stream holds every item once, failures as TaskFailure, and the quick before the slow."""
    seen = dict(pool.as_completed_batch(tasks.raise_at_three, range(200)))

    assert sorted(seen) == list(range(200))
    assert isinstance(seen[3], TaskFailure)
    assert all(seen[index] == index for index in range(200) if index != 3)
    gate = tmp_path / "gate"
    stream = pool.as_completed_batch(tasks.wait_for_file, [str(gate), None], chunksize=1)
    assert next(stream)[0] == 1
    gate.touch()
    assert [index for index, _ in stream] == [0]


def test_leaving_the_stream_early_takes_the_rest_back(pool, tmp_path):
    """Closing the iterator stops tasks that have not begun."""
    log = tmp_path / "log"
    stream = pool.as_completed_batch(
        tasks.append_mark, [(str(log), mark, 0.4) for mark in range(100)], chunksize=10
    )
    next(stream)
    stream.close()
    assert pool.run_batch(tasks.increment, [1]) == [2]
    time.sleep(0.3)
    assert len(log.read_text().split()) < 30


def test_a_failed_batch_does_not_run_the_rest(pool, tmp_path):
    """After the first failure tasks that have not begun are taken back from the workers."""
    log = tmp_path / "log"
    items = [(str(log), mark, 0.3) for mark in range(200)]
    items[2] = None
    with pytest.raises(TypeError):
        pool.run_batch(tasks.append_mark, items, chunksize=50)
    assert pool.run_batch(tasks.increment, [1]) == [2]
    time.sleep(0.3)
    assert len(log.read_text().split()) < 40


def test_lambdas_and_closures_travel(pool):
    """Functions and arguments plain pickle refuses go by cloudpickle."""
    offset = 7
    assert pool.run_batch(lambda number: number + offset, range(3)) == [7, 8, 9]
    assert pool.run_batch(tasks.shared_call, [lambda: 1, lambda: 2]) == [1, 2]
    assert pool.submit(lambda: offset).result(60) == 7


def test_an_unpicklable_function_is_refused_by_name(pool):
    """A function that cannot travel is an error of the call, before anything runs."""
    lock = threading.Lock()
    with pytest.raises(NotPicklable, match="the function must be picklable"):
        pool.run_batch(lambda number: lock, [1])
    with pytest.raises(NotPicklable, match="the argument must be picklable"):
        pool.submit(tasks.increment, lock).result(60)


def test_tasks_of_a_chunk_share_nothing(pool):
    """A task that changes its argument, or returns what a later task changes, does not disturb others."""
    one = [0]
    assert pool.run_batch(tasks.mutate, [one, one, one], chunksize=3) == [[0, 1]] * 3
    results = pool.run_batch(tasks.accumulate, range(20), chunksize=20)
    assert [len(result) for result in results] == sorted(len(result) for result in results)
    assert len({len(result) for result in results}) == 20


def test_large_arrays_go_both_ways(pool):
    """Arguments and results of many sizes arrive intact and writable."""
    rng = np.random.default_rng(1)
    arrays = [rng.random(size) for size in (10, 5_000, 200_000, 1_000_000, 70_000, 3)] * 3

    results = pool.run_batch(tasks.scaled, arrays)

    for array, result in zip(arrays, results, strict=True):
        np.testing.assert_array_equal(result, array * 2)
        result += 1
    assert pool.run_batch(len, [b"x" * 3_000_000, "y" * 2_000_000]) == [3_000_000, 2_000_000]
    assert [result[0] for result in pool.run_batch(tasks.big_result, range(60))] == list(range(60))


def test_an_argument_may_be_kept(pool):
    """Memory of an argument that a task keeps is not used again for later ones."""
    results = pool.run_batch(
        tasks.keep_and_sum, [np.full(40_000, float(number)) for number in range(12)], chunksize=1
    )
    seen = [value for result in results for value in result[-1:]]
    assert seen == [float(number) for number in range(12)]
    for result in results:
        assert result == sorted(result), "a kept array was overwritten"


def test_a_worker_refuses_pools_and_the_pool_refuses_to_travel(pool):
    """Nested use is an error that says what to do."""
    with pytest.raises(NestedPoolError, match="must happen in the main program"):
        pool.run_batch(tasks.make_pool, [1])
    with pytest.raises(NestedPoolError, match="must stay in the process that made it"):
        pickle.dumps(pool)


def test_shared_is_an_error_outside_a_worker(pool):
    """shared() tells where it may be called and which names there are."""
    import optengine

    with pytest.raises(SharedNameError, match="must be called inside a task"):
        optengine.shared("thing")
    with pytest.raises(SharedNameError, match=r"shared name must be one of \[\]; got 'nothing'"):
        pool.run_batch(tasks.shared_missing, [1])


def test_many_threads_may_submit(pool):
    """Batches and submissions from several threads at once all come back right."""
    results = {}

    def batch(number):
        results[number] = pool.run_batch(tasks.increment, range(number * 100, number * 100 + 100))

    def submissions(number):
        futures = [pool.submit(tasks.square, value) for value in range(50)]
        results[number] = [future.result(60) for future in futures]

    threads = [threading.Thread(target=batch, args=(number,)) for number in range(4)]
    threads += [threading.Thread(target=submissions, args=(number,)) for number in range(10, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    for number in range(4):
        assert results[number] == list(range(number * 100 + 1, number * 100 + 101))
    for number in range(10, 13):
        assert results[number] == [value * value for value in range(50)]


def test_a_system_exit_in_a_task_does_not_end_the_parent(pool):
    """SystemExit of a task is raised as a TaskError."""
    with pytest.raises(TaskError, match="SystemExit: 3"):
        pool.run_batch(run_beast, [("system_exits", 0)])


def test_statistics_add_up(pool):
    """Counters rise by what was done, and per-worker counts sum to the whole."""
    before = pool.stats()
    pool.run_batch(tasks.increment, range(300))
    pool.run_batch(tasks.raise_at_three, range(10), on_error="return")
    after = pool.stats()

    assert after["batches"] - before["batches"] == 2
    assert after.tasks - before.tasks == 310
    assert after.failures - before.failures == 1
    assert (
        sum(worker.tasks for worker in after.per_worker)
        - sum(worker["tasks"] for worker in before.per_worker)
        == 310
    )
    assert after.uptime_s > before.uptime_s
    assert after.dispatch_overhead_s > 0
    assert after.as_dict()["per_worker"][0]["worker"] == 0
    with pytest.raises(KeyError):
        after["nonsense"]


def test_progress_reaches_a_callable(pool):
    """A progress callable sees the total and ends with everything done."""
    states = []
    pool.run_batch(tasks.raise_at_three, range(10), on_error="return", progress=states.append)

    assert (states[-1].total, states[-1].done, states[-1].failed) == (10, 9, 1)


def test_a_closed_pool_refuses_work(no_leftovers):
    """After shutdown both ways of giving work say so; closing twice is fine; nothing is left."""
    pool = PersistentWorkerPool(1)
    future = pool.submit(tasks.increment, 1)
    pool.shutdown()
    assert future.result(0) == 2
    pool.shutdown()
    pool.terminate()
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.submit(tasks.increment, 1)
    with pytest.raises(PoolClosed, match="cannot schedule new futures after shutdown"):
        pool.run_batch(tasks.increment, [1])


def test_shutdown_can_cancel_what_waits(no_leftovers):
    """cancel_futures cancels what has not begun and lets what runs end."""
    pool = PersistentWorkerPool(1)
    running = pool.submit(tasks.sleep_then_return, 0.5)
    waiting = [pool.submit(tasks.sleep_then_return, 30) for _ in range(5)]
    while not running.running():
        time.sleep(0.01)
    pool.shutdown(wait=True, cancel_futures=True)

    assert running.result(0) == 0.5
    assert all(future.cancelled() for future in waiting)


def test_shutdown_without_waiting_finishes_the_work(no_leftovers):
    """shutdown(wait=False) returns at once and everything given is still computed."""
    pool = PersistentWorkerPool(1)
    futures = [pool.submit(tasks.sleep_then_return, 0.05) for _ in range(5)]
    pool.shutdown(wait=False)
    assert [future.result(60) for future in futures] == [0.05] * 5


def test_a_future_can_be_cancelled_before_it_runs(tmp_path, no_leftovers):
    """Cancelling a waiting future works as in the standard library."""
    gate = tmp_path / "gate"
    with PersistentWorkerPool(1) as pool:
        blocker = pool.submit(tasks.wait_for_file, str(gate))
        waiting = pool.submit(tasks.increment, 1)
        assert waiting.cancel()
        gate.touch()
        assert blocker.result(60) > 0
        assert waiting.cancelled()
        assert pool.submit(tasks.increment, 2).result(60) == 3


def test_an_exception_in_the_with_block_ends_running_tasks(no_leftovers):
    """Leaving by an exception does not wait for a hung task."""
    futures = []

    def leave_with_work_running():
        with PersistentWorkerPool(1) as pool:
            futures.append(pool.submit(time.sleep, 3600))
            while not futures[0].running():
                time.sleep(0.01)
            raise RuntimeError("something else went wrong")

    with pytest.raises(RuntimeError, match="something else"):
        leave_with_work_running()
    with pytest.raises(TaskError, match="the pool was terminated before the task ended"):
        futures[0].result(0)


def test_a_forgotten_pool_ends_its_workers(no_leftovers):
    """Dropping the last reference closes the pool."""
    pool = PersistentWorkerPool(1)
    assert pool.run_batch(tasks.increment, [1]) == [2]
    del pool


def test_a_callback_may_submit_but_not_wait(no_leftovers):
    """A future's callback may give more work; waiting there is refused instead of hanging."""
    with PersistentWorkerPool(1) as pool:
        follow_up = []
        refused = []
        done = threading.Event()

        def continue_with(future):
            follow_up.append(pool.submit(tasks.increment, future.result()))
            try:
                pool.run_batch(tasks.increment, [1])
            except NestedPoolError as error:
                refused.append(str(error))
            done.set()

        pool.submit(tasks.increment, 1).add_done_callback(continue_with)
        assert done.wait(60)
        assert follow_up[0].result(60) == 3
        assert "must not be started in a future's callback" in refused[0]


@pytest.mark.asyncio
async def test_asyncio_can_await_tasks(no_leftovers):
    """run_in_executor works and tasks of one loop overlap."""
    import asyncio

    with PersistentWorkerPool(2) as pool:
        loop = asyncio.get_running_loop()
        results = await asyncio.gather(
            *(loop.run_in_executor(pool, tasks.square, number) for number in range(20))
        )
    assert results == [number * number for number in range(20)]
