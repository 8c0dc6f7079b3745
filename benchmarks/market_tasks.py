"""Tasks over the market bundle that worker processes import: kept apart from the tests so that workers stay light."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pyarrow.compute as pc
import pyarrow.parquet as pq

from optengine import Bundle

Task = tuple[str, int]
"""Folder of the sealed bundle, and which of its assets to work on."""


def load(folder: str) -> tuple[dict[str, list[float | None]], list[str]]:
    """Return closing prices by symbol, and the symbols in the order of the asset database.

    Reads the Parquet file whole and opens the database anew, as a worker does that keeps nothing.
    """
    with Bundle.open(folder) as bundle:
        bars = pq.read_table(bundle.parquet("bars"), columns=["symbol", "close"])
        query = "select symbol from assets order by symbol"
        symbols = [symbol for (symbol,) in bundle.assets.execute(query)]
    column = bars["symbol"].cast("string")
    return {s: bars.filter(pc.equal(column, s))["close"].to_pylist() for s in symbols}, symbols


@cache
def load_once(folder: str) -> tuple[dict[str, list[float | None]], list[str]]:
    """Return `load(folder)`, read once per process."""
    return load(folder)


def work(prices: list[float | None]) -> tuple[int, float]:
    """Return how many prices there are and the mean absolute change from one to the next."""
    known = [price for price in prices if price is not None]
    changes = [abs(b - a) for a, b in pairwise(known)]
    return len(known), sum(changes) / len(changes)


def load_and_work(task: Task) -> tuple[int, float]:
    """Load the bundle for this one task, then work on one asset: the source's task."""
    prices, symbols = load(task[0])
    return work(prices[symbols[task[1] % len(symbols)]])


def work_on_loaded(task: Task) -> tuple[int, float]:
    """Work on one asset of a bundle loaded once per worker."""
    prices, symbols = load_once(task[0])
    return work(prices[symbols[task[1] % len(symbols)]])
