"""A trend-following strategy over a market, evaluated walk-forward: a real objective for searches.

For each symbol, on arrays over its bars:

1. Scaled changes: price change over the standard deviation of the changes in the ``vol_window`` days before. They
   are defined for negative prices too, where returns are not; the position is thus sized to equal risk.
2. Position of the rule, +1 or -1: ``cross`` follows the fast over the slow moving average, ``breakout`` the last
   new high or low of ``channel`` days. It earns the next scaled change and pays ``cost`` per unit traded.
3. Walk forward: the history after the first ``train`` days is cut into years. In each year the symbol is traded only
   if the rule's Sharpe ratio over the ``train`` days before it, costs included, exceeds ``threshold``. Only these years
   count, so nothing is judged on data it was chosen with.

The portfolio holds all symbols equally; its monthly results give the annualised Sharpe ratio. Lengths are in trading
days and are converted for symbols with other bars (21 days to a month). A search over these parameters still picks
the best of many results, so the best value overstates what to expect from it.
"""

from __future__ import annotations

import functools
import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from optengine.optimize.objective import Context

Floats = NDArray[np.float64]
Months = NDArray[np.int64]

DAYS_PER_YEAR = 252
_LARGEST_CHANGE = 20.0

SPACE: dict[str, dict[str, Any]] = {
    "rule": {"type": "categorical", "choices": ["cross", "breakout"]},
    "fast": {
        "type": "conditional",
        "when": {"rule": "cross"},
        "parameter": {"type": "integer", "low": 2, "high": 50, "log": True},
    },
    "slow": {
        "type": "conditional",
        "when": {"rule": "cross"},
        "parameter": {"type": "integer", "low": 55, "high": 400, "log": True},
    },
    "channel": {
        "type": "conditional",
        "when": {"rule": "breakout"},
        "parameter": {"type": "integer", "low": 10, "high": 400, "log": True},
    },
    "vol_window": {"type": "integer", "low": 20, "high": 250, "log": True},
    "train": {"type": "integer", "low": 252, "high": 2520, "step": 126},
    "threshold": {"type": "uniform", "low": -1.0, "high": 1.0},
    "cost": {"type": "constant", "value": 0.05},
}
"""The search space of :func:`sharpe`. ``cost`` is in daily standard deviations per unit of position traded."""


@dataclass(frozen=True)
class Series:
    """Prices of one symbol in time order, missing ones left out. ``months`` numbers the calendar month of each."""

    symbol: str
    prices: Floats
    months: Months
    bars_per_year: int

    def bars(self, days: float) -> int:
        """Number of bars, at least 1, that a number of trading days makes."""
        return max(1, round(days * self.bars_per_year / DAYS_PER_YEAR))

    def recent(self, share: float) -> Series:
        """The most recent share (0 to 1) of the series."""
        first = len(self.prices) - math.ceil(share * len(self.prices))
        return Series(self.symbol, self.prices[first:], self.months[first:], self.bars_per_year)


@dataclass(frozen=True)
class Market:
    """Series of several symbols."""

    series: tuple[Series, ...]

    @classmethod
    def from_bars(cls, bars: pd.DataFrame) -> Market:
        """A market from a table with columns ``date``, ``symbol`` and ``close``; rows without a close do not count."""
        known = bars[["date", "symbol", "close"]].dropna().sort_values("date", kind="stable")
        parts = []
        for symbol, rows in known.groupby("symbol", observed=True, sort=True):
            days = rows["date"].to_numpy(dtype="datetime64[D]")
            spacing = float(np.median(np.diff(days).astype(np.int64))) if len(days) > 1 else 1.0
            parts.append(
                Series(
                    str(symbol),
                    np.ascontiguousarray(rows["close"].to_numpy(dtype=np.float64)),
                    days.astype("datetime64[M]").astype(np.int64),
                    12 if spacing > 20 else DAYS_PER_YEAR,
                )
            )
        return cls(tuple(parts))

    @property
    def fingerprint(self) -> str:
        """SHA-256 over symbols, months and prices."""
        digest = hashlib.sha256()
        for series in self.series:
            digest.update(f"{series.symbol} {series.bars_per_year}".encode())
            digest.update(series.months.tobytes())
            digest.update(series.prices.tobytes())
        return digest.hexdigest()

    def get(self) -> Market:
        """Itself: a market can be given as a share handle."""
        return self


@functools.cache
def default_market() -> Market:
    """The real series in the folder named by OPTBENCH_MARKETS, else generated ones; loaded once per process."""
    from optengine.markets import ENVIRONMENT, generate, read_real

    folder = os.environ.get(ENVIRONMENT)
    bars, _, _ = read_real(Path(folder)) if folder else generate()
    return Market.from_bars(bars)


def sharpe(params: dict[str, Any], context: Context) -> float:
    """Annualised out-of-sample Sharpe ratio on the default market; the budget is the recent share of the history."""
    return walk_forward_sharpe(default_market(), params, context.budget or 1.0)


def shared_sharpe(params: dict[str, Any], context: Context) -> float:
    """Like :func:`sharpe`, on the market shared under the name ``market``."""
    return walk_forward_sharpe(context.shared("market"), params, context.budget or 1.0)


def walk_forward_sharpe(market: Market, params: dict[str, Any], share: float = 1.0) -> float:
    """Annualised Sharpe ratio of the portfolio's monthly out-of-sample results; 0 when nothing was ever traded.

    ``share`` is the most recent part of the history to use, above 0 up to 1; the work is proportional to it.
    """
    results = monthly_results(market, params, share)
    spread = float(results.std(ddof=1)) if len(results) > 1 else 0.0
    return 0.0 if spread == 0.0 else float(results.mean()) / spread * math.sqrt(12)


def monthly_results(market: Market, params: dict[str, Any], share: float = 1.0) -> Floats:
    """Net result of the portfolio in each out-of-sample month, in daily standard deviations per symbol."""
    first = min(int(series.months[0]) for series in market.series)
    size = max(int(series.months[-1]) for series in market.series) - first + 1
    total, present = np.zeros(size), np.zeros(size)
    for series in market.series:
        used = series.recent(share)
        start, net = out_of_sample(used, params)
        months = used.months[start:] - first
        total += np.bincount(months, net, size)
        present += np.bincount(months, minlength=size) > 0
    active = present > 0
    results: Floats = total[active] / present[active]
    return results


def out_of_sample(series: Series, params: dict[str, Any]) -> tuple[int, Floats]:
    """Index of the first bar out of sample, and the net result at each bar from there on."""
    train, year = series.bars(params["train"]), series.bars_per_year
    count = len(series.prices)
    if count <= train + 1:
        return count, np.zeros(0)
    change = scaled_changes(series.prices, max(2, series.bars(params["vol_window"])))
    position = rule_position(series, params)
    cost = params["cost"] * math.sqrt(DAYS_PER_YEAR / year)
    gross = _net(position, change, cost)
    starts = np.arange(train, count, year)
    sums, squares = _cumulative(gross), _cumulative(gross**2)
    mean = (sums[starts] - sums[starts - train]) / train
    spread = np.sqrt(np.maximum((squares[starts] - squares[starts - train]) / train - mean**2, 0.0))
    ratio = np.divide(mean, spread, out=np.full(len(starts), -np.inf), where=spread > 1e-12)
    chosen = ratio * math.sqrt(year) > params["threshold"]
    traded = np.repeat(chosen, year)[: count - train]
    held = position.copy()
    held[:train] = 0.0
    held[train:] *= traded
    return train, _net(held, change, cost)[train:]


def scaled_changes(prices: Floats, window: int) -> Floats:
    """Change into each bar over the standard deviation of the ``window`` changes before it; 0 where that is unknown."""
    changes = np.diff(prices, prepend=prices[0])
    scaled = np.zeros(len(prices))
    if len(prices) <= window + 1:
        return scaled
    sums, squares = _cumulative(changes), _cumulative(changes**2)
    mean = (sums[window:-1] - sums[: -window - 1]) / window
    variance = (squares[window:-1] - squares[: -window - 1]) / window - mean**2
    # Differences of large sums leave rounding noise; a spread below it counts as none (a pegged currency).
    spread = np.sqrt(np.maximum(variance, 0.0))
    known = spread > 1e-6 * float(np.abs(prices).mean())
    np.divide(changes[window:], spread, out=scaled[window:], where=known)
    return np.clip(scaled, -_LARGEST_CHANGE, _LARGEST_CHANGE)


def rule_position(series: Series, params: dict[str, Any]) -> Floats:
    """+1 or -1 at each bar, known at its close; 0 until the rule has enough bars."""
    if params["rule"] == "cross":
        fast, slow = series.bars(params["fast"]), series.bars(params["slow"])
        return _crossing(series.prices, fast, max(fast + 1, slow))
    return _breakout(series.prices, max(2, series.bars(params["channel"])))


def _crossing(prices: Floats, fast: int, slow: int) -> Floats:
    position = np.zeros(len(prices))
    if len(prices) > slow:
        sums = _cumulative(prices)
        fast_mean = (sums[slow:] - sums[slow - fast : -fast]) / fast
        slow_mean = (sums[slow:] - sums[:-slow]) / slow
        position[slow - 1 :] = np.sign(fast_mean - slow_mean)
    return position


def _breakout(prices: Floats, channel: int) -> Floats:
    position = np.zeros(len(prices))
    if len(prices) <= channel:
        return position
    windows = np.lib.stride_tricks.sliding_window_view(prices, channel)[:-1]
    latest = prices[channel:]
    signal = (latest > windows.max(axis=1)).astype(np.float64) - (latest < windows.min(axis=1))
    # Hold the last signal: index of the latest bar with one, carried forward.
    last = np.maximum.accumulate(np.where(signal != 0, np.arange(len(signal)), -1))
    position[channel:] = np.where(last >= 0, signal[last], 0.0)
    return position


def _net(position: Floats, change: Floats, cost: float) -> Floats:
    """Result at each bar: the position of the bar before times the change, minus the cost of the last trade."""
    before = np.concatenate([[0.0], position[:-1]])
    traded = np.abs(np.diff(before, prepend=0.0))
    net: Floats = before * change - cost * traded
    return net


def _cumulative(values: Floats) -> Floats:
    """Sums of the first 0, 1, ... n values, shape (n + 1,)."""
    return np.concatenate([[0.0], np.cumsum(values)])
