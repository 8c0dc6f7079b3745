"""What the inline runner changes around the arms while it measures, and puts back."""

from __future__ import annotations

import cProfile
import gc
import os
import sys
import threading
import time
from types import FrameType

import pytest
from fake_clock import FakeClock
from inline_bench import LOOKS, Bench

from pytest_optbench.measure import Arms, InlineRunner, MeasureError


def test_the_collector_state_is_equal_for_both_arms_and_restored():
    """An arm that disables the collector does not take it from the other arm, nor from the program."""
    clock = FakeClock()
    seen: list[bool] = []

    def baseline() -> None:
        seen.append(gc.isenabled())
        clock.advance(2_000_000)

    def optimized() -> None:
        gc.disable()
        clock.advance(2_000_000)

    gc.enable()
    with (
        Arms(baseline, {"optimized": optimized}) as arms,
        InlineRunner(arms, looks=LOOKS, seed=1, clock=clock, keep_tracers=True) as runner,
    ):
        seen.clear()
        list(runner.trials(0, 2))
        assert gc.get_freeze_count() > 0
    assert seen == [True] * 20
    assert gc.isenabled()


def test_a_disabled_collector_stays_disabled():
    """A program that runs without the collector is measured without it."""
    bench = Bench()
    gc.disable()
    try:
        with bench.arms() as arms, bench.runner(arms) as runner:
            list(runner.trials(0, 1))
            assert not gc.isenabled()
        assert not gc.isenabled()
        assert runner.protocol()["gc"]["enabled"] is False
    finally:
        gc.enable()


def test_tracers_are_suspended_and_put_back():
    """Trace and profile functions, of new threads too, are off while measuring and back afterwards."""
    events: list[str] = []
    traced: list[object] = []

    def trace(frame: FrameType, event: str, arg: object) -> None:
        events.append(event)

    def arm() -> None:
        thread = threading.Thread(target=lambda: traced.append(sys.gettrace()))
        thread.start()
        thread.join()
        traced.append(sys.gettrace())
        traced.append(sys.getprofile())
        time.sleep(0.002)

    saved = sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile()
    with Arms(arm, {"same": arm}) as arms:
        sys.settrace(trace)
        sys.setprofile(trace)
        threading.settrace(trace)
        threading.setprofile(trace)
        try:
            with InlineRunner(arms, looks=(2,), seed=1) as runner:
                del events[:]
                list(runner.trials(0, 1))
                assert events == []
            back = sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile()
        finally:
            sys.settrace(saved[0])
            sys.setprofile(saved[1])
            threading.settrace(saved[2])
            threading.setprofile(saved[3])
    assert back == (trace, trace, trace, trace)
    assert set(traced) == {None}
    messages = [finding.message for finding in runner.findings if finding.code == "tracer-suspended"]
    assert len(messages) == 2
    assert messages[0].startswith("the trace function ")
    assert runner.protocol()["tracers"] == messages


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="cProfile uses sys.monitoring from Python 3.12 on")
def test_a_profiler_written_in_c_is_suspended_and_put_back():
    """cProfile, which cannot be handed to sys.setprofile, sees nothing of the trials and all that follows."""

    def after() -> None:
        pass

    bench = Bench()
    saved = sys.getprofile()
    profiler = cProfile.Profile()
    profiler.enable()
    try:
        with bench.arms() as arms, bench.runner(arms, keep_tracers=False) as runner:
            list(runner.trials(0, 1))
        after()
    finally:
        profiler.disable()
        sys.setprofile(saved)
    seen = {entry.code.co_name for entry in profiler.getstats() if hasattr(entry.code, "co_name")}
    assert "after" in seen
    assert "_run_plain" not in seen
    assert {f.code for f in runner.findings} == {"tracer-suspended"}  # one each, if coverage traces too


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in Python 3.12")
def test_monitoring_tools_are_reported():
    """A sys.monitoring tool cannot be suspended, so a warning names it."""
    monitoring = sys.monitoring
    free = next(number for number in range(6) if monitoring.get_tool(number) is None)
    monitoring.use_tool_id(free, "test-tool")
    bench = Bench()
    try:
        with bench.arms() as arms, bench.runner(arms, keep_tracers=False) as runner:
            pass
    finally:
        monitoring.free_tool_id(free)
    assert any(f.code == "tracer-active" and "'test-tool'" in f.message for f in runner.findings)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot pin processes")
def test_cpus_are_pinned_and_restored():
    """Arms run on the chosen CPU only; afterwards the process may use all it could before."""
    before = os.sched_getaffinity(0)
    cpu = max(before)
    seen: list[set[int]] = []
    bench = Bench()
    bench.calls["c1"] = lambda: (seen.append(os.sched_getaffinity(0)), bench.clock.advance(1_000_000))
    with bench.arms() as arms, bench.runner(arms, cpus=[cpu]) as runner:
        list(runner.trials(0, 1))
    assert {frozenset(cpus) for cpus in seen} == {frozenset({cpu})}
    assert os.sched_getaffinity(0) == before
    assert runner.protocol()["cpus"] == [cpu]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot pin processes")
def test_a_cpu_that_does_not_exist_is_an_error():
    """Pinning fails with the CPUs that could be used, before any arm is called."""
    bench = Bench()
    with (
        bench.arms() as arms,
        pytest.raises(MeasureError, match=r"--optbench-cpus must name CPUs.*\[99999\]"),
    ):
        bench.runner(arms, cpus=[99999]).__enter__()
    assert bench.log == []


def test_output_of_arms_is_thrown_away_while_timing(capsys):
    """Thousands of prints in timed runs do not reach the test's captured output."""
    bench = Bench()
    bench.calls["c1"] = lambda: (print("x" * 1000), bench.clock.advance(1_000_000))
    with bench.arms() as arms, bench.runner(arms) as runner:
        list(runner.trials(0, 2))
        print("between trials")
    assert capsys.readouterr().out == "between trials\n"
