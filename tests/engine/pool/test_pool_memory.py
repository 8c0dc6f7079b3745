"""What a worker keeps for itself: it shares with the fork server what was done there before the fork."""

import gc
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optengine import Bundle, PersistentWorkerPool, SharedBundle, shared

MEGABYTE = 1 << 20
FORKED = ["preload", "fork"]
needs_smaps = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="this system does not report private memory"
)


def private_bytes():
    """Bytes only this process holds."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(
        int(line.split()[1]) << 10 for line in lines if line.startswith(("Private_Clean", "Private_Dirty"))
    )


def added_by_collecting(_):
    before = private_bytes()
    gc.collect()
    return private_bytes() - before


def added_by_reading(_):
    np.asarray(pd.DataFrame({"close": [1.0]})["close"].array)
    before = private_bytes()
    bundle = shared("bundle")
    bundle.table("bars")
    return bundle.frame("bars").shape, private_bytes() - before


def thread_counts(_):
    import threadpoolctl

    return os.environ["OMP_NUM_THREADS"], {
        library["num_threads"] for library in threadpoolctl.threadpool_info()
    }


@needs_smaps
@pytest.mark.parametrize("method", FORKED)
def test_collecting_garbage_copies_nothing_inherited(method):
    """A full garbage collection in a forked worker does not make what it inherited its own (20 MB with pandas)."""
    with PersistentWorkerPool(1, start_method=method) as pool:
        assert pool.run_batch(added_by_collecting, [0])[0] < 4 * MEGABYTE


@needs_smaps
@pytest.mark.parametrize("method", FORKED)
def test_a_bundle_adds_the_same_little_whatever_its_size(method, tmp_path):
    """Attaching a bundle and making a frame of it adds less than 2.5 MB to a worker, for 1 kB as for 24 MB."""
    for rows in (10, 1_000_000):
        bars = pd.DataFrame(
            np.random.default_rng(1).normal(60, 5, (rows, 3)), columns=["open", "low", "close"]
        )
        Bundle.build(tmp_path / str(rows), {"bars": bars}).close()
        with (
            SharedBundle.create(tmp_path / str(rows)) as handle,
            PersistentWorkerPool(1, start_method=method, shared={"bundle": handle}) as pool,
        ):
            shape, added = pool.run_batch(added_by_reading, [0])[0]
            assert shape == (rows, 3)
            assert added < 2.5 * MEGABYTE


@pytest.mark.parametrize("method", FORKED)
def test_threads_of_loaded_libraries_are_capped_before_the_fork(method):
    """Workers find numpy's thread pools capped, and so are libraries they load later."""
    with PersistentWorkerPool(1, start_method=method, threads_per_worker=1) as pool:
        variable, counts = pool.run_batch(thread_counts, [0])[0]
    assert variable == os.environ.get("OMP_NUM_THREADS", "1")
    assert counts == {1}
