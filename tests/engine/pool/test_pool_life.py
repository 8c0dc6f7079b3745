"""How workers begin and end: start methods, initializers, recycling, limits, deaths, the parent's death."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pool_tasks as tasks
import psutil
import pytest

from optengine import BrokenPool, InitializerFailed, PersistentWorkerPool, TaskFailure, shared_pool
from optengine.errors import ConfigurationError, NestedPoolError, StartMethodError
from optengine.pool import kept
from optengine.pool.start import choose
from optengine.testing.bestiary import leaves_a_child, run_beast

METHODS = ["preload", "fork", "forkserver", "spawn"]
each_method = pytest.mark.parametrize("method", METHODS)


def gone(pid):
    """Whether the process is gone, or a zombie nobody has reaped yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


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


def test_the_process_wide_start_method_is_left_alone():
    """Using every start method does not fix or change multiprocessing's own default."""
    code = """
        import multiprocessing
        from optengine import PersistentWorkerPool
        for method in ("preload", "fork", "spawn"):
            with PersistentWorkerPool(1, start_method=method) as pool:
                assert pool.run_batch(abs, [-1]) == [1]
        assert multiprocessing.get_start_method(allow_none=True) is None
    """
    run_script(code)


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


@each_method
def test_an_initializer_that_hangs_is_ended_with_its_stack(method, no_leftovers):
    """A worker not ready in time is killed; every task fails with the limit and where the initializer hung."""
    limit = 6.0  # long enough for a busy machine to import everything anew and get there
    with PersistentWorkerPool(
        2, start_method=method, initializer=tasks.hanging_initializer, start_timeout=limit
    ) as pool:
        results = pool.run_batch(tasks.square, range(5), on_error="return")
    assert [failure.kind for failure in results] == ["initializer"] * 5
    assert f"start_timeout={limit:g} s; its initializer has not ended" in results[0].message
    assert "in hanging_initializer" in results[0].traceback


def test_a_worker_that_starts_in_time_may_run_for_longer(no_leftovers):
    """The time-out of the start says nothing about tasks."""
    with PersistentWorkerPool(1, start_timeout=4.0) as pool:
        assert pool.run_batch(tasks.sleep_then_return, [5.0]) == [5.0]


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


def test_a_killed_fork_server_is_replaced(no_leftovers):
    """When the fork server dies its workers are replaced too, and the batch is still complete."""
    with PersistentWorkerPool(2) as pool:
        pool.run_batch(tasks.increment, [1])
        server = psutil.Process(pool._supervisor.fleet.launcher._fresh.pid)
        threading.Timer(0.2, server.kill).start()
        assert pool.run_batch(tasks.sleep_then_return, [0.1] * 8, chunksize=1) == [0.1] * 8
        assert any("the fork server was replaced" in note for note in pool.notes)


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


def test_workers_that_cannot_start_break_the_pool(tmp_path):
    """An interpreter that fails at start-up is tried a few times, then every task fails with the reason."""
    code = f"""
        import sys
        from optengine import PersistentWorkerPool
        sys.executable = {str(tmp_path / "broken")!r}
        with PersistentWorkerPool(1, start_method=sys.argv[1]) as pool:
            (failure,) = pool.run_batch(abs, [-1], on_error="return")
            print(failure.kind, failure.message)
            try:
                pool.submit(abs, -1)
            except Exception as error:
                print(type(error).__name__)
    """
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 9\n")
    broken.chmod(0o755)
    for method, reason in (("spawn", "workers cannot be started"), ("preload", "the fork server died again")):
        output = run_script(code, method)
        assert f"crash {reason}" in output
        assert BrokenPool.__name__ in output


# ---- scripts


def run_script(code, *arguments, timeout=60):
    """Standard output of a Python script given as text on the command line's ``-c``."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


SCRIPT = """
from optengine import PersistentWorkerPool
import sys

class Point:
    def __init__(self, x):
        self.x = x

offset = 0

def initialize(value):
    global offset
    offset = value

def move(point):
    return Point(point.x + offset)
"""


@each_method
def test_functions_and_classes_of_a_script_travel(method, tmp_path):
    """A guarded script's functions, classes and initializer globals work in the workers."""
    script = tmp_path / "script.py"
    script.write_text(
        SCRIPT
        + textwrap.dedent(
            """
            if __name__ == "__main__":
                with PersistentWorkerPool(2, start_method=sys.argv[1], initializer=initialize, initargs=(5,)) as pool:
                    points = pool.run_batch(move, [Point(1), Point(2)])
                    assert all(isinstance(point, Point) for point in points)
                    print([point.x for point in points], pool.notes)
            """
        )
    )
    result = subprocess.run(
        [sys.executable, script, method], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "[6, 7] ()\n"


@pytest.mark.parametrize("how", ["command line", "unguarded script"])
def test_code_without_an_importable_main_module_travels_by_value(how, tmp_path):
    """Functions and classes typed in, or from a script without a __main__ guard, work all the same."""
    code = SCRIPT + textwrap.dedent(
        """
        with PersistentWorkerPool(2) as pool:
            print([point.x for point in pool.run_batch(move, [Point(1), Point(2)])])
            print(all(isinstance(point, Point) for point in pool.run_batch(move, [Point(1), Point(2)])))
        """
    )
    if how == "command line":
        command = [sys.executable, "-c", code]
    else:
        script = tmp_path / "script.py"
        script.write_text(code)
        command = [sys.executable, script]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "[1, 2]\nTrue\n"


def test_a_program_may_end_without_closing_its_pool(tmp_path):
    """A pool left open ends with the program, after the work given to it."""
    code = """
        from optengine import PersistentWorkerPool
        pool = PersistentWorkerPool(1)
        print(pool.run_batch(abs, [-1]))
        pool.submit(abs, -2).add_done_callback(lambda future: print(future.result()))
    """
    assert run_script(code) == "[1]\n2\n"


@each_method
@pytest.mark.parametrize("busy", [True, False])
def test_kill_of_the_parent_leaves_no_process(method, busy, tmp_path):
    """After kill -9 of the parent its workers, busy or idle, and its servers are gone."""
    note = tmp_path / "busy"
    code = f"""
        import sys, time
        sys.path.insert(0, {str(Path(tasks.__file__).parent)!r})
        import pool_tasks
        from optengine import PersistentWorkerPool
        pool = PersistentWorkerPool(2, start_method={method!r})
        pool.run_batch(abs, range(10))
        if {busy}:
            pool.submit(pool_tasks.run_forever, {str(note)!r})
            while not __import__("pathlib").Path({str(note)!r}).exists():
                time.sleep(0.01)
        print("up", flush=True)
        time.sleep(600)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout.readline() == "up\n"
        family = [child.pid for child in psutil.Process(parent.pid).children(recursive=True)]
        assert len(family) >= 2
        parent.kill()
        parent.wait()
        wait_until(lambda: all(gone(pid) for pid in family))


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_once_drains_and_twice_kills(times, tmp_path):
    """The first interrupt lets running tasks end and starts no more; a second one ends them at once."""
    log = tmp_path / "log"
    code = f"""
        import sys, time
        sys.path.insert(0, {str(Path(tasks.__file__).parent)!r})
        import pool_tasks
        from optengine import PersistentWorkerPool
        pool = PersistentWorkerPool(2, interrupt_grace=60)
        pool.run_batch(abs, range(10))
        began = time.monotonic()
        try:
            items = [({str(log)!r}, number, {2.0 if times == 1 else 50.0}) for number in range(50)]
            pool.run_batch(pool_tasks.mark_sleep_mark, items, chunksize=1)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        assert pool.run_batch(abs, [-1]) == [1]
        pool.shutdown()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    ) as parent:
        wait_until(lambda: log.exists() and log.read_text().count("begin") == 2)
        for _ in range(times):
            parent.send_signal(signal.SIGINT)
            time.sleep(0.3)
        output, _ = parent.communicate(timeout=40)
    assert output == "interrupted\n"
    assert parent.returncode == 0
    assert log.read_text().count("begin") == 2
    assert log.read_text().count("end") == (2 if times == 1 else 0)


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


def test_a_server_that_may_not_fork_breaks_the_pool_with_the_reason():
    """When something preloaded forbids forking, every task fails and shows why, instead of endless restarts."""
    with PersistentWorkerPool(1, shared={"thing": tasks.ForbidsForks(1)}) as pool:
        (failure,) = pool.run_batch(tasks.increment, [1], on_error="return")
    assert (failure.kind, failure.message) == ("crash", "the fork server could not fork a worker")
    assert "forks are forbidden here" in failure.traceback
