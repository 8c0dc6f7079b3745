"""Whole programs that use a pool: scripts, interrupts, the parent's death, the end of the program."""

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pool_tasks as tasks
import psutil
import pytest
from processes_seen import gone, wait_until

from optengine import BrokenPool

METHODS = ["preload", "fork", "forkserver", "spawn"]
each_method = pytest.mark.parametrize("method", METHODS)


def run_script(code, *arguments, timeout=240):
    """Standard output of a Python script given as text on the command line's ``-c``."""
    status, out, err = outcome(code, *arguments, options=("-W", "error"), timeout=timeout)
    assert status == 0, err
    return out


def outcome(code, *arguments, options=(), timeout=240):
    """Exit status, standard output and error stream of such a script."""
    result = subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return result.returncode, result.stdout, result.stderr


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
        [sys.executable, script, method], capture_output=True, text=True, timeout=240, check=False
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
    result = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "[1, 2]\nTrue\n"


@pytest.mark.parametrize("method", ["preload", "forkserver", "spawn"])
@pytest.mark.parametrize("lean", [True, False])
def test_a_lean_pool_imports_neither_the_main_module_nor_what_the_program_uses(method, lean, tmp_path):
    """Workers of a lean pool know nothing of the program, whose functions and classes still work in them."""
    script = tmp_path / "script.py"
    script.write_text(
        SCRIPT
        + textwrap.dedent(
            f"""
            import os
            if __name__ == "__main__":
                import numpy
            else:
                import colorsys

            class Place:
                def __init__(self, x):
                    self.x = x

            def seen(place):
                return "colorsys" in sys.modules, "numpy" in sys.modules, os.getpid(), Place(place.x + 1)

            if __name__ == "__main__":
                with PersistentWorkerPool(1, start_method={method!r}, lean={lean}) as pool:
                    main, big, worker, place = pool.submit(seen, Place(1)).result()
                    assert worker != os.getpid() and type(place) is Place
                    print(main, big, place.x, pool.notes)
            """
        )
    )
    result = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=240, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{not lean} {not lean and method == 'preload'} 2 ()\n"


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
def test_a_forgotten_pool_ends_with_the_program_in_silence(method):
    """A pool dropped just before the end finishes what it was given, and nothing is printed about its end."""
    code = f"""
        import sys
        from optengine import PersistentWorkerPool
        def use():
            pool = PersistentWorkerPool(2, start_method={method!r})
            pool.run_batch(abs, [-1])
            pool.submit(abs, -2).add_done_callback(lambda future: print(future.result()))
        use()
    """
    for _ in range(3):
        assert outcome(code) == (0, "2\n", "")


def test_a_forked_server_is_no_child_for_multiprocessing_to_join():
    """Its process object is closed in the pool's thread, where another thread that joins it would fail."""
    code = """
        import multiprocessing
        from optengine import PersistentWorkerPool
        with PersistentWorkerPool(1, start_method="fork") as pool:
            assert pool.start_method == "fork" and pool.run_batch(abs, [-1]) == [1]
            print(multiprocessing.active_children())
    """
    assert run_script(code) == "[]\n"


@each_method
@pytest.mark.parametrize("reaper", ["signal.SIG_IGN", "reap"])
def test_a_program_that_takes_every_exit_status_loses_nothing(method, reaper):
    """Where the ends of all children are taken by the program or the system, pools work and end in silence."""
    code = f"""
        import os, signal
        from optengine import PersistentWorkerPool
        def reap(*_):
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                pass
        signal.signal(signal.SIGCHLD, {reaper})
        for _ in range(3):
            with PersistentWorkerPool(1, start_method={method!r}) as pool:
                pool.run_batch(abs, [-1])
                (failure,) = pool.run_batch(os._exit, [3], on_error="return")
                print(failure.kind, pool.run_batch(abs, [-2]))
    """
    assert outcome(code) == (0, "crash [2]\n" * 3, "")


def test_an_interrupt_while_a_pool_ends_kills_its_tasks(tmp_path):
    """Ctrl-C during the wait at the end of a with block, and at the end of the program, leaves no task running."""
    for where in ("block", "program"):
        note = tmp_path / where
        code = f"""
            import sys, time
            sys.path.insert(0, {str(Path(tasks.__file__).parent)!r})
            import pool_tasks
            from optengine import PersistentWorkerPool
            pool = PersistentWorkerPool(1)
            pool.submit(pool_tasks.run_forever, {str(note)!r})
            if {where == "block"}:
                with pool:
                    pass
        """
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as parent:
            wait_until(note.exists)
            deadline = time.monotonic() + 240
            while parent.poll() is None and time.monotonic() < deadline:
                parent.send_signal(
                    signal.SIGINT
                )  # one that comes before the wait does not end the program yet
                time.sleep(1)
            if parent.poll() is None:
                parent.kill()
            _, errors = parent.communicate()
        assert parent.returncode != -signal.SIGKILL
        assert "KeyboardInterrupt" in errors


@each_method
def test_a_pool_works_beside_more_than_a_thousand_open_files(method):
    """Descriptors above 1023, which select() cannot wait for, are as good as any, to the pool's end."""
    code = f"""
        import os, resource
        from optengine import PersistentWorkerPool
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < 1400:
            print("too few")
        else:
            resource.setrlimit(resource.RLIMIT_NOFILE, (1400, hard))
            held = [os.dup(0) for _ in range(1100)]
            with PersistentWorkerPool(1, start_method={method!r}) as pool:
                print(pool.run_batch(abs, [-1]))
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    if result.stdout == "too few\n":
        pytest.skip("this process may not open 1400 files")
    assert (result.returncode, result.stdout, result.stderr) == (0, "[1]\n", "")


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
        pool = PersistentWorkerPool(2, interrupt_grace=240)
        pool.run_batch(abs, range(10))
        began = time.monotonic()
        try:
            items = [({str(log)!r}, number, {5.0 if times == 1 else 500.0}) for number in range(50)]
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
            time.sleep(1)
        output, _ = parent.communicate(timeout=240)
    assert output == "interrupted\n"
    assert parent.returncode == 0
    assert log.read_text().count("begin") == 2
    assert log.read_text().count("end") == (2 if times == 1 else 0)


def test_the_process_wide_start_method_is_left_alone():
    """Using every start method does not fix or change multiprocessing's own default."""
    code = """
        import multiprocessing
        from optengine import PersistentWorkerPool
        for method in ("preload", "fork", "spawn"):
            with PersistentWorkerPool(1, start_method=method) as pool:
                assert pool.run_batch(abs, [-1]) == [1]
        print(multiprocessing.get_start_method(allow_none=True))
    """
    assert run_script(code) == "None\n"


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
