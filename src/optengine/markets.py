"""A market data bundle: from real CSV files when a folder has them, else from a seeded generator.

Tables of both:

* ``bars``: one row per symbol and day: ``date``, ``symbol`` (category), ``close``; generated bars also
  have ``open``, ``high``, ``low``, ``volume``. Missing and negative prices stay as they are.
* ``adjustments``: ``symbol``, ``date``, ``ratio`` (price factor of a split); empty for real series.
* assets (SQLite table ``assets``): per symbol its ``source``, ``first`` and ``last`` day, ``count`` of rows.

Real files: ``brent.csv``, ``wti.csv``, ``henry_hub_gas.csv`` (Date, Price) and ``fx_monthly.csv`` (Date,
Country, Exchange rate), in one folder. Generated: 8 symbols, 40,987 daily rows, the same for the same seed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from optengine.bundle import Bundle, BundleError

if TYPE_CHECKING:
    import pandas as pd

ENVIRONMENT = "OPTBENCH_MARKETS"
COMMODITIES = {"brent.csv": "BRENT", "wti.csv": "WTI", "henry_hub_gas.csv": "HENRY_HUB"}
CURRENCIES = "fx_monthly.csv"

SYMBOLS = ("ALFA", "BRVO", "CHRL", "DLTA", "ECHO", "FXTR", "GOLF", "HOTL")
ROWS = 40_987


def market_bundle(
    path: str | os.PathLike[str],
    source: str | os.PathLike[str] | None = None,
    *,
    seed: int = 7,
    overwrite: bool = False,
) -> Bundle:
    """Build the market bundle at ``path`` and open it.

    ``source`` is the folder of the real files; without it, the folder named by the environment variable
    OPTBENCH_MARKETS; without that, or when ``source`` is "generated", the generator with ``seed``.
    Raises BundleError when a folder was named and a file is missing in it: it never falls back in silence.
    """
    source = source or os.environ.get(ENVIRONMENT) or "generated"
    bars, adjustments, sources = generate(seed) if source == "generated" else read_real(Path(source))
    tables = {"bars": bars, "adjustments": adjustments}
    return Bundle.build(path, tables, describe(bars, sources), overwrite=overwrite)


def read_real(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, str]]:
    """Bars, (no) adjustments and the source file of each symbol, from the CSV files in ``folder``."""
    import pandas as pd

    parts = []
    sources: dict[str, str] = {}
    for file, symbol in COMMODITIES.items():
        prices = _read(folder / file, ["Date", "Price"])
        parts.append(pd.DataFrame({"date": prices["Date"], "symbol": symbol, "close": prices["Price"]}))
        sources[symbol] = file
    rates = _read(folder / CURRENCIES, ["Date", "Country", "Exchange rate"])
    codes = rates["Country"].map(currency_symbol)
    parts.append(pd.DataFrame({"date": rates["Date"], "symbol": codes, "close": rates["Exchange rate"]}))
    sources |= dict.fromkeys(codes.unique(), CURRENCIES)
    bars = pd.concat(parts, ignore_index=True)
    bars["symbol"] = pd.Categorical(bars["symbol"], categories=sorted(sources))
    return bars, _no_adjustments(bars["symbol"].dtype), sources


def currency_symbol(country: str) -> str:
    """The symbol of a country's exchange rate against the US dollar: "Sri Lanka" is "FX_SRI_LANKA"."""
    return "FX_" + country.strip().upper().replace(" ", "_")


def generate(seed: int = 7) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, str]]:
    """Bars (40,987 rows, 8 symbols), adjustments and sources that look like daily share prices.

    Close is a geometric random walk (daily volatility 1 to 2.5 %); open, high and low surround it. One bar
    in 500 has no close, as after a trading halt; each symbol splits about every four years.
    """
    import numpy as np
    import pandas as pd

    random = np.random.Generator(np.random.PCG64(seed))
    # Listed one after another, all until the same last day, as shares are.
    lengths = np.full(len(SYMBOLS), ROWS // len(SYMBOLS)) + np.arange(len(SYMBOLS)) * 20 - 70
    lengths[-1] += ROWS - int(lengths.sum())
    days = np.busday_offset("2025-12-31", np.arange(1 - int(lengths.max()), 1), roll="backward")
    bars, splits = [], []
    for symbol, length in zip(SYMBOLS, lengths.tolist(), strict=True):
        volatility = random.uniform(0.010, 0.025)
        close = random.uniform(20, 200) * np.exp(np.cumsum(random.normal(0.0002, volatility, length)))
        opening = close * np.exp(random.normal(0, volatility / 3, length))
        reach = np.abs(random.normal(0, volatility / 2, (2, length)))
        dates = days[-length:].astype("M8[s]")
        bars.append(
            pd.DataFrame(
                {
                    "date": dates,
                    "symbol": symbol,
                    "open": opening.round(2),
                    "high": (np.maximum(opening, close) * np.exp(reach[0])).round(2),
                    "low": (np.minimum(opening, close) * np.exp(-reach[1])).round(2),
                    "close": np.where(random.random(length) < 1 / 500, np.nan, close.round(2)),
                    "volume": random.lognormal(13, 0.6, length).astype(np.int64),
                }
            )
        )
        split_days = np.flatnonzero(random.random(length) < 1 / 1000)
        ratios = random.choice([0.5, 0.25, 2.0], len(split_days))
        splits.append(pd.DataFrame({"symbol": symbol, "date": dates[split_days], "ratio": ratios}))
    categories = pd.CategoricalDtype(list(SYMBOLS))
    table = pd.concat(bars, ignore_index=True).astype({"symbol": categories})
    adjustments = pd.concat(splits, ignore_index=True).astype({"symbol": categories})
    return table, adjustments, dict.fromkeys(SYMBOLS, f"generated, seed {seed}")


def describe(bars: pd.DataFrame, sources: dict[str, str]) -> pd.DataFrame:
    """One row per symbol of ``bars``: symbol, source, first and last day, rows and missing prices."""
    import pandas as pd

    grouped = bars.groupby("symbol", observed=True)
    days = grouped["date"].agg(["min", "max", "size"])
    return pd.DataFrame(
        {
            "symbol": days.index.astype(str),
            "source": [sources[symbol] for symbol in days.index],
            "first": days["min"].dt.strftime("%Y-%m-%d").to_numpy(),
            "last": days["max"].dt.strftime("%Y-%m-%d").to_numpy(),
            "count": days["size"].to_numpy(),
            "missing": (days["size"] - grouped["close"].count()).to_numpy(),
        }
    )


def _no_adjustments(symbol: object) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    return pd.DataFrame(
        {
            "symbol": pd.Series([], dtype=symbol),  # type: ignore[call-overload]
            "date": np.array([], "M8[s]"),
            "ratio": np.array([], float),
        }
    )


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    from optengine.bundle.csv_tables import read_csv

    table = read_csv(path)
    if table.column_names != columns:
        raise BundleError(f"{str(path)!r} must have the columns {columns}; received {table.column_names}")
    frame: pd.DataFrame = table.to_pandas()
    return frame
