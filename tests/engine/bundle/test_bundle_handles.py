"""Open handles and foreign connections: what may not cross a fork, and how it is found."""

from __future__ import annotations

import contextlib
import functools
import gc
import multiprocessing
import os
import pickle
import sqlite3
import threading

import pytest
from bundle_tasks import CuttingLoader, ForeignLoader

from optengine.bundle import (
    Bundle,
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
