"""Bundles and frames where the system refuses descriptors or room: a clear error, nothing left, usable afterwards."""

from __future__ import annotations

import contextlib
import pickle
import resource
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bundle_tables import make_bars

from optengine.bundle import Bundle, SharedBundle
from optengine.errors import ResourceExhausted
from optengine.frames import SharedFrame

BACKINGS = ["memory", "file"]


@contextlib.contextmanager
def limited(which, value):
    """Set the soft limit ``which`` of this process for the block."""
    before = resource.getrlimit(which)
    resource.setrlimit(which, (value, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(which, before)


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("backing", BACKINGS)
def test_a_frame_is_not_shared_without_descriptors(backing):
    """Sharing and attaching name the limit on open files, not an owner that is gone."""
    frame = make_bars()
    with SharedFrame.create(frame, backing=backing) as shared:
        shared.get()
        other = SharedFrame.create(frame, backing=backing)
        before = open_descriptors()
        with limited(resource.RLIMIT_NOFILE, 3):
            with pytest.raises(
                ResourceExhausted, match=r"sharing about .* bytes needs 3 file .*RLIMIT_NOFILE is 3"
            ):
                SharedFrame.create(frame, backing=backing)
            with pytest.raises(ResourceExhausted, match=r"attaching a shared frame needs .*ulimit -n"):
                other.get()
        assert open_descriptors() == before
        pd.testing.assert_frame_equal(other.get(), shared.get())
        other.close()


@pytest.mark.parametrize("backing", BACKINGS)
def test_a_frame_is_not_shared_without_room(backing):
    """Where memory or the size of files ends, sharing says how much was needed and leaves nothing behind."""
    frame = pd.DataFrame({"x": np.arange(100_000.0)})
    before = open_descriptors()
    with (
        limited(resource.RLIMIT_FSIZE, 50_000),
        pytest.raises(
            ResourceExhausted,
            match=r"sharing about 800,\d+ bytes needs room .*File too large.*RLIMIT_FSIZE.* is 50000",
        ),
    ):
        SharedFrame.create(frame, backing=backing)
    assert open_descriptors() == before
    with SharedFrame.create(frame, backing=backing) as shared:
        assert shared.get()["x"].iloc[-1] == 99_999


def test_a_bundle_without_descriptors_is_still_a_bundle(bundle):
    """Opening it, its tables and its copies names the limit, not a bundle that is gone or stale."""
    copy = pickle.dumps(bundle)
    handle = SharedBundle.create(bundle.path)
    bundle.table("bars")
    with limited(resource.RLIMIT_NOFILE, 3):
        for attempt in (
            lambda: Bundle(bundle.path),
            lambda: pickle.loads(copy),
            lambda: handle.get(),
        ):
            with pytest.raises(ResourceExhausted, match=r"opening a bundle needs .*RLIMIT_NOFILE is 3"):
                attempt()
    fresh = Bundle(bundle.path)
    with (
        limited(resource.RLIMIT_NOFILE, 3),
        pytest.raises(
            ResourceExhausted, match=r"opening 'tables/.*\.arrow' of a bundle needs .*RLIMIT_NOFILE is 3"
        ),
    ):
        fresh.table("bars")
    assert fresh.frame("bars").equals(bundle.frame("bars"))
    handle.close()


def test_a_bundle_is_not_built_without_room(tmp_path, bars, no_leftovers):
    """A build that cannot write says so, and leaves neither a bundle nor its scaffold."""
    Bundle.build(tmp_path / "first", {"bars": bars})
    with (
        limited(resource.RLIMIT_FSIZE, 100),
        pytest.raises(
            ResourceExhausted, match=r"building a bundle needs room .*File too large.*RLIMIT_FSIZE"
        ),
    ):
        Bundle.build(tmp_path / "second", {"bars": bars})
    assert [path.name for path in tmp_path.iterdir()] == ["first"]
    Bundle.build(tmp_path / "second", {"bars": bars}).verify()
