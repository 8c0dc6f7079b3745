"""Tasks over the market bundle that worker processes import: kept apart from the tests so that workers stay light.

Every way to have the bundle ends in the same ``work`` on the same table, so what differs is the way alone.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from optengine import Bundle, shared

Task = tuple[str, int]
"""Folder of the sealed bundle, and which of its assets to work on."""

Loaded = tuple[pa.Table, list[str]]
"""The bars, and the symbols in the order of the asset database."""

IMPORTED_BY = os.getpid()
HELD = "bundle"
_held: list[Loaded] = []


def imported_before_fork(_: Any = None) -> bool:
    """Whether this worker was forked from a process that had imported this module: the proof of a preload."""
    return os.getpid() != IMPORTED_BY


def load(folder: str) -> Loaded:
    """Read the Parquet file whole and open the database anew, as a worker does that keeps nothing."""
    with Bundle.open(folder) as bundle:
        # Not pq.read_table: that imports pyarrow.dataset at its first call, half of what a worker's imports cost.
        with pq.ParquetFile(bundle.parquet("bars")) as file:
            bars = file.read(columns=["symbol", "close"])
        return bars, symbols(bundle)


@cache
def load_once(folder: str) -> Loaded:
    """Return `load(folder)`, read once per process."""
    return load(folder)


def symbols(bundle: Bundle) -> list[str]:
    """Return the symbols in the asset database, in order."""
    return [symbol for (symbol,) in bundle.assets.execute("select symbol from assets order by symbol")]


def work(bars: pa.Table, known: list[str], number: int) -> tuple[int, float]:
    """Return how many prices one asset has and the mean absolute change from one to the next."""
    symbol = bars["symbol"].combine_chunks()
    wanted = symbol.dictionary.to_pylist().index(known[number % len(known)])
    close = bars["close"].filter(pc.equal(symbol.indices, wanted)).drop_null().to_numpy()
    return len(close), float(np.abs(np.diff(close)).mean())


def load_and_work(task: Task) -> tuple[int, float]:
    """Load the bundle for this one task, then work on one asset: the source's task."""
    return work(*load(task[0]), task[1])


def work_on_loaded(task: Task) -> tuple[int, float]:
    """Work on one asset of a bundle loaded once per worker."""
    return work(*load_once(task[0]), task[1])


def work_on_mapped(task: Task) -> tuple[int, float]:
    """Work on one asset of the bundle that the pool shares under the name ``bundle``, mapped from disk."""
    bundle = shared(HELD)
    return work(bundle.table("bars"), symbols(bundle), task[1])


def work_on_inherited(task: Task) -> tuple[int, float]:
    """Work on one asset of what the pool shares under the name ``bundle``, loaded before the workers were forked."""
    return work(*shared(HELD), task[1])


def hold(loaded: Loaded) -> None:
    """Keep the bundle in this process for children forked later: the source's cache."""
    _held[:] = [loaded]


def work_on_held(task: Task) -> tuple[int, float]:
    """Work on one asset of what this process's parent held."""
    return work(*_held[0], task[1])
