"""100 tasks of which one misbehaves: 99 results and one typed failure, each time, under every start method."""

import re
import threading

import pytest

from optengine.testing.bestiary import BEASTS, run_beast, tame

POISONED = 57


@pytest.mark.parametrize("beast", sorted(BEASTS))
def test_one_misbehaving_task_costs_only_itself(pool, beast):
    """Every other task returns its result and the misbehaving one is a failure of the right kind in its place."""
    items = [(beast if number == POISONED else None, number) for number in range(100)]

    kind = BEASTS[beast][1]

    results = pool.run_batch(
        run_beast, items, on_error="return", task_timeout=1.0 if kind == "timeout" else 120.0
    )

    assert [result for number, result in enumerate(results) if number != POISONED] == [
        number for number in range(100) if number != POISONED
    ]
    if kind is None:
        assert results[POISONED] == POISONED
        return
    failure = results[POISONED]
    assert (failure.index, failure.kind) == (POISONED, kind)
    assert failure.attempts == (2 if kind in ("crash", "timeout", "memory") else 1)
    assert failure.worker in (0, 1) or "rebuilt in the parent" in failure.message
    assert failure.message


def test_an_unpicklable_argument_costs_only_its_own_task(pool):
    """An argument that neither pickle nor cloudpickle takes is a failure named after it; the rest is computed."""
    items = [threading.Lock() if number == POISONED else [number] for number in range(100)]

    results = pool.run_batch(tame, items, on_error="return")

    assert [result for number, result in enumerate(results) if number != POISONED] == [
        [number] for number in range(100) if number != POISONED
    ]
    assert results[POISONED].kind == "unpicklable"
    assert "the argument must be picklable; got <unlocked _thread.lock" in results[POISONED].message


def test_exit_codes_and_signals_are_named(pool):
    """A failure tells how its worker ended, in words and as a number."""
    results = pool.run_batch(
        run_beast,
        [("exits_zero", 0), ("exits_three", 1), ("kills_itself", 2), ("segfaults", 3)],
        on_error="return",
        task_timeout=120.0,
    )

    assert [failure.exitcode for failure in results] == [0, 3, -9, -11]
    assert "left with exit code 0" in results[0].message
    assert "left with exit code 3" in results[1].message
    assert "killed by SIGKILL (the out-of-memory killer" in results[2].message
    assert "killed by SIGSEGV (a fault in native code)" in results[3].message
    assert "Fatal Python error: Segmentation fault" in results[3].stack
    assert "segfaults" in results[3].stack


def test_a_time_out_shows_where_the_task_hung(pool):
    """The stack of a task that hangs is attached to its failure, down to the function."""
    failure, stopped = pool.run_batch(
        run_beast, [("hangs", 0), ("stops", 1)], on_error="return", task_timeout=1.0
    )

    assert failure.kind == "timeout"
    assert re.search(r"the task must end within 1 s; it ran for \d+\.\d", failure.message)
    assert 'bestiary.py", line' in failure.stack
    assert "in hangs" in failure.stack
    assert "stopped (SIGSTOP)" in stopped.message


def test_the_pool_works_after_all_of_this(pool):
    """After every fault above the pool computes as if nothing had happened."""
    assert pool.run_batch(tame, range(1000)) == list(range(1000))
    stats = pool.stats()
    assert stats.restarts > 0
    assert stats.failures > 0
    assert any(worker.pid for worker in stats.per_worker)
