"""Calibration: the shared loop count and the number of micro-pairs, to the nanosecond."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import chain, repeat

import pytest
from fake_clock import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from pytest_optbench.measure.arm import Arm, Reading
from pytest_optbench.measure.calibrate import MAX_RUN_S, calibrate, needed_loops, rounds_per_trial


def arm(name: str, clock: FakeClock, costs_ns: int | Iterator[int], setup_ns: int = 0) -> Arm:
    """An arm that moves the clock by its cost, and its setup by another."""
    each = repeat(costs_ns) if isinstance(costs_ns, int) else costs_ns
    setup: Callable[[], None] | None = (lambda: clock.advance(setup_ns)) if setup_ns else None
    made = Arm(name, lambda *_: clock.advance(next(each)), setup)
    made.once()
    return made


def test_short_calls_share_a_loop_count_set_by_the_slower_arm():
    """2000 ns per call need 500 calls for 1 ms; the 1000 ns arm gets as many."""
    clock = FakeClock()
    result = calibrate([arm("baseline", clock, 2000), arm("optimized", clock, 1000)], clock)
    assert 499 <= result.loops <= 500
    assert result.run_s["baseline"] == pytest.approx(2000e-9 * result.loops, rel=1e-4)
    assert result.run_s["optimized"] == pytest.approx(1000e-9 * result.loops, rel=1e-4)
    assert result.confirmed
    assert result.micro_pairs == 40
    assert result.resolution_s == 1e-9
    assert result.readings == 4
    assert result.findings == ()


def test_a_call_longer_than_a_millisecond_needs_no_loop():
    """Arms of 5 ms and 3 ms run once per run, after a second reading."""
    clock = FakeClock()
    result = calibrate([arm("baseline", clock, 5_000_000), arm("optimized", clock, 3_000_000)], clock)
    assert (result.loops, result.readings, result.confirmed) == (1, 4, True)


def test_arms_that_take_seconds_are_read_once():
    """Nothing depends on a second reading of an arm of three seconds, so it is not made."""
    clock = FakeClock()
    result = calibrate([arm("baseline", clock, 3 * 10**9), arm("optimized", clock, 10**8)], clock)
    assert (result.loops, result.micro_pairs, result.readings, result.confirmed) == (1, 1, 2, True)


def test_the_faster_arm_gets_enough_clock_steps_when_affordable():
    """With a clock of 0.15 us steps, a 10 us arm beside a 1 ms arm needs 1000 steps: 18 calls, 18 ms a run."""
    clock = FakeClock(tick_ns=150)
    result = calibrate([arm("baseline", clock, 1_000_000), arm("optimized", clock, 10_000)], clock)
    assert 15 <= result.loops <= 18
    assert result.run_s["optimized"] >= 1000 * 0.15e-6
    assert result.findings == ()


def test_the_slower_run_is_capped_and_the_clock_reported():
    """If 1000 steps of the faster arm cost over 20 ms of the slower, the run is capped and flagged."""
    clock = FakeClock(tick_ns=1000)
    result = calibrate([arm("baseline", clock, 10_000_000), arm("optimized", clock, 10_000)], clock)
    assert result.loops == 2
    assert result.run_s["baseline"] <= MAX_RUN_S + 1e-3
    assert [finding.code for finding in result.findings] == ["clock-resolution"]
    assert "arm 'optimized': a timed interval of 2.1e-05 s must be at least 1000 clock steps of 1e-06 s" in (
        result.findings[0].message
    )


def test_an_interrupted_reading_is_read_again():
    """One reading a thousand times too long would make runs too short; a second reading corrects it."""
    clock = FakeClock()
    costs = chain([1000, 1_000_000], repeat(1000))
    result = calibrate([arm("baseline", clock, costs), arm("optimized", clock, 1000)], clock)
    assert result.confirmed
    assert 990 <= result.loops <= 1000


def test_an_arm_that_never_settles_is_reported():
    """Work that quadruples from run to run is measured all the same, with a warning."""
    clock = FakeClock()
    growing = (2_000_000 * 4**n for n in range(100))
    result = calibrate([arm("baseline", clock, growing), arm("optimized", clock, 2_000_000)], clock)
    assert not result.confirmed or result.run_s["baseline"] >= 1
    clock = FakeClock()
    swinging = (cost for _ in range(100) for cost in (2_000_000, 20_000_000))
    result = calibrate([arm("baseline", clock, swinging), arm("optimized", clock, 2_000_000)], clock)
    assert not result.confirmed
    assert [finding.code for finding in result.findings] == ["calibration-unstable"]
    assert (
        "10 calibration readings in a row disagreed by more than a factor of 2" in result.findings[0].message
    )


def test_expensive_setup_limits_the_loop_count():
    """A 10 ms setup before each 1 us call allows 2 calls in 20 ms, not the 1200 the clock would like."""
    clock = FakeClock()
    arms = [arm(name, clock, 1000, setup_ns=10_000_000) for name in ("baseline", "optimized")]
    result = calibrate(arms, clock)
    assert result.loops == 2
    assert result.findings == ()


def test_with_setup_the_clock_must_resolve_a_single_call():
    """Calls that are timed one by one need 1000 steps each; the finding says what to do."""
    clock = FakeClock(tick_ns=100)
    arms = [arm(name, clock, 1000, setup_ns=1000) for name in ("baseline", "optimized")]
    findings = calibrate(arms, clock).findings
    assert [finding.code for finding in findings] == ["clock-resolution"] * 2
    assert "make the input inside the arm instead of setup=" in findings[0].message


@pytest.mark.parametrize(
    ("call_ns", "loops"), [(400_000, 2), (700_000, 1), (900_000, 1), (1_150_000, 1), (5_000_000, 1)]
)
def test_a_call_that_lasts_a_millisecond_runs_once(call_ns, loops):
    """Whole calls as near to a millisecond as can be; a second call does not double what one nearly reaches."""
    clock = FakeClock()
    assert calibrate([arm(name, clock, call_ns) for name in ("baseline", "optimized")], clock).loops == loops


def test_a_clock_too_coarse_to_see_a_call_leads_to_longer_runs():
    """Readings of zero are no reason to stop: runs grow until the clock sees them."""
    clock = FakeClock(tick_ns=1)
    first = Reading(loops=1, wall_ns=0, cpu_ns=0, elapsed_ns=0)
    assert needed_loops([first, first], 1e-6) == 100
    assert calibrate([arm("baseline", clock, 1), arm("optimized", clock, 1)], clock).loops > 100_000


@pytest.mark.parametrize(
    ("costs", "budget", "expected"),
    [
        ((0.6, 0.5), math.inf, 1),
        ((0.5, 0.4), math.inf, 4),
        ((0.1, 0.1), math.inf, 10),
        ((0.001, 0.001), math.inf, 40),
        ((0.1, 0.1), 1.3, 6),
        ((0.1, 0.1), 0.1, 4),
        ((0.001, 0.001), 1.2, 40),
        ((0.1, 0.05, 0.1), 1.2, 4),
        ((0.6, 0.5), 0.001, 1),
    ],
)
def test_rounds_per_trial(costs, budget, expected):
    """Two rounds per second of pairs, even, 4 to 40, fewer when time is short, one for long runs."""
    assert rounds_per_trial(costs, budget) == expected


@given(
    baseline=st.integers(100, 10**10),
    optimized=st.integers(100, 10**10),
    loops=st.integers(1, 1000),
    resolution=st.floats(1e-9, 1e-3),
)
def test_needed_loops_never_exceed_what_is_affordable(baseline, optimized, loops, resolution):
    """Whatever is read, the next run of the costliest arm stays within 20 ms or is a single call."""
    readings = [Reading(loops, cost * loops, 0, cost * loops) for cost in (baseline, optimized)]
    wanted = needed_loops(readings, resolution)
    assert wanted >= 1
    assert wanted == 1 or (wanted - 1) * max(baseline, optimized) <= MAX_RUN_S * 1e9
