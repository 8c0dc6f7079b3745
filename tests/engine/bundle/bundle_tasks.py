"""What workers of the bundle tests load and run, in a module that they import without the tests."""

from __future__ import annotations

import os
import sqlite3
import threading


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


def read_bundle(shared):
    bundle = shared.get()
    names = bundle.assets.execute("SELECT symbol FROM assets").fetchall()
    same = shared.get() is bundle
    return bundle.frame("bars"), bundle.copied_columns("bars"), names, same, os.getpid()
