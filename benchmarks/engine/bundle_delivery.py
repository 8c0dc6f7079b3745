"""Delivering a data bundle to workers: load per task, load once per worker, memory-map, or inherit by fork.

Claim: attaching a sealed bundle costs a worker less than 2 ms and about the same memory whatever its size.

Traps avoided: all ways use the same start method; starting the pool, loading, working and shutting down are all
inside the clock, also for what the parent loads before the fork; ways take turns in a seeded random order and their
results are compared. The loading is real: Parquet is read into a frame and an SQLite database is opened, which makes
an object that holds a connection and cannot be pickled. Losing cells are printed like the others.

The second table is about fresh workers, for bundles of several sizes: what the first access costs one, and what one
more worker adds to the memory of the tree of processes (proportional set size): all of it, and the part that came with
reading every byte of the bundle, measured in the same pool before and after. What does not grow with the bundle are
pages of the interpreter: every object a worker uses has its reference count written, which makes its page the worker's.

Run: ``python benchmarks/engine/bundle_delivery.py [--rounds 10] [--workers 2,8] [--tasks 16] [--scale 1,25]
[--start-method fork] [--json bundle.json]``. Data: the folder named by OPTBENCH_MARKETS or beside the repository,
else generated.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import sqlite3
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

import optengine
from optengine import Bundle, PersistentWorkerPool, SharedBundle
from optengine.markets import market_bundle

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from markets_data import find_markets
from sharing import numbers, tree_pss

Rows = list[dict[str, Any]]


class LoadedMarket:
    """What a classic loader makes of the bundle: frames in memory and a live SQLite connection."""

    def __init__(self, path: str) -> None:
        bundle = Bundle.open(path)
        self.bars = pq.read_table(bundle.parquet("bars")).to_pandas()
        self.database = str(next(Path(path).glob("assets-*.sqlite")))
        self.connection: sqlite3.Connection | None = None
        self.connect()

    def connect(self) -> None:
        """Open the database."""
        self.connection = sqlite3.connect(self.database)

    def disconnect(self) -> None:
        """Close the database."""
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def frame(self, _: str) -> pd.DataFrame:
        """The bars, as ``Bundle.frame`` gives them."""
        return self.bars

    @property
    def assets(self) -> sqlite3.Connection:
        """The connection, as ``Bundle.assets`` gives it."""
        assert self.connection is not None
        return self.connection


class MarketLoader:
    """Loads the bundle the classic way; can cut it from its connection before a fork."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self) -> LoadedMarket:
        """Load it."""
        return LoadedMarket(self.path)

    def detach(self, market: LoadedMarket) -> None:
        """Close what must not cross a fork."""
        market.disconnect()

    def attach(self, market: LoadedMarket) -> None:
        """Reopen it in the worker."""
        market.connect()


def retrieve(market: Any) -> tuple[int, int, float]:
    """The work of a task, next to none: all symbols, and one column's sum."""
    symbols = market.assets.execute("SELECT count(*) FROM assets").fetchone()[0]
    bars = market.frame("bars")
    return symbols, len(bars), round(float(bars["close"].sum()), 4)


def load_and_retrieve(path: str) -> tuple[int, int, float]:
    """A task that loads the bundle for itself."""
    market = LoadedMarket(path)
    found = retrieve(market)
    market.disconnect()
    return found


def share_and_retrieve(_: str) -> tuple[int, int, float]:
    """A task that uses the bundle its worker was given."""
    return retrieve(optengine.shared("bundle"))


def share_ways(path: str) -> dict[str, Callable[[], SharedBundle] | None]:
    """How each way shares the bundle; None loads it in every task."""
    return {
        "load per task": None,
        "load once per worker": lambda: SharedBundle.create(MarketLoader(path), "load"),
        "memory-mapped": lambda: SharedBundle.create(path),
        "inherited by fork": lambda: SharedBundle.create(MarketLoader(path), "fork"),
    }


def run(way: str, path: str, method: str, workers: int, tasks: int) -> tuple[list[Any], float]:
    """Results of all tasks, and seconds from nothing to the pool being gone."""
    create = share_ways(path)[way]
    gc.collect()
    began = time.perf_counter()
    if create is None:
        with PersistentWorkerPool(workers, start_method=method) as pool:
            found = pool.run_batch(load_and_retrieve, [path] * tasks, chunksize=1)
    else:
        with (
            create() as shared,
            PersistentWorkerPool(workers, start_method=method, shared={"bundle": shared}) as pool,
        ):
            found = pool.run_batch(share_and_retrieve, [path] * tasks, chunksize=1)
    return found, time.perf_counter() - began


def measure_runs(path: str, method: str, workers: Sequence[int], tasks: int, rounds: int, seed: int) -> Rows:
    """Seconds of every way, number of workers and round; the first round warms the page cache and does not count."""
    order = random.Random(seed)
    expected = load_and_retrieve(path)
    found: Rows = []
    ways = list(share_ways(path))
    for count in workers:
        for turn in range(rounds + 1):
            for way in order.sample(ways, len(ways)):
                results, seconds = run(way, path, method, count, tasks)
                if results != [expected] * tasks:
                    raise SystemExit(f"{way} returned other results: {results[0]}, expected {expected}")
                if turn:
                    found.append({"workers": count, "way": way, "seconds": seconds})
    return found


def first_access(_: int) -> tuple[float, float, float]:
    """Seconds until a fresh worker has the bundle, then a frame of it, then an answer of its database."""
    began = time.perf_counter()
    bundle = optengine.shared("bundle")
    if isinstance(bundle, Bundle):
        bundle.table("bars")
    attached = time.perf_counter()
    bundle.frame("bars")
    framed = time.perf_counter()
    bundle.assets.execute("SELECT count(*) FROM assets").fetchone()
    return attached - began, framed - attached, time.perf_counter() - framed


def read_all(_: int) -> list[int]:
    """Read every byte of the bars without making anything of them, so that only what holds them is in memory."""
    frame = optengine.shared("bundle").frame("bars")
    time.sleep(0.02)  # so that every worker gets its share of these tasks
    columns = [frame[name].array for name in frame.columns]
    return [zlib.crc32(np.asarray(getattr(column, "codes", column))) for column in columns]


def measure_workers(path: str, method: str, repeats: int) -> Rows:
    """First access of fresh workers (seconds), and bytes one more worker adds to the tree, by way."""
    found: Rows = []
    nbytes = Bundle.open(path).nbytes
    for way, create in share_ways(path).items():
        if create is None:
            continue
        accesses = []
        for _ in range(repeats):
            with (
                create() as shared,
                PersistentWorkerPool(1, start_method=method, shared={"bundle": shared}) as pool,
            ):
                accesses += pool.run_batch(first_access, [0])
        held = {count: _held_by(create, method, count) for count in (1, 3)}
        total, read = ((more - one) / 2 for one, more in zip(held[1], held[3], strict=True))
        attach, frame, assets = ([value * 1e3 for value in column] for column in zip(*accesses, strict=True))
        found.append(
            {
                "way": way,
                "bundle_mb": nbytes / 1e6,
                "attach_ms": attach,
                "frame_ms": frame,
                "assets_ms": assets,
                "mb_per_extra_worker": total / 1e6,
                "mb_by_reading": read / 1e6,
                "part_of_bundle": read / nbytes,
            }
        )
    return found


def _held_by(create: Callable[[], SharedBundle], method: str, workers: int) -> tuple[float, float]:
    """Bytes the tree holds after every worker read the whole bundle, and how many of them came with reading.

    Medians of three pools, whose workers have imported everything before.
    """
    found = []
    for _ in range(3):
        with (
            create() as shared,
            PersistentWorkerPool(workers, start_method=method, shared={"bundle": shared}) as pool,
        ):
            pool.run_batch(_import_everything, range(workers * 4), chunksize=1)
            before = tree_pss()
            pool.run_batch(read_all, range(workers * 4), chunksize=1)
            after = tree_pss()
            found.append((after, after - before))
    total, read = zip(*found, strict=True)
    return statistics.median(total), statistics.median(read)


def _import_everything(_: int) -> int:
    time.sleep(0.02)
    return zlib.crc32(np.asarray(pd.DataFrame({"a": [1.0]})["a"].array))


def enlarge(path: Path, target: Path, scale: int) -> Path:
    """The bundle at ``path``, or one with its bars repeated ``scale`` times at ``target``."""
    if scale == 1:
        return path
    with Bundle.open(path) as bundle:
        bars = pd.concat([bundle.frame("bars")] * scale, ignore_index=True)
        assets = next(path.glob("assets-*.sqlite"))
        Bundle.build(target, {"bars": bars}, assets)
    return target


def runs_table(found: Rows, tasks: int) -> str:
    """Medians over rounds as a markdown table; ratios are medians of the rounds' ratios."""
    lines = [
        "| workers | tasks | way | whole run, ms | range | times faster than load per task | than once per worker |",
        "|---:|---:|---|---:|---:|---:|---:|",
    ]
    for count, way in dict.fromkeys((row["workers"], row["way"]) for row in found):

        def of(name: str, count: int = count) -> list[float]:
            return [row["seconds"] for row in found if (row["workers"], row["way"]) == (count, name)]

        each = of(way)
        ratios = [
            statistics.median(a / b for a, b in zip(of(name), each, strict=True))
            for name in ("load per task", "load once per worker")
        ]
        lines.append(
            f"| {count} | {tasks} | {way} | {statistics.median(each) * 1e3:.1f} | "
            f"{min(each) * 1e3:.1f} to {max(each) * 1e3:.1f} | {ratios[0]:.2f} | {ratios[1]:.2f} |"
        )
    return "\n".join(lines)


def workers_table(found: Rows) -> str:
    """First access and memory per worker as a markdown table."""
    lines = [
        "| bundle, MB | way | attach, ms | then a frame, ms | then assets, ms "
        "| MB per extra worker | of them by reading | of the bundle |",
        "|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in found:
        costs = " | ".join(
            f"{statistics.median(row[what]):.2f}" for what in ("attach_ms", "frame_ms", "assets_ms")
        )
        lines.append(
            f"| {row['bundle_mb']:.1f} | {row['way']} | {costs} | {row['mb_per_extra_worker']:.2f} | "
            f"{row['mb_by_reading']:.2f} | "
            f"{row['part_of_bundle']:.1%} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--workers", type=numbers, default=[2, 8])
    parser.add_argument("--tasks", type=int, default=16)
    parser.add_argument("--scale", type=numbers, default=[1, 25, 100], help="sizes of the second table")
    parser.add_argument("--start-method", default="fork", choices=["fork", "preload", "forkserver", "spawn"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write every single figure here")
    options = parser.parse_args(arguments)
    source = find_markets()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "markets"
        market_bundle(path, source).close()
        print(f"data: {'real series' if source else 'generated'}; start method: {options.start_method}\n")
        runs = measure_runs(
            str(path), options.start_method, options.workers, options.tasks, options.rounds, options.seed
        )
        print(runs_table(runs, options.tasks))
        workers: Rows = []
        for scale in options.scale:
            larger = enlarge(path, Path(folder) / f"markets-{scale}", scale)
            workers += measure_workers(str(larger), options.start_method, 5)
        print(f"\n{workers_table(workers)}")
    if options.json:
        options.json.write_text(json.dumps({"runs": runs, "workers": workers}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
