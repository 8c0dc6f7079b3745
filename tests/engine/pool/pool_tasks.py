"""Module-level tasks the pool's tests send to workers."""

import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

import optengine

STATE = None


def increment(number):
    return number + 1


def square(number):
    return number * number


def raise_at_three(number):
    if number == 3:
        raise KeyError("three")
    return number


def switches_while_computing(seconds):
    """How often this thread gave up the processor of its own accord while it computed."""
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before


def compute_or_wait(what):
    """Compute for so many seconds, or wait until the file of this name is there."""
    if isinstance(what, str):
        return wait_for_file(what)
    return switches_while_computing(what)


def sleep_then_return(seconds):
    time.sleep(seconds)
    return seconds


def process_id(_):
    return os.getpid()


def set_state(value):
    global STATE
    STATE = value


def read_state(_):
    return STATE


def failing_initializer():
    raise RuntimeError("no database")


def hanging_initializer():
    while True:
        time.sleep(0.05)


def dying_initializer():
    os._exit(7)


def counting_failing_initializer(path):
    with Path(path).open("a") as file:
        file.write("x")
    raise RuntimeError("no database")


def affinity(_):
    return sorted(os.sched_getaffinity(0))


def thread_variables(_):
    return {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


def total(array):
    return float(array.sum())


def scaled(array):
    array *= 2
    return array


KEPT = []


def keep_and_sum(array):
    KEPT.append(array)
    return [float(kept[0]) for kept in KEPT]


def keep_and_check(_):
    """The value every kept array holds throughout."""
    assert all((kept == kept[0]).all() for kept in KEPT)
    return [float(kept[0]) for kept in KEPT]


def corner(array):
    return float(array[0] + array[-1])


def big_result(number):
    return np.full(100_000, float(number))


def shared_value(_):
    return optengine.shared("thing"), id(optengine.shared("thing")) == id(optengine.shared("thing"))


def shared_missing(_):
    return optengine.shared("nothing")


def make_pool(_):
    with optengine.PersistentWorkerPool(1) as pool:
        return pool.run_batch(increment, [1])


def append_mark(item):
    path, mark, seconds = item
    with Path(path).open("a") as file:
        file.write(f"{mark}\n")
    time.sleep(seconds)
    return mark


def mutate(items):
    items.append(1)
    return items


ACCUMULATED = []


def accumulate(number):
    ACCUMULATED.append(number)
    return ACCUMULATED


def hold_memory(megabytes):
    global STATE
    STATE = b"x" * (megabytes << 20)
    time.sleep(0.3)
    return os.getpid()


def random_number(_):
    return float(np.random.random())


class Handle:
    """A share handle that counts how often it was opened, and by which process it was preloaded."""

    preloaded_in = None

    def __init__(self, value):
        self.value = value
        self.opened = 0

    def preload(self):
        self.preloaded_in = os.getpid()

    def get(self):
        self.opened += 1
        return (self.value, self.opened, self.preloaded_in)


class Point:
    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return isinstance(other, Point) and self.x == other.x

    __hash__ = None


def move(point):
    return Point(point.x + 1)


class NeedsTwo(Exception):
    """Pickles, but cannot be rebuilt from its arguments."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def raise_needs_two(_):
    raise NeedsTwo(1, 2)


def fork_and_leave(path):
    pid = os.fork()
    if pid == 0:
        time.sleep(300)
        os._exit(0)
    Path(path).write_text(str(pid))
    os._exit(5)


def run_forever(path):
    Path(path).write_text(str(os.getpid()))
    while True:
        time.sleep(0.05)


def shared_call(function):
    return function()


def mark_and_die(item):
    path, number = item
    with Path(path).open("a") as file:
        file.write(f"{number}\n")
    if number == 13:
        os.kill(os.getpid(), 9)
    return number


def mark_sleep_mark(item):
    path, number, seconds = item
    with Path(path).open("a") as file:
        file.write("begin\n")
    time.sleep(seconds)
    with Path(path).open("a") as file:
        file.write("end\n")
    return number


def wait_for_file(item):
    """Wait until the file exists (at most four minutes), then tell which process ran this."""
    path = item
    deadline = time.monotonic() + 240
    while path is not None and not Path(path).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(path)
        time.sleep(0.005)
    return os.getpid()


def spin_until_file(path):
    """As wait_for_file, without ever sleeping."""
    deadline = time.monotonic() + 240
    while path is not None and not Path(path).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(path)
    return os.getpid()


def note_company(item):
    """Append the number; number 5 kills its worker. Returns the process id."""
    path, number = item
    with Path(path).open("a") as file:
        file.write(f"{number} {os.getpid()}\n")
    if number == 5:
        os.kill(os.getpid(), 9)
    time.sleep(0.002)
    return number


def repeat(text):
    return text + text


def slow_total(array):
    time.sleep(0.02)
    return float(array.sum())


class ForbidsForks(Handle):
    """Once preloaded, no process may be forked any more."""

    def preload(self):
        def refuse(event, _):
            if event == "os.fork":
                raise RuntimeError("forks are forbidden here")

        sys.addaudithook(refuse)


class ExitsWhenPickled:
    """Pickling it ends the program."""

    def __reduce__(self):
        sys.exit(3)


class ExitsWhenRebuilt:
    """Unpickling it ends the program."""

    def __reduce__(self):
        return sys.exit, (3,)


class ErrorThatExitsWhenRebuilt(Exception):
    """An exception that ends the program when it is unpickled."""

    def __reduce__(self):
        return sys.exit, (3,)


def one_that_exits_when_rebuilt(number):
    """Its argument, but for 5 an object that cannot be rebuilt."""
    return ExitsWhenRebuilt() if number == 5 else number


def raise_one_that_exits_when_rebuilt(number):
    """Raises for 5, returns its argument otherwise."""
    if number == 5:
        raise ErrorThatExitsWhenRebuilt("five")
    return number


def write_nonsense_at_five(number):
    """Its argument, but for 5 it writes a frame of nonsense to every socket of its process and leaves."""
    if number == 5:
        for entry in Path("/proc/self/fd").iterdir():
            if entry.is_socket():
                os.write(int(entry.name), (7).to_bytes(4, "little") + b"garbage")
        time.sleep(60)
    return number


def close_everything_at_five(number):
    """Close every descriptor this process holds but the standard ones."""
    if number == 5:
        os.closerange(3, 1024)
    return number


def close_everything_and_raise():
    """Close every descriptor and raise."""
    os.closerange(3, 1024)
    raise RuntimeError("nothing is open")


def fork_at_five(task):
    """Note the number; at five the process is doubled, and both come back from here."""
    log, number = task
    if number == 5:
        os.fork()
    with Path(log).open("a") as file:
        file.write(f"{number}\n")
    return number
