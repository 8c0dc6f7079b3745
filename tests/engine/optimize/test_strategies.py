"""The walk-forward strategy: against a plain loop, without look-ahead, on strange prices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from optengine.markets import generate
from optengine.optimize import ParallelOptimizer
from optengine.search import RandomSearchAlgorithm, Space
from optengine.strategies import (
    SPACE,
    Market,
    Series,
    monthly_results,
    out_of_sample,
    rule_position,
    scaled_changes,
    shared_sharpe,
    sharpe,
    walk_forward_sharpe,
)

CROSS = {
    "rule": "cross",
    "fast": 5,
    "slow": 60,
    "vol_window": 30,
    "train": 252,
    "threshold": -0.5,
    "cost": 0.05,
}
BREAK = {"rule": "breakout", "channel": 40, "vol_window": 30, "train": 378, "threshold": 0.0, "cost": 0.05}


@pytest.fixture(scope="module")
def market() -> Market:
    return Market.from_bars(generate(3)[0])


def by_loop(series: Series, params: dict[str, Any]) -> tuple[int, list[float]]:
    """The same strategy bar by bar, in plain Python."""
    prices = series.prices.tolist()
    count, window, train = len(prices), params["vol_window"], params["train"]
    change, position = [0.0] * count, [0.0] * count
    for t in range(window, count):
        past = np.diff(np.array([prices[0], *prices]))[t - window : t]
        spread = float(past.std())
        if t > window and spread > 0:
            change[t] = max(-20.0, min(20.0, (prices[t] - prices[t - 1]) / spread))
        if t == window and spread > 0:
            change[t] = max(-20.0, min(20.0, (prices[t] - prices[t - 1]) / spread))
    for t in range(count):
        if params["rule"] == "cross":
            if t >= params["slow"] - 1:
                fast = sum(prices[t - params["fast"] + 1 : t + 1]) / params["fast"]
                slow = sum(prices[t - params["slow"] + 1 : t + 1]) / params["slow"]
                position[t] = float(np.sign(fast - slow))
        elif t >= params["channel"]:
            past = prices[t - params["channel"] : t]
            position[t] = 1.0 if prices[t] > max(past) else -1.0 if prices[t] < min(past) else position[t - 1]

    def net(held: list[float]) -> list[float]:
        return [0.0] + [
            held[t - 1] * change[t] - params["cost"] * abs(held[t - 1] - (held[t - 2] if t > 1 else 0.0))
            for t in range(1, count)
        ]

    gross, held = net(position), [0.0] * count
    for start in range(train, count, 252):
        window_net = np.array(gross[start - train : start])
        good = (
            window_net.std() > 1e-12
            and window_net.mean() / window_net.std() * math.sqrt(252) > params["threshold"]
        )
        for t in range(start, min(start + 252, count)):
            held[t] = position[t] if good else 0.0
    return train, net(held)[train:]


@pytest.mark.parametrize("params", [CROSS, BREAK])
def test_the_arrays_agree_with_a_plain_loop(params: dict[str, Any], market: Market) -> None:
    """Positions, scaled changes, selection and costs are those of a bar-by-bar loop, to rounding."""
    series = Series("A", market.series[0].prices[:1500], market.series[0].months[:1500], 252)
    start, net = out_of_sample(series, params)
    expected_start, expected = by_loop(series, params)
    assert start == expected_start
    np.testing.assert_allclose(net, expected, rtol=1e-6, atol=1e-7)
    assert np.any(net != 0)


@pytest.mark.parametrize("params", [CROSS, BREAK])
def test_the_future_changes_nothing_before_it(params: dict[str, Any], market: Market) -> None:
    """Replacing all prices after a day leaves the results up to that day as they were."""
    series = market.series[1]
    start, before = out_of_sample(series, params)
    for day in (start + 1, 1000, 2500):
        other = series.prices.copy()
        other[day:] = other[day:] * np.linspace(1, 3, len(other) - day) + 5
        _, after = out_of_sample(Series("B", other, series.months, 252), params)
        np.testing.assert_array_equal(before[: day - start], after[: day - start])


def test_strange_prices_give_finite_results() -> None:
    """Negative, constant, and too short series neither fail nor count for what they cannot say."""
    rng = np.random.default_rng(0)
    months = np.arange(2000) // 21
    wild = Series("WILD", np.cumsum(rng.normal(size=2000)), months, 252)
    flat = Series("FLAT", np.full(2000, 7.7), months, 252)
    short = Series("SHORT", np.arange(10.0), np.zeros(10, dtype=np.int64), 252)
    for params in (CROSS, BREAK):
        assert np.isfinite(monthly_results(Market((wild, flat, short)), params)).all()
        assert walk_forward_sharpe(Market((flat, short)), params) == 0.0
        assert not np.any(out_of_sample(flat, params)[1])
    assert not np.any(scaled_changes(short.prices, 30))
    assert not np.any(rule_position(short, BREAK))
    assert not np.any(rule_position(short, CROSS))


def test_costs_take_from_the_result(market: Market) -> None:
    """With every year traded, a higher cost gives a lower Sharpe ratio."""
    ratios = [
        walk_forward_sharpe(market, {**CROSS, "threshold": -99.0, "cost": cost}) for cost in (0.0, 0.1, 1.0)
    ]
    assert ratios[0] > ratios[1] > ratios[2]


def test_a_share_uses_the_recent_history(market: Market) -> None:
    """A quarter of the history gives the results of a market that holds just that quarter."""
    quarter = Market(tuple(series.recent(0.25) for series in market.series))
    assert walk_forward_sharpe(market, BREAK, 0.25) == walk_forward_sharpe(quarter, BREAK)
    assert walk_forward_sharpe(market, BREAK, 0.25) != walk_forward_sharpe(market, BREAK)


def test_a_market_comes_from_bars() -> None:
    """Missing closes do not count, monthly symbols are known as such, and content fixes the fingerprint."""
    days = pd.to_datetime(["2020-01-02", "2020-01-03", "2020-01-06", "2020-02-03"])
    bars = pd.DataFrame(
        {
            "date": [*days, *pd.date_range("2020-01-01", periods=4, freq="MS")],
            "symbol": ["D"] * 4 + ["M"] * 4,
            "close": [1.0, None, 2.0, -3.0, 5.0, 6.0, 7.0, 8.0],
        }
    )
    market = Market.from_bars(bars)
    assert [series.symbol for series in market.series] == ["D", "M"]
    assert market.series[0].prices.tolist() == [1.0, 2.0, -3.0]
    assert np.diff(market.series[0].months).tolist() == [0, 1]
    assert [series.bars_per_year for series in market.series] == [252, 12]
    assert market.series[1].bars(63) == 3
    other = bars.assign(close=bars["close"].where(bars["close"] != 8.0, 8.5))
    assert Market.from_bars(other).fingerprint != market.fingerprint
    assert Market.from_bars(bars.sample(frac=1.0, random_state=1)).fingerprint == market.fingerprint


def test_the_search_runs_on_workers_as_in_this_process(market: Market) -> None:
    """Both objectives, on the shared and on the default market, give the serial history; points lie in the space."""
    space = Space(SPACE)
    options = {"n_jobs": 2, "backend_options": {"start_method": "fork"}}
    for objective, shared in ((shared_sharpe, {"market": market}), (sharpe, None)):
        runs = []
        for chosen in (options, {"backend": "serial"}):
            run = ParallelOptimizer(
                RandomSearchAlgorithm(space, 12, 1), progress=False, shared=shared, **chosen
            )
            run.run(objective)
            runs.append(run)
        assert runs[0].history_bytes() == runs[1].history_bytes()
        assert all(trial.state == "complete" for trial in runs[0].trials)
