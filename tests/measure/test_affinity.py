"""Going on on a named CPU without being bound to it."""

from __future__ import annotations

import os

import pytest

from pytest_optbench.measure.affinity import current_cpu, move_to

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot pin to CPUs")


def test_a_thread_moves_and_stays_free() -> None:
    """After the move it runs on the CPU named, and may use the same ones as before."""
    allowed = os.sched_getaffinity(0)
    for cpu in sorted(allowed):
        for _ in range(100):  # it may be moved on at any time, but not every time
            move_to(cpu)
            if current_cpu() == cpu:
                break
        else:
            pytest.fail(f"never found on CPU {cpu}")
        assert os.sched_getaffinity(0) == allowed


def test_a_cpu_that_may_not_be_used_changes_nothing() -> None:
    """A CPU outside the allowed ones is left alone."""
    allowed = os.sched_getaffinity(0)
    move_to(max(allowed) + 1000)
    assert os.sched_getaffinity(0) == allowed
