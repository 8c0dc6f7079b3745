"""How a bundle reaches workers of every start method, what is refused, and what crosses a fork."""

from __future__ import annotations

import contextlib
import functools
import gc
import multiprocessing
import os
import pickle
import sqlite3
import threading

import numpy as np
import pandas as pd
import pytest

import optengine
from optengine import PersistentWorkerPool
from optengine.bundle import (
    Bundle,
    BundleClosed,
    BundleMetadata,
    OpenHandle,
    SharedBundle,
    SharingError,
    StaleBundle,
    TamperedBundle,
    open_handles,
    require_no_open_handles,
)
from optengine.bundle.handles import all_connections, find_connections

METHODS = ["fork", "forkserver", "spawn"]

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def bars():
    return pd.DataFrame({"symbol": ["WTI", "BRENT"] * 50, "close": np.linspace(-36.98, 60, 100)})


@pytest.fixture
def bundle(tmp_path, bars):
    with Bundle.build(tmp_path / "b", {"bars": bars}, pd.DataFrame({"symbol": ["WTI", "BRENT"]})) as bundle:
        yield bundle


class Foreign:
    """A bundle of another library: holds live SQLite connections, so it cannot be pickled."""

    def __init__(self, path):
        self.path = str(path)
        self.symbols = ("WTI", "BRENT")
        self.readers = {"assets": sqlite3.connect(self.path)}
        self.loaded_in = os.getpid()

    def close(self):
        self.readers.pop("assets").close()

    def names(self):
        return [name for (name,) in self.readers["assets"].execute("SELECT name FROM equities")]


class ForeignLoader:
    def __init__(self, path):
        self.path = path

    def __call__(self):
        return Foreign(self.path)


class CuttingLoader(ForeignLoader):
    """Knows how to cut a foreign bundle from its connection before a fork, and to reopen it."""

    def detach(self, foreign):
        foreign.close()

    def attach(self, foreign):
        foreign.readers["assets"] = sqlite3.connect(foreign.path)


class LockedLoader:
    """Cannot be pickled; what it loads holds a lock but no connection."""

    def __init__(self):
        self.lock = threading.Lock()

    def __call__(self):
        return {"prices": [1.0, 2.0], "lock": self.lock, "pid": os.getpid()}


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "foreign.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE equities (name TEXT)")
        connection.execute("INSERT INTO equities VALUES ('AAPL')")
        connection.commit()
    yield path
    for connection in all_connections():
        connection.close()


def read_bundle(shared):
    bundle = shared.get()
    names = bundle.assets.execute("SELECT symbol FROM assets").fetchall()
    same = shared.get() is bundle
    return bundle.frame("bars"), bundle.copied_columns("bars"), names, same, os.getpid()


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


def test_an_open_handle_stops_a_fork(bundle, in_worker):
    """While assets are open, forking raises before anything is forked; after close it works."""
    assert open_handles() == []
    bundle.assets.execute("SELECT 1")
    assert open_handles() == [str(next(bundle.path.glob("*.sqlite")))]
    message = (
        r"no SQLite handle may be open across a fork; open: .*assets-.*\.sqlite; call close\(\) on the bundle"
    )
    with pytest.raises(OpenHandle, match=message):
        os.fork()
    with pytest.raises(OpenHandle, match=message):
        multiprocessing.get_context("fork").Process(target=print).start()
    with pytest.raises(OpenHandle, match=message):
        require_no_open_handles()
    bundle.close()
    require_no_open_handles()
    assert in_worker("fork", os.getpid) != os.getpid()


def test_an_open_handle_does_not_stop_other_start_methods(bundle, in_worker):
    """Spawned workers start while assets are open, because they execute a new program."""
    bundle.assets.execute("SELECT 1")
    assert in_worker("spawn", os.getpid) != os.getpid()


def test_a_dropped_handle_does_not_count(bundle):
    """A bundle that is garbage-collected closes its handle, so it stops no fork."""
    other = Bundle.open(bundle.path)
    other.assets.execute("SELECT 1")
    del other
    gc.collect()
    assert open_handles() == []


def test_an_inherited_handle_is_refused_and_never_closed(bundle):
    """Should a handle cross a fork behind Python's back, the child cannot use it, and does not close it."""
    import ctypes

    handle = bundle.assets
    child = ctypes.PyDLL(None).fork()  # a fork that Python's hooks do not see
    if child == 0:
        try:
            handle.execute("SELECT 1")
        except OpenHandle:
            handle.close()
            os._exit(0 if not handle.closed and bundle.assets is not handle else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert handle.execute("SELECT count(*) FROM assets").fetchone() == (2,)


def test_assets_serve_several_threads(bundle):
    """Threads of one process share its handle."""
    found = []
    threads = [
        threading.Thread(
            target=lambda: found.append(bundle.assets.execute("SELECT symbol FROM assets").fetchone())
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [("WTI",)] * 4


def test_forking_a_foreign_connection_is_refused(database):
    """Asking to inherit a bundle that keeps a connection open raises, naming the database and the cure."""
    message = rf"open: {database}; give the loader methods detach\(bundle\) and attach\(bundle\)"
    with pytest.raises(OpenHandle, match=message):
        SharedBundle.create(ForeignLoader(database), strategy="fork")


def test_a_foreign_connection_of_the_parent_stops_its_forks(database):
    """A parent that loaded a foreign bundle for itself cannot fork until it closes the share."""
    shared = SharedBundle.create(ForeignLoader(database))
    shared.get().names()
    with pytest.raises(OpenHandle, match=f"open: {database}"):
        os.fork()
    shared.close()
    require_no_open_handles()


def test_the_forking_process_does_not_attach(database):
    """The process that prepared a bundle for its workers is told to load a copy of its own."""
    shared = SharedBundle.create(CuttingLoader(database))
    with pytest.raises(SharingError, match="call the loader for a copy of its own"):
        shared.get()
    shared.close()


def hold_in_closure(connection):
    def query():
        return connection.execute("SELECT 1")

    return query


class Slotted:
    __slots__ = ("connection",)

    def __init__(self, connection):
        self.connection = connection


@pytest.mark.parametrize(
    "hold",
    [
        lambda connection: connection,
        lambda connection: [{"deep": (connection,)}],
        hold_in_closure,
        lambda connection: functools.partial(print, connection),
        lambda connection: connection.cursor(),
        lambda connection: type(
            "Reader", (), {"__slots__": ("c",), "__init__": lambda s, c: setattr(s, "c", c)}
        )(connection),
    ],
    ids=["itself", "nested", "closure", "partial", "cursor", "slots"],
)
def test_held_connections_are_found(database, hold):
    """An open connection is found in attributes, containers, closures and cursors; a closed one is not."""
    with (
        contextlib.closing(sqlite3.connect(database)) as connection,
        contextlib.closing(sqlite3.connect(database)),
    ):
        held = hold(connection)
        assert find_connections(held) == [connection]
        assert find_connections(object()) == []
        connection.close()
        assert find_connections(held) == []


def test_connections_opened_while_loading_are_found(database):
    """A connection hidden from the garbage collector's view of the object is found by when it was opened."""
    known = all_connections()
    with contextlib.closing(sqlite3.connect(database)) as hidden:
        assert find_connections(None, known) == [hidden]


def test_errors_survive_pickling():
    """Errors keep their fields when a worker sends them back."""
    for error in (
        StaleBundle("p", "a" * 64, "b" * 64),
        TamperedBundle("f", "is gone"),
        OpenHandle(["x"], "close it"),
    ):
        back = pickle.loads(pickle.dumps(error))
        assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))
