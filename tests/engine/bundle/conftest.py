"""Fixtures for the bundle tests."""

from __future__ import annotations

import contextlib
import sqlite3

import numpy as np
import pandas as pd
import pytest
from bundle_tables import make_bars

from optengine.bundle import Bundle
from optengine.bundle.handles import all_connections


@pytest.fixture
def bars():
    return make_bars()


@pytest.fixture
def assets():
    return pd.DataFrame(
        {
            "symbol": ["WTI", "BRENT"],
            "lot": [1000, 500],
            "fee": [0.5, np.nan],
            "listed": pd.to_datetime(["1986-01-02", None]),
            "active": [True, False],
            "rank": pd.array([1, None], dtype="Int64"),
        }
    )


@pytest.fixture
def bundle(tmp_path, bars):
    with Bundle.build(tmp_path / "b", {"bars": bars}, pd.DataFrame({"symbol": ["WTI", "BRENT"]})) as bundle:
        yield bundle


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
