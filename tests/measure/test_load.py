"""Load: what other processes and the host took while measuring."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pytest_optbench.measure.load import LoadSample, load_between, sample_load


def sample(total: float, idle: float, steal: float, own: float) -> LoadSample:
    return LoadSample(total_s=total, idle_s=idle, steal_s=steal, own_s=own, load_1m=0.5)


def test_other_work_is_what_neither_idled_nor_was_ours():
    """Of 100 CPU seconds 40 idle, 5 stolen and 30 ours leave 25 for others."""
    load = load_between(sample(1000, 10, 1, 7), sample(1100, 50, 6, 37))
    assert load.elsewhere == pytest.approx(0.25)
    assert load.steal == pytest.approx(0.05)
    assert load.record() == {
        "busy_elsewhere": load.elsewhere,
        "steal": load.steal,
        "load_1m_before": 0.5,
        "load_1m_after": 0.5,
    }


def test_rounding_of_the_counters_never_leaves_the_range():
    """Counters in ticks may say that we used more than was busy; fractions stay within 0 and 1."""
    load = load_between(sample(0, 0, 0, 0), sample(100, 90, 0, 30))
    assert (load.elsewhere, load.steal) == (0.0, 0.0)


def test_a_window_too_short_to_tell_is_unknown():
    """Within a few milliseconds the counters do not move, so nothing is claimed."""
    load = load_between(sample(5, 1, 0, 0), sample(5 + 0.04 * (os.cpu_count() or 1), 1, 0, 0))
    assert (load.elsewhere, load.steal) == (None, None)


def test_processes_of_the_benchmark_count_as_its_own():
    """CPU time of a live child is ours, not somebody else's."""
    code = "import time\nwhile time.process_time() < 0.3: pass\nprint('burnt', flush=True)\ninput()"
    before = sample_load()
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline() == "burnt\n"
        after = sample_load()
    finally:
        child.communicate("\n", timeout=30)
    assert after.own_s - before.own_s > 0.25
    load = load_between(before, after)
    assert load.elsewhere is not None
    assert 0 <= load.elsewhere <= 1
