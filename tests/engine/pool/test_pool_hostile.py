"""Objects and workers that misbehave on the way: they cost their own task, never another one's result."""

import concurrent.futures
import sys

import pool_tasks as tasks
import pytest
from processes_seen import wait_until

from optengine import InitializerFailed, PersistentWorkerPool, TaskError
from optengine.pool.handle import WorkerHandle
from optengine.pool.intake import accept_all
from optengine.pool.protocol import Revoked, encode

OTHERS = [number for number in range(20) if number != 5]


def test_an_argument_that_exits_when_pickled_fails_alone(no_leftovers):
    """A reducer that calls sys.exit in the parent is that task's failure; the pool goes on."""
    items = [tasks.ExitsWhenPickled() if number == 5 else number for number in range(20)]
    with PersistentWorkerPool(2) as pool:
        results = pool.run_batch(tasks.increment, items, on_error="return")
        assert results[5].kind == "unpicklable"
        assert "the argument must be picklable" in results[5].message
        assert "SystemExit: 3" in results[5].message
        assert [results[number] for number in OTHERS] == [number + 1 for number in OTHERS]
        assert pool.run_batch(tasks.increment, [1]) == [2]


def test_a_result_that_exits_when_rebuilt_fails_alone(no_leftovers):
    """A result whose class calls sys.exit while the parent rebuilds it is that task's failure; the pool goes on."""
    with PersistentWorkerPool(2) as pool:
        results = pool.run_batch(tasks.one_that_exits_when_rebuilt, range(20), on_error="return")
        assert results[5].kind == "unpicklable"
        assert results[5].message == "the result could not be rebuilt in the parent (SystemExit: 3)"
        assert [results[number] for number in OTHERS] == OTHERS
        assert pool.run_batch(tasks.increment, [1]) == [2]


def test_an_exception_that_exits_when_rebuilt_is_told_in_words(no_leftovers):
    """An exception that cannot be rebuilt without ending the program is raised as TaskError with its text."""
    with PersistentWorkerPool(2) as pool:
        results = pool.run_batch(tasks.raise_one_that_exits_when_rebuilt, range(20), on_error="return")
        with pytest.raises(TaskError, match="ErrorThatExitsWhenRebuilt: five"):
            results[5].throw()
        assert [results[number] for number in OTHERS] == OTHERS


def test_a_callback_that_exits_takes_no_other_result_along(caplog, no_leftovers):
    """A future's callback that calls sys.exit is logged; all futures get their results and the pool goes on."""
    with PersistentWorkerPool(2) as pool:
        futures = [pool.submit(tasks.increment, number) for number in range(50)]
        for future in futures:
            future.add_done_callback(lambda _: sys.exit(3))
        late = [pool.submit(tasks.increment, number) for number in range(50)]
        concurrent.futures.wait(futures + late, timeout=240)
        assert [future.result() for future in futures + late] == [*range(1, 51)] * 2
        assert pool.notes == ()
    assert "exception while settling a future" in caplog.text


def test_messages_before_an_unreadable_one_count(no_leftovers):
    """What arrived together with nonsense is acted on up to it; the nonsense is told."""
    with PersistentWorkerPool(1) as pool:
        worker = WorkerHandle(0, 0)
        worker.revoking = True
        worker._theirs.sendall(encode(Revoked([])) + (7).to_bytes(4, "little") + b"garbage")
        bodies, gone = worker.read()
        problem = accept_all(pool._supervisor, worker, bodies)
        worker.close()
    assert (worker.revoking, gone) == (False, False)
    assert problem.startswith("UnpicklingError: ")


@pytest.mark.parametrize("method", ["preload", "fork", "forkserver", "spawn"])
def test_a_worker_whose_pipe_is_closed_leaves_silently(method, no_leftovers, capfd):
    """A task that closes every descriptor of its worker costs itself only, and nothing is printed about it."""
    with PersistentWorkerPool(2, start_method=method, max_attempts=1) as pool:
        results = pool.run_batch(tasks.close_everything_at_five, range(20), on_error="return")
        assert results[5].kind == "crash"
        assert [results[number] for number in OTHERS] == OTHERS
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("method", ["preload", "spawn"])
def test_an_initializer_that_closes_the_pipe_breaks_the_pool_silently(method, no_leftovers, capfd):
    """An initializer that closes every descriptor and raises ends its worker without a word on the error stream."""
    with (
        pytest.raises(InitializerFailed, match="it left with exit code 0"),
        PersistentWorkerPool(1, start_method=method, initializer=tasks.close_everything_and_raise) as pool,
    ):
        pool.run_batch(tasks.increment, [1])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("method", ["preload", "spawn"])
def test_a_worker_that_sends_nonsense_costs_one_task(method, no_leftovers):
    """The worker is replaced, its task is a crash that says why, and every other result is there."""
    with PersistentWorkerPool(2, start_method=method, max_attempts=1) as pool:
        results = pool.run_batch(tasks.write_nonsense_at_five, range(20), on_error="return")
        assert results[5].kind == "crash"
        assert "it sent unreadable data (UnpicklingError: " in results[5].message
        assert [results[number] for number in OTHERS] == OTHERS
        wait_until(lambda: pool.stats().restarts == 1)  # the results are there before the new worker is
