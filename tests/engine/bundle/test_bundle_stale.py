"""A bundle that is replaced, moved or changed under its readers: noticed, refused, reloaded only on request."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from bundle_tasks import read_bundle

import optengine
from optengine import PersistentWorkerPool
from optengine.bundle import (
    Bundle,
    SharedBundle,
    StaleBundle,
    TamperedBundle,
)

METHODS = ["fork", "forkserver", "spawn"]

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def fingerprint(shared):
    return shared.get().fingerprint


def twice_with_a_rebuild(shared, path, on_rebuild):
    first = shared.get().fingerprint
    Bundle.build(path, {"bars": on_rebuild}, overwrite=True)
    return first, shared.get().fingerprint


@pytest.mark.parametrize("method", METHODS)
def test_a_stale_worker_refuses(bundle, bars, method, in_worker):
    """A worker that finds a bundle with one other price refuses it, naming both fingerprints."""
    with SharedBundle.create(bundle.path) as shared:
        bars.loc[3, "close"] += 0.01
        new = Bundle.build(bundle.path, {"bars": bars}, overwrite=True)
        with pytest.raises(StaleBundle, match=f"{bundle.fingerprint[:16]}; found {new.fingerprint[:16]}"):
            in_worker(method, fingerprint, shared)


def test_a_stale_worker_reloads(bundle, bars, in_worker):
    """With on_stale='reload' a worker uses the new content, also when the change comes between two tasks."""
    with SharedBundle.create(bundle.path, on_stale="reload") as shared:
        bars.loc[3, "close"] += 0.01
        first, second = in_worker("fork", twice_with_a_rebuild, shared, bundle.path, bars)
        assert first == bundle.fingerprint
        assert second == Bundle.open(bundle.path).fingerprint != first
        assert in_worker("spawn", fingerprint, shared) == second


def test_a_worker_refuses_between_two_tasks(bundle, bars, in_worker):
    """A worker that already holds the old content refuses as soon as the bundle on disk is another."""
    with SharedBundle.create(bundle.path) as shared, pytest.raises(StaleBundle):
        in_worker("fork", twice_with_a_rebuild, shared, bundle.path, bars.head(10))


def shared_fingerprint(_):
    return optengine.shared("bundle").fingerprint


def test_a_kept_pool_notices_a_replaced_bundle(bundle, bars):
    """Workers kept between batches reload or refuse a bundle that was replaced between the batches."""
    before = bundle.fingerprint
    with (
        SharedBundle.create(bundle.path, on_stale="reload") as reloading,
        SharedBundle.create(bundle.path) as refusing,
        PersistentWorkerPool(2, shared={"bundle": reloading}) as reloads,
        PersistentWorkerPool(2, shared={"bundle": refusing}) as refuses,
    ):
        for pool in (reloads, refuses):
            assert pool.run_batch(shared_fingerprint, range(6)) == [before] * 6
        after = Bundle.build(bundle.path, {"bars": bars.head(10)}, overwrite=True).fingerprint
        assert after != before
        assert reloads.run_batch(shared_fingerprint, range(6)) == [after] * 6
        failures = refuses.run_batch(shared_fingerprint, range(6), on_error="return")
        assert all("StaleBundle" in str(failure.traceback) for failure in failures)
        assert refuses.stats().restarts == 0


def test_a_vanished_bundle_is_stale(bundle, in_worker):
    """A bundle that was moved away is refused by workers."""
    with SharedBundle.create(bundle.path) as shared:
        bundle.path.rename(bundle.path.with_name("moved"))
        with pytest.raises(StaleBundle, match="found no bundle"):
            in_worker("fork", fingerprint, shared)


def test_a_price_changed_by_hand_is_found(bundle, in_worker):
    """A price changed inside a sealed file, size and manifest untouched, is refused when workers attach."""
    with SharedBundle.create(bundle.path) as shared:
        before = shared.get()
        (file,) = bundle.path.glob("tables/*.arrow")
        content = bytearray(file.read_bytes())
        position = content.find(np.float64(-36.98).tobytes())
        assert position > 0
        content[position : position + 8] = np.float64(36.98).tobytes()
        file.chmod(0o644)
        file.write_bytes(content)
        with pytest.raises(
            TamperedBundle, match=r"sealed files never change; 'tables/bars-.*\.arrow' must have SHA"
        ):
            in_worker("fork", fingerprint, shared)
        with pytest.raises(TamperedBundle):
            shared.get()
        assert before.fingerprint == shared.fingerprint


def test_an_equal_copy_is_accepted(bundle, bars, in_worker):
    """Files replaced by equal ones, as by a restore from backup, are checked once and accepted."""
    with SharedBundle.create(bundle.path) as shared:
        for file in [*bundle.path.glob("tables/*"), *bundle.path.glob("*.sqlite")]:
            content = file.read_bytes()
            file.unlink()
            file.write_bytes(content)
        pd.testing.assert_frame_equal(in_worker("fork", read_bundle, shared)[0], bars)
