"""Tables that the bundle tests seal, in a module that child processes import without the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd


def make_bars(rows=100):
    return pd.DataFrame(
        {
            "date": pd.date_range("2020-04-01", periods=rows, freq="D"),
            "symbol": pd.Categorical(["WTI", "BRENT"] * (rows // 2)),
            "close": np.linspace(-36.98, 60, rows),
            "note": ["", None] * (rows // 2),
        }
    )


def files_of(path):
    return sorted(str(file.relative_to(path)) for file in Path(path).rglob("*") if file.is_file())
