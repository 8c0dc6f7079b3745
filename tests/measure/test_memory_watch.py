"""The process that watches memory: what it sees of one untimed call, and how it comes and goes."""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import get_context

import numpy as np
import psutil
import pytest

from pytest_optbench.measure import ArmRaised, memory_sampler
from pytest_optbench.measure.arm import Arm, Arms
from pytest_optbench.measure.memory import MemoryWatch, measure_memory
from pytest_optbench.measure.observe import memory_again

MIB = 2**20


def use_memory(mebibytes: int) -> bytes:
    """Hold memory that is really used for a while; run by worker processes, too."""
    held = os.urandom(MIB) * mebibytes
    time.sleep(1)
    return held[:1]


def kill_watcher() -> None:
    """Kill the watching process, and no other child: multiprocessing's stay for later tests."""
    for child in psutil.Process().children():
        if memory_sampler.__file__ in child.cmdline():
            child.kill()


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
        kill_watcher()

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
        kill_watcher()

    with MemoryWatch() as watch:
        with pytest.raises(ArmRaised):
            watch.measure(Arm("a", failing))
        assert watch.measure(Arm("b", lambda: b"x" * (20 * MIB))).extra_bytes > 15 * MIB
        assert watch.measure(Arm("c", kill)).extra_bytes is None
        assert watch.measure(Arm("d", lambda: b"x" * (20 * MIB))).extra_bytes > 15 * MIB


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
