"""How a bundle reaches workers of every start method, and what is refused."""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import sqlite3
import threading

import pandas as pd
import pytest
from bundle_tasks import CuttingLoader, ForeignLoader, LockedLoader, read_bundle

from optengine.bundle import (
    Bundle,
    BundleClosed,
    BundleMetadata,
    SharedBundle,
    SharingError,
)
from optengine.bundle.handles import all_connections

METHODS = ["fork", "forkserver", "spawn"]

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.mark.parametrize("method", METHODS)
def test_a_sealed_bundle_is_mapped_everywhere(bundle, bars, method, in_worker):
    """Workers of any start method get the same data and open their own assets; one get() serves a process."""
    with SharedBundle.create(bundle.path) as shared:
        assert shared.strategy == "mmap"
        assert (
            shared.reason == "it is a sealed bundle: every process maps its files, whatever the start method"
        )
        assert shared.fingerprint == bundle.fingerprint
        frame, copied, names, same, worker = in_worker(method, read_bundle, shared)
    pd.testing.assert_frame_equal(frame, bars)
    assert (copied, names, same) == ({}, [("WTI",), ("BRENT",)], True)
    assert worker != os.getpid()


def read_foreign(shared):
    foreign = shared.get()
    same = shared.get() is foreign
    return foreign.names(), foreign.loaded_in == os.getpid(), same


@pytest.mark.parametrize("method", METHODS)
def test_a_foreign_bundle_is_loaded_once_per_worker(database, method, in_worker):
    """A bundle that holds an SQLite connection is not inherited: each worker loads its own, once."""
    with SharedBundle.create(ForeignLoader(database)) as shared:
        assert shared.strategy == "load"
        assert shared.reason == (
            f"it keeps SQLite connections open ({database}), which must not cross a fork: "
            "every worker calls the loader once"
        )
        assert in_worker(method, read_foreign, shared) == (["AAPL"], True, True)


@pytest.mark.parametrize("method", METHODS)
def test_a_foreign_bundle_that_can_be_cut_is_inherited(database, method, in_worker):
    """With detach and attach it is loaded once, before the fork, and each worker opens its own connection."""
    with SharedBundle.create(CuttingLoader(database)) as shared:
        assert shared.strategy == "fork"
        assert f"loaded in process {os.getpid()} and inherited" in shared.reason
        names, loaded_here, same = in_worker(method, read_foreign, shared)
    assert (names, same) == (["AAPL"], True)
    assert loaded_here is (method != "fork")


def preload_then_fork(shared):
    for connection in all_connections():  # of earlier tasks of this worker
        connection.close()
    shared.preload()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, pickle.dumps(read_foreign(shared)))
        os._exit(0)
    os.waitpid(child, 0)
    return pickle.loads(os.read(read, 10_000))


def test_a_fork_server_can_preload(database, in_worker):
    """A clean server process that preloads a foreign bundle passes it on to the workers it forks."""
    with SharedBundle.create(CuttingLoader(database)) as shared:
        assert in_worker("spawn", preload_then_fork, shared) == (["AAPL"], False, True)


def read_lock(shared):
    return shared.get()["pid"]


def test_an_unpicklable_bundle_is_inherited(tmp_path, in_worker):
    """What cannot be pickled for other reasons than SQLite is inherited by fork, and only by fork."""
    with SharedBundle.create(LockedLoader()) as shared:
        assert shared.strategy == "fork"
        assert shared.reason.endswith("others cannot have it: the loader cannot be pickled")
        assert shared.get()["pid"] == os.getpid()
        assert in_worker("fork", read_lock, shared) == os.getpid()
        with pytest.raises(
            SharingError, match=rf"must be forked from process {os.getpid()}, .* start_method='fork'"
        ):
            in_worker("spawn", read_lock, shared)


def test_lambdas_can_load(in_worker):
    """A loader that only cloudpickle can send works in a spawned worker."""
    offset = 5
    with SharedBundle.create(lambda: {"pid": os.getpid(), "offset": offset}, strategy="load") as shared:
        assert shared.reason == "it was asked for: every worker calls the loader once"
        assert in_worker("spawn", read_lock, shared) != os.getpid()


def describe_metadata(shared):
    metadata = shared.get()
    return metadata.symbols, dict(metadata.omitted), metadata.loaded_in


def test_metadata_is_the_last_resort(database, in_worker):
    """What can neither be inherited nor loaded elsewhere is reduced to its plain attributes, and says so."""
    with contextlib.closing(sqlite3.connect(database)):
        loader = ForeignLoader(database)
        loader.lock = threading.Lock()
        with SharedBundle.create(loader) as shared:
            assert shared.strategy == "metadata"
            assert "its loader cannot be pickled: only its plain attributes are sent" in shared.reason
            symbols, omitted, loaded_in = in_worker("spawn", describe_metadata, shared)
    assert symbols == ("WTI", "BRENT")
    assert omitted == {"readers": "dict"}
    assert loaded_in == os.getpid()


def test_metadata_is_read_only(database):
    """Metadata refuses assignment, names what was left out, and can be made by a function of one's own."""
    with SharedBundle.create(ForeignLoader(database), strategy="metadata") as shared:
        metadata = shared.get()
    assert isinstance(metadata, BundleMetadata)
    with pytest.raises(AttributeError, match="metadata of Foreign is read-only"):
        metadata.symbols = ()
    with pytest.raises(AttributeError, match="has no 'readers': it holds a dict, which cannot be pickled"):
        _ = metadata.readers
    with pytest.raises(AttributeError, match="has no 'x': the object has no such attribute"):
        _ = metadata.x
    assert "omitted ['readers']" in repr(metadata)
    own = SharedBundle.create(
        ForeignLoader(database), strategy="metadata", metadata=lambda held: held.names()
    )
    assert own.get() == ["AAPL"]


@pytest.mark.parametrize("strategy", ["fork", "load"])
def test_a_sealed_bundle_can_be_delivered_otherwise(bundle, bars, strategy, in_worker):
    """A sealed bundle also travels by fork or by loading, when that is asked for."""
    with SharedBundle.create(bundle.path, strategy=strategy) as shared:
        assert shared.strategy == strategy
        pd.testing.assert_frame_equal(in_worker("fork", read_bundle, shared)[0], bars)


def test_a_loader_of_a_sealed_bundle_is_mapped(bundle):
    """When a loader returns a sealed bundle, or its path, it is shared as such."""
    for loader in (functools.partial(Bundle, bundle.path), lambda: bundle.path):
        assert SharedBundle.create(loader).strategy == "mmap"
    assert SharedBundle.create(bundle).strategy == "mmap"


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (5, {}, "share the path of a sealed bundle, a Bundle, or a callable that loads one; received 5"),
        (dict, {"strategy": "mmap"}, "strategy 'mmap' needs a sealed bundle; received a loader"),
        (dict, {"strategy": "magic"}, r"strategy must be one of \('auto', 'mmap', .*received 'magic'"),
        (dict, {"on_stale": "ignore"}, r"on_stale must be one of \('raise', 'reload'\); received 'ignore'"),
        (
            LockedLoader(),
            {"strategy": "load"},
            "strategy 'load' needs a loader that can be pickled; received",
        ),
    ],
)
def test_impossible_requests_are_refused(source, options, message):
    """A source or strategy that cannot work is refused when the share is created."""
    with pytest.raises(SharingError, match=message):
        SharedBundle.create(source, **options)


def test_metadata_of_a_sealed_bundle_is_refused(bundle):
    """A sealed bundle is not reduced to metadata."""
    with pytest.raises(SharingError, match="use strategy 'mmap' instead of 'metadata'"):
        SharedBundle.create(bundle, strategy="metadata")


def test_closed_shares_say_so(bundle):
    """After close, twice, using or sending the share is an error, and earlier frames stay valid."""
    shared = SharedBundle.create(bundle.path)
    frame = shared.get().frame("bars")
    shared.close()
    shared.close()
    assert shared.closed
    for use in (shared.get, shared.preload, lambda: pickle.dumps(shared)):
        with pytest.raises(BundleClosed, match="cannot be used after close"):
            use()
    assert frame["close"].iloc[0] == -36.98
