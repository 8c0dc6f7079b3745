"""The inline runner: what runs in which order, and what the numbers are."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import sys
import threading
import time

import pytest
from fake_clock import FakeClock
from inline_bench import LOOKS, Bench

from pytest_optbench.measure import ArmRaised, Arms, InlineRunner, TimeLimitReached, check
from pytest_optbench.measure.schedule import draw_plan


def test_the_whole_order_of_execution():
    """Check, calibration, warm-up, the planned rounds, check: nothing else, in this order."""
    bench = Bench(candidates=2)
    with bench.arms(setup=bench.setup) as arms:
        assert all(result.passed for result in check(arms).values())
        with bench.runner(arms) as runner:
            trials = list(runner.trials(0, 6))
        check(arms)
    names = ["baseline", "c1", "c2"]
    pilot, plan = draw_plan(LOOKS, 40, 2, 3), draw_plan(LOOKS, 10, 2, 3)
    checked = ["baseline", "c1", "baseline", "c2"]
    expected = [*checked, *names, *names]  # two calibration readings
    for rounds in (pilot.rounds[0][:12], *plan.rounds):  # the warm-up, then every trial
        expected += [names[position] for order in rounds for position in order]
    expected += checked
    assert bench.log == [entry for name in expected for entry in ("setup", name)]
    assert len(trials) == 6


def test_times_are_exact_nanoseconds_per_call():
    """With a fake clock a 2 ms baseline and a 1 ms candidate give exactly their seconds and their ratio."""
    bench = Bench(costs_ns=(2_000_000, 999_999))
    with bench.arms() as arms, bench.runner(arms) as runner:
        trials = [trial for (trial,) in runner.trials(0, 6)]
    plan = draw_plan(LOOKS, 10, 1, 3)
    assert [trial.order for trial in trials] == list(plan.labels(1))
    for index, trial in enumerate(trials):
        assert trial.index == index
        assert trial.baseline_s == pytest.approx(2_000_001e-9, rel=1e-12)
        assert trial.optimized_s == pytest.approx(1_000_000e-9, rel=1e-12)
        assert trial.baseline_cpu_s == pytest.approx(1_000_000e-9, rel=1e-12)
        assert trial.optimized_cpu_s == pytest.approx(499_999e-9, rel=1e-12)
        assert trial.log_ratio == pytest.approx(-0.693147680, abs=1e-8)
        assert [order for order, _, _ in trial.runs] == [
            1 if order == (0, 1) else -1 for order in plan.rounds[index]
        ]
        assert trial.control == (0.0,)
    started = [trial.started_s for trial in trials]
    assert started[0] == pytest.approx(1e-9)
    assert started[1] - started[0] == pytest.approx(10 * 3e-3, rel=1e-4)


def test_slow_arms_make_one_pair_per_trial():
    """Arms of 0.7 s each are run once per trial, in the order of the trial's label."""
    bench = Bench(costs_ns=(700_000_000, 600_000_000))
    with bench.arms() as arms, bench.runner(arms) as runner:
        bench.log.clear()
        trials = [trial for (trial,) in runner.trials(0, 4)]
        assert runner.protocol()["micro_pairs"] == 1
        assert runner.protocol()["warmup_pairs"] == 1
    assert bench.log == [
        name for trial in trials for name in (("baseline", "c1") if trial.order > 0 else ("c1", "baseline"))
    ]
    assert [len(trial.runs) for trial in trials] == [1] * 4
    assert [trial.control for trial in trials] == [()] * 4


def test_several_candidates_share_the_baseline_runs():
    """Each trial gives one record per candidate, all with the same baseline times."""
    bench = Bench(candidates=3)
    with bench.arms() as arms, bench.runner(arms) as runner:
        trials = next(runner.trials(0, 1))
        labels = [runner.protocol(candidate)["plan"] for candidate in (1, 2, 3)]
    assert len(trials) == 3
    assert len({tuple(a for _, a, _ in trial.runs) for trial in trials}) == 1
    assert [trial.order for trial in trials] == [plan[0] for plan in labels]


def test_the_protocol_records_how_was_measured():
    """Loops, micro-pairs, plan, warm-up, collector, CPUs and kind of arms are in the record."""
    bench = Bench()
    with bench.arms(max_time_s=100) as arms, bench.runner(arms) as runner:
        list(runner.trials(0, 1))
    protocol = runner.protocol()
    assert protocol["isolation"] == "inline"
    assert (protocol["loops"], protocol["micro_pairs"], protocol["warmup_pairs"]) == (1, 10, 12)
    assert protocol["plan"] == list(draw_plan(LOOKS, 10, 1, 3).labels(1))
    assert protocol["gc"]["enabled"] is gc.isenabled()
    assert protocol["gc"]["frozen_objects"] > 0
    assert protocol["cpus"] == []
    assert protocol["async"] is False
    assert runner.overhead["timed_s"] == pytest.approx(10 * 3e-3, rel=1e-3)
    assert runner.overhead["calibration_s"] == pytest.approx(2 * 3e-3, rel=1e-3)
    assert runner.overhead["warmup_s"] == pytest.approx(12 * 3e-3, rel=1e-3)
    assert runner.load.record()["load_1m_before"] >= 0


def test_progress_is_told_after_every_trial():
    """The callback receives the number of trials done."""
    bench, done = Bench(), []
    with bench.arms() as arms, bench.runner(arms, progress=done.append) as runner:
        list(runner.trials(0, 4))
        list(runner.trials(4, 6))
    assert done == [1, 2, 3, 4, 5, 6]


def test_an_exception_in_an_arm_ends_measuring():
    """A candidate that fails in the middle raises ArmRaised, and everything is put back."""
    bench = Bench()
    fail_at = 100

    def failing() -> int:
        result = bench.calls["c1"]()
        if len(bench.log) > fail_at:
            raise ValueError("out of data")
        return result

    enabled, frozen, stdout = gc.isenabled(), gc.get_freeze_count(), sys.stdout
    with (
        Arms(bench.calls["baseline"], {"failing": failing}) as arms,
        pytest.raises(ArmRaised, match="arm 'failing' raised ValueError: out of data"),
        bench.runner(arms) as runner,
    ):
        list(runner.trials(0, 6))
    assert (gc.isenabled(), gc.get_freeze_count(), sys.stdout) == (enabled, frozen, stdout)


def test_a_failure_while_preparing_puts_everything_back():
    """An arm that fails at its first call leaves no trace in the process."""

    def failing() -> None:
        raise ValueError("no")

    trace = sys.gettrace()
    frozen = gc.get_freeze_count()
    with Arms(failing, {"c1": failing}) as arms:
        with pytest.raises(ArmRaised):
            InlineRunner(arms, looks=LOOKS, seed=1).__enter__()
        assert sys.gettrace() is trace
        assert gc.get_freeze_count() == frozen


def test_async_arms_are_measured_in_one_loop():
    """Async arms and sync arms can be compared; all async calls happen in the same loop."""
    clock = FakeClock()
    loops: set[int] = set()

    async def baseline() -> int:
        loops.add(id(asyncio.get_running_loop()))
        clock.advance(2_000_000)
        return 1

    def optimized() -> int:
        clock.advance(1_000_000)
        return 1

    with (
        Arms(baseline, {"optimized": optimized}) as arms,
        InlineRunner(arms, looks=LOOKS, seed=1, clock=clock, keep_tracers=True) as runner,
    ):
        (trial,) = next(runner.trials(0, 1))
    assert len(loops) == 1
    assert trial.baseline_s == pytest.approx(2_000_001e-9, rel=1e-9)
    assert runner.protocol()["async"] is True


def test_the_soft_limit_ends_at_a_run_boundary():
    """When the time is over the trial in progress is dropped and the runner says so."""

    def work() -> None:
        time.sleep(0.02)

    with Arms(work, {"same": work}, max_time_s=400) as arms:
        with InlineRunner(arms, looks=(10,), seed=1, keep_tracers=True) as runner:
            assert not runner.out_of_time
            arms.limit.seconds = arms.limit.elapsed_s + 0.3
            trials = list(runner.trials(0, 10))
        assert runner.out_of_time
        assert len(trials) < 10
        assert list(runner.trials(9, 10)) == []
        assert arms.limit.reached


def test_an_arm_that_never_returns_is_interrupted():
    """An arm that hangs within a trial is stopped by the hard limit, though it catches Exception."""
    measuring = threading.Event()

    def hang() -> None:
        while measuring.is_set():
            try:
                time.sleep(1000)
            except Exception:
                continue
        time.sleep(0.002)

    arms = Arms(hang, {"same": hang}, max_time_s=60)
    arms.limit.hard_seconds = 6
    with arms:
        assert arms.limit.hard_limit == "on: an arm is interrupted after 6 s"
        with InlineRunner(arms, looks=(10,), seed=1, keep_tracers=True) as runner:
            measuring.set()
            with pytest.raises(TimeLimitReached, match=r"still running after 6 s, the hard time limit"):
                list(runner.trials(0, 10))
        assert runner.load.load_1m_after >= 0
        with pytest.raises(TimeLimitReached):
            arms.baseline.once()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_child_that_came_back_is_an_error_finding(tmp_path):
    """A benchmark with an arm whose forked child returned carries an error that bars acceptance."""
    import subprocess
    import textwrap

    source = f"""
        import os, sys, time
        sys.path[:0] = {sys.path!r}
        from pytest_optbench.measure import Arms, InlineRunner

        def forks():
            child = os.fork()
            if child:
                os.waitpid(child, 0)

        with Arms(forks, {{"plain": lambda: time.sleep(0.001)}}) as arms:
            with InlineRunner(arms, looks=(2,), seed=1) as runner:
                print(len(list(runner.trials(0, 1))))
            for finding in runner.findings:
                print(finding.code, finding.level, finding.message)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)], capture_output=True, text=True, timeout=120
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "1"
    assert lines[-1].startswith("arm-forked error a process forked by arm 'baseline' returned from the arm")


def test_real_arms_of_known_ratio_are_told_apart():
    """With the real clock, twice the work takes about twice as long, interruptions by others aside."""

    def work(count: int) -> int:
        return sum(range(count))

    with (
        Arms(lambda: work(4_000), {"half": lambda: work(2_000)}, max_time_s=400) as arms,
        InlineRunner(arms, looks=(4,), seed=9) as runner,
    ):
        trials = [trial for (trial,) in runner.trials(0, 4)]
    assert len(trials) == 4
    assert runner.calibration.loops > 1
    runs = [run for trial in trials for run in trial.runs]
    shortest = [min(run[arm] for run in runs) for arm in (1, 2)]
    assert 0.25 < shortest[1] / shortest[0] < 0.8
    assert all(math.isfinite(trial.log_ratio) for trial in trials)
