"""A moving-average crossover on one price series: the example strategy of the sweep.

Long one unit while the fast average is above the slow one, short one unit while it is below. The position known at a
bar's close earns the price change into the next bar. Results are in price units, not in per cent: prices may be
negative, as that of oil was in April 2020, and returns then mean nothing.

::

    optengine sweep wti.csv --strategy optengine.sweep.moving_average:moving_average \\
        --grid fast=5:50:5 --grid slow=60:200:20 --workers 2
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

DATES = ("date", "time", "timestamp", "datetime")
PRICES = ("close", "price", "adj close")
_DAY_S = 86_400.0
_YEAR_S = 365.25 * _DAY_S


def moving_average(frame: pd.DataFrame, fast: int, slow: int, cost: float = 0.0) -> dict[str, float | int]:
    """Metrics of the crossover of ``fast`` and ``slow`` bars; ``cost`` is in price units per unit traded.

    Takes a column Close or Price and, if there is one, a column Date; rows without a price do not count. Returns
    ``sharpe`` (annualised, 0 if nothing varies), ``profit`` and ``max_drawdown`` (price units), ``trades`` (changes of
    position) and ``bars`` (price changes judged). Raises ValueError for lengths that make no sense, too few rows, or
    dates that repeat or go back.
    """
    if not 1 <= fast < slow:
        raise ValueError(f"lengths must satisfy 1 <= fast < slow; received fast={fast}, slow={slow}")
    prices, per_year = price_series(frame)
    if len(prices) < slow + 2:
        raise ValueError(f"at least slow + 2 = {slow + 2} prices are needed; received {len(prices)}")
    held = positions(prices, fast, slow)
    changes = np.diff(prices[slow - 1 :])
    trades = np.diff(held, prepend=0.0)
    net = held * changes - cost * np.abs(trades)
    wealth = np.concatenate([[0.0], np.cumsum(net)])
    spread = float(net.std(ddof=1))
    return {
        "sharpe": float(net.mean()) / spread * math.sqrt(per_year) if spread > 0 else 0.0,
        "profit": float(wealth[-1]),
        "max_drawdown": float((np.maximum.accumulate(wealth) - wealth).max()),
        "trades": int(np.count_nonzero(trades)),
        "bars": len(net),
    }


def positions(prices: Floats, fast: int, slow: int) -> Floats:
    """+1, -1 or 0 for each price change after the first ``slow`` bars, known before the change.

    Takes at least slow + 1 prices.     Worked example: rising prices 1, 2, 3, 4 with 1 and 2 bars give +1, +1.
    """
    sums = np.concatenate([[0.0], np.cumsum(prices - prices[0])])
    quick = (sums[slow:] - sums[slow - fast : len(sums) - fast]) / fast
    long = (sums[slow:] - sums[: len(sums) - slow]) / slow
    gap = quick - long
    # Differences of running sums leave rounding noise; a gap below it is none (a pegged price).
    noise = 1e-12 * max(1.0, float(np.abs(sums).max()))
    held: Floats = np.where(np.abs(gap) <= noise, 0.0, np.sign(gap))[:-1]
    return held


def price_series(frame: pd.DataFrame) -> tuple[Floats, float]:
    """The known prices in order, and how many there are in a year (252 without dates)."""
    column = _column(frame, PRICES)
    if column is None:
        raise ValueError(f"a price column named one of {PRICES} is needed; received {list(frame.columns)}")
    prices = frame[column].to_numpy(dtype=np.float64)
    known = ~np.isnan(prices)
    dates = _column(frame, DATES)
    if dates is None:
        return prices[known], 252.0
    times = frame[dates].to_numpy(dtype="datetime64[s]")[known].astype(np.int64)
    if len(times) > 1 and bool((np.diff(times) <= 0).any()):
        raise ValueError(
            f"each row of column {dates!r} must be later than the one before; received dates that repeat or "
            "go back; sort the file and keep one series in it"
        )
    span = float(times[-1] - times[0]) if len(times) > 1 else 0.0
    return prices[known], (len(times) - 1) / span * _YEAR_S if span else 252.0


def _column(frame: pd.DataFrame, names: tuple[str, ...]) -> Any:
    by_name = {str(column).strip().lower(): column for column in frame.columns}
    return next((by_name[name] for name in names if name in by_name), None)
