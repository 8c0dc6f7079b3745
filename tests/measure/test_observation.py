"""One untimed call observed: output, global state, leftovers."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from pytest_optbench.measure import ArmRaised
from pytest_optbench.measure.arm import Arm, Arms
from pytest_optbench.measure.garbage import heap_set_aside
from pytest_optbench.measure.memory import MemoryWatch
from pytest_optbench.measure.observe import Observation, record_pairs
from pytest_optbench.measure.observe import observe as observe_with
from pytest_optbench.measure.statewatch import watched_state

MIB = 2**20


def observe(arm: Arm) -> Observation:
    """Observe one arm with a watching process of its own."""
    with MemoryWatch() as watch:
        return observe_with(arm, watch)


def test_the_heap_is_set_aside_and_put_back():
    """Collections in the body look at new objects only; afterwards they see everything again."""
    before = gc.get_freeze_count()
    with heap_set_aside():
        assert gc.get_freeze_count() > before + 1000
    assert gc.get_freeze_count() == 0


def test_rounds_of_recording_calls_are_balanced():
    """Over an even number of rounds every arm is called as often first as last, in an order drawn from the seed."""

    def orders(seed: int) -> list[str]:
        order: list[str] = []
        with Arms(lambda: order.append("a"), {"b": lambda: order.append("b")}) as arms:
            record_pairs(arms, 10, seed)
            assert len(arms.recordings.pairs) == 10
        return ["".join(order[i : i + 2]) for i in range(0, 20, 2)]

    assert orders(3) == orders(3)
    assert orders(3).count("ab") == orders(3).count("ba") == 5
    assert len({tuple(orders(seed)) for seed in range(6)}) > 1


def test_rounds_end_when_the_time_is_over():
    """No further round begins past the soft limit."""
    with Arms(lambda: time.sleep(0.02), {"b": lambda: None}, max_time_s=1) as arms:
        record_pairs(arms, 1000, 1)
    assert 1 <= len(arms.recordings.pairs) <= 50


def test_a_quiet_arm_has_no_findings():
    """An arm that only computes leaves nothing to report."""
    observation = observe(Arm("a", lambda: sum(range(1000))))
    assert observation.findings == ()
    assert observation.memory.peak_bytes > 0


def test_an_async_arm_is_observed_like_any_other():
    """Observing goes through the event loop, too."""

    async def work() -> int:
        await asyncio.sleep(0.001)
        return 1

    arm = Arm("a", work)
    assert observe(arm).findings == ()
    arm._loop.close()


def test_bytes_written_are_counted(capsys):
    """What one call prints is counted in bytes and does not appear."""

    def prints() -> None:
        print("hallö")
        print("x" * 10, file=sys.stderr)
        assert sys.stdout.writable()

    (finding,) = observe(Arm("loud", prints)).findings
    assert (finding.code, finding.level) == ("arm-prints", "warn")
    assert finding.message.startswith("arm 'loud' writes 18 bytes to stdout or stderr per call")
    assert capsys.readouterr() == ("", "")


def changed_names(work) -> list[str]:
    return [finding.message for finding in observe(Arm("a", work)).findings if finding.code == "global-state"]


def test_changes_of_global_state_are_named_and_undone(tmp_path):
    """Every change is reported by name, never by value, and the process is as before."""

    def careless() -> None:
        os.chdir(tmp_path)
        os.environ["OPTBENCH_TEST_SECRET"] = "hunter2"
        gc.disable()
        gc.set_threshold(123, 4, 5)
        sys.setrecursionlimit(5000)
        sys.setswitchinterval(0.01)
        sys.path.append("/nowhere")
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        os.umask(0o077)
        warnings.simplefilter("ignore")

    def state() -> tuple[object, ...]:
        mask = os.umask(0o022)
        os.umask(mask)
        return (
            Path.cwd(),
            dict(os.environ),
            gc.isenabled(),
            gc.get_threshold(),
            sys.getrecursionlimit(),
            sys.getswitchinterval(),
            list(sys.path),
            signal.getsignal(signal.SIGUSR1),
            mask,
        )

    before = state()
    with warnings.catch_warnings():
        (message,) = changed_names(careless)
    assert state() == before
    assert message == (
        "one call of arm 'a' changes the working directory, the environment variables OPTBENCH_TEST_SECRET, "
        "the handlers of SIGUSR1, whether the garbage collector is enabled, "
        "the thresholds of the garbage collector, the recursion limit, the thread switch interval, sys.path, "
        "the warning filters, the umask of the process"
    )
    assert "hunter2" not in message


def test_removed_environment_variables_come_back():
    """A variable that an arm deletes is named and restored."""
    os.environ["OPTBENCH_TEST_GONE"] = "1"
    try:
        (message,) = changed_names(lambda: os.environ.pop("OPTBENCH_TEST_GONE"))
        assert "the environment variables OPTBENCH_TEST_GONE" in message
        assert os.environ["OPTBENCH_TEST_GONE"] == "1"
    finally:
        del os.environ["OPTBENCH_TEST_GONE"]


def test_a_deleted_working_directory_is_a_change(tmp_path):
    """An arm that leaves the process in a folder it deleted is reported."""

    def lost() -> None:
        gone = tmp_path / "gone"
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()

    before = Path.cwd()
    (message,) = changed_names(lost)
    assert message == "one call of arm 'a' changes the working directory of the process"
    assert Path.cwd() == before


def test_use_of_global_random_generators_is_information():
    """Drawing from the global generators is worth knowing, no more."""
    found = observe(Arm("a", lambda: (random.random(), np.random.rand()))).findings
    assert [(finding.code, finding.level) for finding in found] == [("global-state", "info")]
    assert "the state of the random module, the state of numpy.random" in found[0].message


def test_state_is_put_back_when_the_arm_fails():
    """A failing arm is not reported but still tidied up after."""

    def failing() -> None:
        os.environ["OPTBENCH_TEST_LEFT"] = "1"
        raise ValueError("no")

    with pytest.raises(ArmRaised):
        observe(Arm("a", failing))
    assert "OPTBENCH_TEST_LEFT" not in os.environ


def test_handlers_are_left_alone_outside_the_main_thread():
    """Only the main thread may set handlers, so watching elsewhere does not try to."""
    errors: list[BaseException] = []

    def watch() -> None:
        try:
            with watched_state("a"):
                pass
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=watch)
    thread.start()
    thread.join()
    assert errors == []


def test_threads_and_processes_left_running_are_information():
    """A pool that is kept is reported by kind and number, and left alone."""
    release = threading.Event()
    kept: list[object] = []

    def keep() -> None:
        for number in range(2):
            thread = threading.Thread(target=release.wait, name=f"worker-{number}", daemon=True)
            thread.start()
            kept.append(thread)
        kept.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))

    try:
        found = observe(Arm("a", keep)).findings
        assert [(finding.code, finding.level) for finding in found] == [
            ("leftover-processes", "info"),
            ("leftover-threads", "info"),
        ]
        assert found[0].message.startswith("one call of arm 'a' leaves processes running: 1 python")
        assert found[1].message == "one call of arm 'a' leaves threads running: 2 worker"
    finally:
        release.set()
        kept[-1].communicate(b"\n", timeout=120)
        for thread in kept[:2]:
            thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_children_nobody_waited_for_are_a_warning():
    """A forked child that ended without being waited for is a leftover."""
    source = f"""
        import os, sys, time
        sys.path[:0] = {sys.path!r}
        from pytest_optbench.measure.arm import Arm
        from pytest_optbench.measure.memory import MemoryWatch
        from pytest_optbench.measure.observe import observe

        def forks():
            if os.fork() == 0:
                os._exit(0)
            time.sleep(0.3)

        with MemoryWatch() as watch:
            for finding in observe(Arm("a", forks), watch).findings:
                print(finding.code, finding.level, finding.message)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)], capture_output=True, text=True, timeout=240
    )
    assert done.stderr == ""
    assert done.stdout == (
        "leftover-processes warn one call of arm 'a' leaves 1 ended processes behind that nobody waited for\n"
    )
