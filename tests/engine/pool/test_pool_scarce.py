"""Pools where the system refuses descriptors, processes or room: a clear error, no hang, nothing left behind."""

import json
import os
import pickle
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from optengine.errors import EngineError, ResourceExhausted
from optengine.resources import exhaustion_told, told

PROGRAM = Path(__file__).with_name("scarce.py")
METHODS = ["preload", "fork", "forkserver", "spawn"]
each_method = pytest.mark.parametrize("method", METHODS)


def steps(what, method, numbers=()):
    """What the program printed: (text, descriptors, children, threads left) per number, and its error stream."""
    result = subprocess.run(
        [sys.executable, PROGRAM, what, method, *map(str, numbers)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()], result.stderr


@each_method
def test_a_pool_without_descriptors_names_the_limit_and_the_cure(method):
    """However many descriptors are left, a pool works or says what it needs, and leaves nothing behind."""
    found, errors = steps("descriptors", method, [0, 3, 6, 9, 11, 14, 17, 20, 23, 60])
    for said, *left in found:
        assert left == [0, 0, 0], said
        assert said == "works" or (
            " needs " in said and "RLIMIT_NOFILE is 96" in said and "raise it (ulimit -n 192)" in said
        ), said
    assert "ResourceExhausted: running a pool of 2 workers" in found[0][0]
    assert [said for said, *_ in found[-1:]] == ["works"]
    assert "Traceback" not in errors


@each_method
def test_a_pool_that_may_not_write_names_the_limit_and_the_cure(method):
    """A limit on the size of files holds for shared memory, too: the error names it."""
    ((said, *left),), _ = steps("file size", method, [100])
    assert left == [0, 0, 0]
    assert "needs room that the system refuses (File too large): RLIMIT_FSIZE" in said
    assert "is 100" in said


def test_a_pool_without_processes_names_the_limit_and_the_cure():
    """However many processes are allowed, a pool works or says which limit refused one."""
    numbers = range(1, 11) if os.geteuid() == 0 else [1]
    found, errors = steps("processes", "fork", numbers)
    for said, _, *left in found:  # a refused fork costs some descriptors in multiprocessing itself
        assert left == [0, 0], said
        assert said == "works" or ("which the system refuses" in said and "raise it (ulimit -u" in said), said
        assert said == "works" or "RLIMIT_NPROC" in said
    assert found[0][0] != "works"
    assert "Traceback" not in errors


def test_a_thread_without_room_for_its_stack_names_that_limit():
    """A refused thread may lack memory instead of a process: a limit on the address space is named, too."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    refused = RuntimeError("can't start new thread")
    resource.setrlimit(resource.RLIMIT_AS, (1 << 50, before[1]))
    try:
        limited = str(told(refused, "doing it"))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert f"RLIMIT_AS is {1 << 50}" in limited
    assert "raise it (ulimit -u or -v)" in limited


@pytest.mark.parametrize(
    ("who", "method"), [("replaced", "preload"), ("replaced", "spawn"), ("replaced by server", "preload")]
)
def test_a_worker_that_cannot_be_replaced_yet_is_replaced_later(who, method):
    """While descriptors lack, the other workers go on and the pool says so; then the lost worker is replaced."""
    ((note, *_),), _ = steps(who, method)
    assert f"RLIMIT_NOFILE is {3 if 'server' in who else 6}" in note


def test_what_the_system_refuses_is_told_in_words():
    """Each error that means "no more" names its limit; any other error is left as it is."""
    for error, words in [
        (OSError(24, "Too many open files"), "RLIMIT_NOFILE"),
        (OSError(23, "Too many open files in system"), "fs.file-max"),
        (BlockingIOError(11, "Resource temporarily unavailable"), "RLIMIT_NPROC"),
        (RuntimeError("can't start new thread"), "RLIMIT_NPROC"),
        (OSError(12, "Cannot allocate memory"), "RLIMIT_AS"),
        (MemoryError(), "RLIMIT_AS"),
        (OSError(28, "No space left on device"), "RLIMIT_FSIZE"),
    ]:
        found = told(error, "doing it")
        assert isinstance(found, EngineError)
        assert isinstance(found, OSError)
        assert str(found).startswith("doing it needs ")
        assert words in str(found)
        assert str(pickle.loads(pickle.dumps(found))) == str(found)
        assert told(found, "something else") is found
    assert told(ValueError("no"), "doing it") is None
    with pytest.raises(FileNotFoundError), exhaustion_told("doing it"):
        raise FileNotFoundError(2, "No such file")
    with (
        pytest.raises(ResourceExhausted, match="doing it needs 3 file descriptors"),
        exhaustion_told("doing it", descriptors=3),
    ):
        raise OSError(24, "Too many open files")


def test_a_function_that_needs_an_import_names_the_limit():
    """Without descriptors the package that sends lambdas cannot be imported, and that is said."""
    code = """if True:
        import resource, sys
        from optengine import PersistentWorkerPool, ResourceExhausted
        with PersistentWorkerPool(1) as pool:
            pool.run_batch(abs, [-1])
            assert "cloudpickle" not in sys.modules
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (6, limits[1]))  # the supervisor polls more than 3
            try:
                pool.run_batch(lambda number: number + 1, [1])
            except ResourceExhausted as error:
                print(error)
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            print(pool.run_batch(lambda number: number + 1, [1]))
    """
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False
    )
    said, works = result.stdout.splitlines()
    assert said.startswith("sending a function to the workers needs 1 file descriptor")
    assert works == "[2]"
