"""Seal a table or an existing database as the bundle's SQLite file: checkpointed, without journal or log."""

from __future__ import annotations

import contextlib
import datetime
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from optengine.bundle.errors import BundleError

if TYPE_CHECKING:
    import pandas as pd

TABLE = "assets"


def seal_assets(assets: pd.DataFrame | str | os.PathLike[str], target: Path) -> None:
    """Write ``assets`` to a new SQLite file at ``target``.

    A frame becomes table "assets": index levels that have names, then columns; timestamps as ISO 8601 text,
    missing values as NULL. A path is copied through SQLite itself, so pages still in a write-ahead log are
    not lost. Raises BundleError when it is neither, or not a healthy database.
    """
    import pandas as pd

    if not isinstance(assets, (pd.DataFrame, str, os.PathLike)):
        raise BundleError(f"assets must be a DataFrame or the path of an SQLite file; received {assets!r}")
    with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as sealed:
        if isinstance(assets, pd.DataFrame):
            _write_frame(assets, sealed)
        else:
            _copy_database(Path(assets), sealed)
        sealed.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        mode = sealed.execute("PRAGMA journal_mode=DELETE").fetchone()[0]
        if mode != "delete":
            raise BundleError(f"a sealed database must have no log; SQLite kept journal_mode {mode!r}")


def _copy_database(source: Path, sealed: sqlite3.Connection) -> None:
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(source))}?mode=ro", uri=True)) as original:
            original.backup(sealed)
        verdict = sealed.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        raise BundleError(
            f"assets must be a readable SQLite file; received {str(source)!r}; {error}"
        ) from error
    if verdict != "ok":
        raise BundleError(f"assets must be a healthy SQLite file; received {str(source)!r}; {verdict}")


def _write_frame(frame: pd.DataFrame, sealed: sqlite3.Connection) -> None:
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    names = [str(name) for name in frame.columns]
    if not names or len({name.lower() for name in names}) != len(names):
        raise BundleError(
            f"assets need columns with distinct names (SQLite ignores case); received {names!r}"
        )
    columns = [_column(frame.iloc[:, position], name) for position, name in enumerate(names)]
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    declared = ", ".join(f"{name} {affinity}" for name, (affinity, _) in zip(quoted, columns, strict=True))
    rows = zip(*(values for _, values in columns), strict=True)
    sealed.execute("BEGIN")
    sealed.execute(f"CREATE TABLE {TABLE} ({declared})")
    sealed.executemany(f"INSERT INTO {TABLE} VALUES ({', '.join('?' * len(names))})", rows)
    sealed.execute("COMMIT")


def _column(series: pd.Series[Any], name: str) -> tuple[str, list[Any]]:
    """Declared type and Python values of one column; missing values are None."""
    import pandas as pd
    from pandas.api import types

    dtype = series.dtype
    convert: Callable[[Any], Any]
    if types.is_bool_dtype(dtype) or types.is_integer_dtype(dtype):
        affinity, convert = "INTEGER", int
    elif types.is_float_dtype(dtype):
        affinity, convert = "REAL", float
    else:
        affinity, convert = "TEXT", lambda value: _text(value, name)
    values = [None if pd.isna(value) else convert(value) for value in series.tolist()]
    if any(isinstance(value, int) and value >= 2**63 for value in values):
        raise BundleError(f"assets column {name!r} must fit into 64-bit signed integers; convert it to text")
    return affinity, values


def _text(value: Any, name: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    raise BundleError(
        f"assets column {name!r} must hold numbers, booleans, text or times; received {value!r}; "
        "convert it to text"
    )
