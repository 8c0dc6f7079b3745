"""Memory of shared frames and bundles, as proportional set size, and cost that does not grow with size."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optengine.bundle import Bundle, SharedBundle
from optengine.frames import SharedFrame
from optengine.frames.shared import map_segment

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

MEGABYTE = 1 << 20
WORKERS = 2


@pytest.fixture(scope="module")
def prices():
    rows = 1_000_000
    random = np.random.default_rng(7)
    frame = pd.DataFrame(random.normal(60, 5, (rows, 4)), columns=["open", "high", "low", "close"])
    frame["time"] = pd.date_range("2020", periods=rows, freq="min")
    frame["symbol"] = random.choice(["WTI", "BRENT", "GAS"], rows)
    return frame


def pss():
    """Proportional set size of this process in bytes: private memory plus its part of what it shares."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no Pss in smaps_rollup")


def touch(frame):
    """Read every byte of the frame's values."""
    total = sum(float(frame[name].sum()) for name in ("open", "high", "low", "close"))
    return total + len(frame["symbol"].unique()) + float(frame["time"].max().year)


def measure(get, pipe, barrier):
    """Report the memory that touching the whole frame adds to this process, all workers at once."""
    warm = pd.DataFrame({"symbol": ["a"]})
    warm["symbol"].unique()
    barrier.wait()  # until all are there: every process more takes its part of what was inherited
    before = pss()
    barrier.wait()
    frame = get()
    touch(frame)
    barrier.wait()
    pipe.send(pss() - before)
    barrier.wait()


def added_memory(get):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(WORKERS)
    pipes = [context.Pipe() for _ in range(WORKERS)]
    workers = [context.Process(target=measure, args=(get, end, barrier)) for _, end in pipes]
    for worker in workers:
        worker.start()
    added = [pipe.recv() for pipe, _ in pipes]
    for worker in workers:
        worker.join()
    for ends in pipes:
        for end in ends:
            end.close()
    return sum(added)


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="this system does not report Pss")
def test_workers_hold_one_copy_of_a_frame(prices):
    """Two workers that read a whole shared frame together hold it once (less than 1.15 frames)."""
    with SharedFrame.create(prices) as shared:
        added = added_memory(shared.handle.get)
        assert 0.5 * shared.nbytes < added < 1.15 * shared.nbytes + 4 * MEGABYTE


class ReadBars:
    def __init__(self, shared):
        self.shared = shared

    def __call__(self):
        return self.shared.get().frame("bars")


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="this system does not report Pss")
def test_workers_hold_one_copy_of_a_bundle(prices, tmp_path):
    """Two workers that read a whole mapped bundle together add less than its size to memory."""
    bundle = Bundle.build(tmp_path / "b", {"bars": prices})
    with SharedBundle.create(bundle) as shared:
        added = added_memory(ReadBars(shared))
    assert 0.5 * bundle.nbytes < added < 1.15 * bundle.nbytes + 4 * MEGABYTE


def best_of(function, repeats):
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best


def test_attaching_does_not_grow_with_the_frame(prices):
    """Attaching a frame of a million rows takes less than ten times as long as one of ten rows."""
    times = []
    for frame in (prices.head(10), prices):
        with SharedFrame.create(frame) as shared:
            handle = shared.handle

            times.append(best_of(lambda handle=handle: map_segment(handle.address).frame(), 20))
    assert times[1] < 10 * times[0]


def test_opening_does_not_grow_with_the_bundle(prices, tmp_path):
    """Opening a bundle and a table of a million rows takes less than ten times as long as of ten rows."""
    times = []
    for name, frame in (("small", prices.head(10)), ("large", prices)):
        path = Bundle.build(tmp_path / name, {"bars": frame}).path
        times.append(best_of(lambda path=path: Bundle.open(path).frame("bars"), 20))
    assert times[1] < 10 * times[0]


def test_memory_is_returned(prices):
    """Closing the owner and dropping the views returns the shared memory to the system."""
    shared = SharedFrame.create(prices)
    frame = shared.get()
    touch(frame)
    before = pss()
    inode = str(shared.handle.address.inode)
    shared.close()
    del frame
    with SharedFrame.create(prices.head(1)) as other:
        other.get()
        mapped = {line.split()[4] for line in Path("/proc/self/maps").read_text().splitlines()}
        assert inode not in mapped
        assert pss() < before - 20 * MEGABYTE
