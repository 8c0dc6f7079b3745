"""One untimed call observed: memory of the tree, output, global state, leftovers."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from pytest_optbench.measure import ArmRaised, memory_sampler
from pytest_optbench.measure.arm import Arm, Arms
from pytest_optbench.measure.garbage import heap_set_aside
from pytest_optbench.measure.memory import MemoryWatch, measure_memory
from pytest_optbench.measure.observe import Observation, memory_again, record_pairs
from pytest_optbench.measure.observe import observe as observe_with
from pytest_optbench.measure.statewatch import watched_state

MIB = 2**20


def observe(arm: Arm) -> Observation:
    """Observe one arm with a watching process of its own."""
    with MemoryWatch() as watch:
        return observe_with(arm, watch)


def use_memory(mebibytes: int) -> bytes:
    """Hold memory that is really used for a while; run by worker processes, too."""
    held = os.urandom(MIB) * mebibytes
    time.sleep(1)
    return held[:1]


def test_memory_held_for_a_moment_is_seen():
    """A call that holds 80 MiB and lets go of it needs about 80 MiB extra."""
    use = measure_memory(Arm("a", lambda: use_memory(80)))
    assert 75 * MIB < use.extra_bytes < 110 * MIB
    assert use.peak_bytes > use.extra_bytes
    assert use.samples > 2  # one before the call and one after it are always taken
    assert use.how.startswith(("PSS of the process tree, sampled", "RSS of the process tree, sampled"))


def test_a_result_counts_as_long_as_it_is_returned():
    """Memory of the result is part of the peak though the call is over when the last sample is taken."""
    use = measure_memory(Arm("a", lambda: np.ones(40 * MIB // 8)))
    assert use.extra_bytes > 35 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a high-water mark that can be reset")
def test_memory_used_between_samples_is_seen():
    """A spike too short for the samples is found in the kernel's mark."""
    use = measure_memory(Arm("a", lambda: len(bytes(100 * MIB).strip(b"x").hex()[:10])))
    assert use.extra_bytes > 150 * MIB
    assert use.how.endswith("and the kernel's high-water mark")


def test_memory_of_worker_processes_is_counted():
    """Two workers that hold 40 MiB each show up though this process holds nothing."""

    def pool() -> int:
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=get_context("spawn")) as workers:
            return len(list(workers.map(use_memory, [40, 40])))

    use = measure_memory(Arm("a", pool))
    assert use.extra_bytes > 60 * MIB
    assert "high-water" not in use.how


def test_an_arm_that_raises_stops_the_sampler():
    """The watching process does not outlive a call that failed."""

    def failing() -> None:
        raise ValueError("no")

    before = memory_sampler.descendants(os.getpid())
    with pytest.raises(ArmRaised):
        measure_memory(Arm("a", failing))
    assert memory_sampler.descendants(os.getpid()) == before


def test_watching_adds_no_thread():
    """An arm that forks while it is watched forks a process with the threads it had before."""
    before = threading.active_count()
    seen: list[int] = []
    measure_memory(Arm("a", lambda: seen.append(threading.active_count())))
    assert seen == [before]


def test_an_arm_that_kills_the_watcher_is_not_an_error():
    """When the watching process gives no answer, memory is unknown and the record says so."""

    def kill() -> None:
        for pid in memory_sampler.descendants(os.getpid()):
            os.kill(pid, signal.SIGKILL)

    use = measure_memory(Arm("a", kill))
    assert (use.peak_bytes, use.extra_bytes, use.samples) == (None, None, 0)
    assert use.how == "not measured: the watching process gave no answer"


def test_one_watching_process_serves_all_arms():
    """Measuring several arms starts one process, which is gone at the end; each arm has levels of its own."""
    seen: list[list[int]] = []

    def holding(mebibytes: int):
        def arm() -> bytes:
            seen.append(memory_sampler.descendants(os.getpid()))
            return b"x" * (mebibytes * MIB)

        return arm

    before = memory_sampler.descendants(os.getpid())
    with MemoryWatch() as watch:
        uses = [watch.measure(Arm(str(size), holding(size))) for size in (90, 30, 150)]
    assert memory_sampler.descendants(os.getpid()) == before
    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0]) == len(before) + 1
    # Pages of libraries are shared out anew whenever some other process that has them begins or ends.
    for use, size in zip(uses, (90, 30, 150), strict=True):
        assert abs(use.extra_bytes - size * MIB) < 25 * MIB


def test_the_watching_process_is_started_again_after_a_failure():
    """An arm that raised, or that killed the watching process, does not cost the next arm its measurement."""

    def failing() -> None:
        raise ValueError("no")

    def kill() -> None:
        for pid in memory_sampler.descendants(os.getpid()):
            os.kill(pid, signal.SIGKILL)

    with MemoryWatch() as watch:
        with pytest.raises(ArmRaised):
            watch.measure(Arm("a", failing))
        assert watch.measure(Arm("b", lambda: b"x" * (20 * MIB))).extra_bytes > 15 * MIB
        assert watch.measure(Arm("c", kill)).extra_bytes is None
        assert watch.measure(Arm("d", lambda: b"x" * (20 * MIB))).extra_bytes > 15 * MIB


def test_the_heap_is_set_aside_and_put_back():
    """Collections in the body look at new objects only; afterwards they see everything again."""
    before = gc.get_freeze_count()
    with heap_set_aside():
        assert gc.get_freeze_count() > before + 1000
    assert gc.get_freeze_count() == 0


def test_memory_of_further_calls_is_measured_in_turns(capsys):
    """Each round measures every arm once, in their order; nothing they print appears."""
    order: list[str] = []

    def called(name: str):
        def arm() -> None:
            order.append(name)
            print("loud")

        return arm

    with Arms(called("a"), {"b": called("b")}) as arms, MemoryWatch() as watch:
        uses = memory_again(arms, watch, 2)
    assert order == ["a", "b", "a", "b"]
    assert {name: len(found) for name, found in uses.items()} == {"baseline": 2, "b": 2}
    assert capsys.readouterr().out == ""


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


def test_the_watcher_leaves_when_the_watched_process_dies():
    """A watching process whose parent was killed ends by itself, even if a forked sibling keeps its pipe."""
    code = (
        "import os, subprocess, sys\n"
        f"w = subprocess.Popen([sys.executable, '-I', {memory_sampler.__file__!r}, str(os.getpid())],\n"
        "    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=[int(sys.argv[1])])\n"
        "w.stdin.write('start\\n'); w.stdin.flush(); w.stdout.readline(); os.kill(os.getpid(), 9)"
    )
    # Everybody who lives holds the writing end of this pipe; reading ends when all are gone.
    reading, writing = os.pipe()
    done = subprocess.run(
        [sys.executable, "-c", code, str(writing)], stdout=subprocess.PIPE, text=True, pass_fds=[writing]
    )
    os.close(writing)
    assert done.returncode == -signal.SIGKILL
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_the_watcher_reports_as_json():
    """Watching itself from outside gives plain numbers; a process that is gone weighs nothing."""
    sampler = memory_sampler.Sampler(os.getpid())
    report = json.loads(sampler.report())
    assert report["kind"] in ("PSS", "RSS")
    assert report["before"] == report["peak"] > MIB
    assert (report["samples"], report["saw_children"]) == (1, False)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait(timeout=120)
    assert memory_sampler.rss(gone.pid) == 0
    assert memory_sampler.pss(gone.pid) is None
    assert memory_sampler.descendants(gone.pid) == []
    assert memory_sampler.rss(os.getpid()) > MIB


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
