"""How workers end and are replaced: recycling, limits, deaths; and pools kept for a configuration."""

import os
import signal
import time

import pool_tasks as tasks
import psutil
import pytest
from processes_seen import gone, wait_until

from optengine import BrokenPool, PersistentWorkerPool, TaskFailure, shared_pool
from optengine.errors import NestedPoolError
from optengine.pool import kept
from optengine.testing.bestiary import leaves_a_child

METHODS = ["preload", "fork", "forkserver", "spawn"]
each_method = pytest.mark.parametrize("method", METHODS)


# ---- shared_pool


def test_the_shared_pool_is_kept_per_configuration(monkeypatch):
    """Equal configurations get the same pool until it is closed; with persistence off each call gets its own."""
    first = shared_pool(1)
    assert shared_pool(1) is first
    assert shared_pool(1, task_timeout=5) is not first
    shared_pool(1, task_timeout=5).shutdown()
    first.shutdown()
    second = shared_pool(1)
    assert second is not first
    assert second.run_batch(tasks.increment, [1]) == [2]
    monkeypatch.setenv("OPTENGINE_PERSISTENT_POOL", "false")
    fresh = shared_pool(1)
    assert fresh is not second
    fresh.shutdown()
    second.shutdown()
    kept._kept.clear()


def test_unhashable_options_have_their_own_shared_pool():
    """Lists, mappings and handles take part in the configuration a shared pool is kept for."""
    cpu = min(os.sched_getaffinity(0))
    handle = tasks.Handle(1)
    first = shared_pool(1, cpus=[cpu], shared={"thing": handle})
    assert shared_pool(1, cpus=[cpu], shared={"thing": handle}) is first
    assert first.run_batch(tasks.affinity, [0]) == [[cpu]]
    assert shared_pool(1, cpus=[cpu], shared={"thing": tasks.Handle(1)}) is not first
    for pool in list(kept._kept.values()):
        pool.shutdown()
    kept._kept.clear()


# ---- recycling and memory


def test_workers_are_replaced_after_their_quota(no_leftovers):
    """No worker process runs more than max_tasks_per_worker tasks, and every task is run."""
    with PersistentWorkerPool(2, max_tasks_per_worker=7) as pool:
        pids = pool.run_batch(tasks.process_id, range(100))
        assert max(pids.count(pid) for pid in pids) <= 7
        assert pool.stats().restarts == 0
        assert sum(worker.restarts for worker in pool.stats().per_worker) >= 12


def test_a_worker_above_the_soft_limit_is_replaced_after_its_task(no_leftovers):
    """A task that keeps much memory returns its result; its worker makes room for a fresh one."""
    with PersistentWorkerPool(1, memory_limit=("150MB", "2GB")) as pool:
        (fat,) = pool.run_batch(tasks.hold_memory, [200])
        wait_until(lambda: pool.stats().per_worker[0].pid not in (fat, None))
        assert pool.run_batch(tasks.process_id, [0]) != [fat]
        assert pool.stats().failures == 0
        assert pool.stats().per_worker[0].peak_memory > 150 << 20


def test_the_host_guard_kills_only_a_large_worker(monkeypatch, no_leftovers):
    """Near the machine's limit small workers go on one at a time; nothing fails that is not to blame."""
    monkeypatch.setenv("OPTENGINE_HOST_RESERVE", "0.99")
    with PersistentWorkerPool(2) as pool:
        assert pool.run_batch(tasks.sleep_then_return, [0.2] * 6, chunksize=1) == [0.2] * 6
        assert pool.stats().failures == 0


# ---- deaths


@each_method
def test_a_killed_idle_worker_is_replaced(method, no_leftovers):
    """kill -9 of an idle worker costs nothing but a restart."""
    with PersistentWorkerPool(2, start_method=method) as pool:
        first, *_ = pool.run_batch(tasks.process_id, range(4), chunksize=1)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: pool.stats().restarts == 1)
        assert gone(first)
        assert pool.run_batch(tasks.increment, range(100)) == list(range(1, 101))
        assert any("died without a task to blame: it was killed by SIGKILL" in note for note in pool.notes)


def test_a_killed_fork_server_is_replaced(tmp_path, no_leftovers):
    """When the fork server dies its workers are replaced too, and what was given to them is still computed."""
    gate = tmp_path / "gate"
    with PersistentWorkerPool(2) as pool:
        pool.run_batch(tasks.increment, [1])
        server = psutil.Process(pool._supervisor.fleet.launcher._fresh.pid)
        futures = [pool.submit(tasks.wait_for_file, str(gate)) for _ in range(8)]
        wait_until(lambda: any(future.running() for future in futures))
        server.kill()
        wait_until(lambda: any("the fork server was replaced" in note for note in pool.notes))
        gate.touch()
        assert all(future.result(60) > 0 for future in futures)


def test_a_fork_server_killed_again_and_again_breaks_the_pool(no_leftovers):
    """A server that nothing lets live ends the pool with that reason, for what runs and for what comes later."""
    with PersistentWorkerPool(1) as pool:
        killed = set()
        deadline = time.monotonic() + 120
        while pool.usable:
            assert time.monotonic() < deadline
            server = getattr(pool._supervisor.fleet.launcher, "_fresh", None)
            if server is not None and server.pid not in killed:
                killed.add(server.pid)
                server.send_signal(signal.SIGKILL)
            time.sleep(0.01)
        for _ in range(3):
            (failure,) = pool.run_batch(tasks.increment, [1], on_error="return")
            assert (failure.kind, failure.message) == ("crash", "the fork server died again and again")
            time.sleep(0.1)
        with pytest.raises(BrokenPool, match="the fork server died again and again"):
            pool.submit(tasks.increment, 1)


def test_what_a_dead_task_started_is_ended_too(tmp_path, no_leftovers):
    """Processes a task left behind, by fork or exec, end with its worker."""
    with PersistentWorkerPool(1, max_attempts=1) as pool:
        for name, task in (("exec", leaves_a_child), ("fork", tasks.fork_and_leave)):
            note = tmp_path / name
            (failure,) = pool.run_batch(task, [str(note)], on_error="return")
            assert failure.kind == "crash"
            wait_until(lambda note=note: gone(int(note.read_text())))


def test_attempts_are_bounded(tmp_path, no_leftovers):
    """A poisonous task is started exactly max_attempts times, for budgets of one, two and three."""
    for attempts in (1, 2, 3):
        log = tmp_path / f"log{attempts}"
        with PersistentWorkerPool(2, max_attempts=attempts) as pool:
            results = pool.run_batch(
                tasks.mark_and_die, [(str(log), number) for number in range(30)], on_error="return"
            )
        starts = log.read_text().split()
        assert isinstance(results[13], TaskFailure)
        assert results[13].attempts == attempts
        assert starts.count("13") == attempts
        assert [result for number, result in enumerate(results) if number != 13] == [
            number for number in range(30) if number != 13
        ]
        assert max(starts.count(str(number)) for number in range(30)) <= attempts


def test_a_pool_is_refused_in_a_fork_of_its_process(no_leftovers):
    """A forked child is told to make its own pool, and its end does not disturb the parent's."""
    with PersistentWorkerPool(1) as pool:
        assert pool.run_batch(tasks.increment, [1]) == [2]
        child = os.fork()
        if child == 0:
            try:
                pool.run_batch(tasks.increment, [1])
            except NestedPoolError as error:
                pool.shutdown()
                os._exit(0 if "in its fork" in str(error) else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert pool.run_batch(tasks.increment, [1]) == [2]


def test_a_server_that_may_not_fork_breaks_the_pool_with_the_reason():
    """When something preloaded forbids forking, every task fails and shows why, instead of endless restarts."""
    with PersistentWorkerPool(1, shared={"thing": tasks.ForbidsForks(1)}) as pool:
        (failure,) = pool.run_batch(tasks.increment, [1], on_error="return")
    assert (failure.kind, failure.message) == ("crash", "the fork server could not fork a worker")
    assert "forks are forbidden here" in failure.traceback


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("method", ["preload", "spawn"])
def test_a_process_that_comes_back_from_a_fork_runs_no_other_task(method, tmp_path, no_leftovers):
    """Where a task forks and both processes return, the worker alone goes on: no task runs twice, none counts twice."""
    log = tmp_path / "log"
    with PersistentWorkerPool(1, start_method=method) as pool:
        tasks_given = [(str(log), number) for number in range(20)]
        assert pool.run_batch(tasks.fork_at_five, tasks_given, chunksize=20) == list(range(20))
        wait_until(lambda: log.read_text().split().count("5") == 2)
        assert sum(worker.tasks for worker in pool.stats().per_worker) == 20
    written = log.read_text().split()
    assert sorted(map(int, written)) == sorted([*range(20), 5])
