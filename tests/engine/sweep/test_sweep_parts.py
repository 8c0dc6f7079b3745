"""The parts of a sweep: grid, metrics, table of outcomes, results file, the example strategy."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optengine.sweep import Axis, Outcome, SweepError, parse_axes, parse_axis, points
from optengine.sweep.moving_average import moving_average, positions, price_series
from optengine.sweep.outcome import as_text, best, errors_as_text, to_arrow
from optengine.sweep.output import ParquetOutput
from optengine.sweep.strategy import as_metrics, check_takes, load_strategy


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("fast=5:50:5", tuple(range(5, 51, 5))),
        ("fast=5:49:5", tuple(range(5, 46, 5))),
        ("x=0.1:0.5:0.1", (0.1, 0.2, 0.3, 0.4, 0.5)),
        ("x=3:1:-1", (3, 2, 1)),
        ("x=7:7:1", (7,)),
        ("x=1:2:0.5", (1.0, 1.5, 2.0)),
        ("x=-2:2:2", (-2, 0, 2)),
        ("x=1,2,10", (1, 2, 10)),
        ("x= 1 , 2.5", (1.0, 2.5)),
        ("x=1e-3,1", (0.001, 1.0)),
        ("rule=cross,breakout", ("cross", "breakout")),
        ("cost=0.1", (0.1,)),
    ],
)
def test_an_axis_has_the_values_written(text: str, values: tuple[object, ...]) -> None:
    """Ranges include a stop that a step lands on, decimals are exact, types follow the writing."""
    axis = parse_axis(text)
    assert axis.values == values
    assert [type(value) for value in axis.values] == [type(value) for value in values]


@given(st.integers(-1000, 1000), st.integers(1, 50), st.integers(0, 40))
def test_a_range_is_arithmetic(start: int, step: int, count: int) -> None:
    """start, start + step, ... up to stop and no further, whatever the numbers."""
    stop = start + step * count + step // 2
    assert parse_axis(f"x={start}:{stop}:{step}") == Axis("x", tuple(range(start, stop + 1, step)))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["fast"], r"name=start:stop:step or name=a,b,c; received 'fast'"),
        (["1x=1,2"], r"received '1x=1,2'"),
        (["x=1:2"], r"three numbers; received 'x=1:2'"),
        (["x=1:b:1"], r"three numbers; received 'x=1:b:1'"),
        (["x=1:inf:1"], r"three numbers; received 'x=1:inf:1'"),
        (["x=1:5:0"], r"lead from start to stop; received 'x=1:5:0'"),
        (["x=1:5:-1"], r"lead from start to stop"),
        (["x=1,,2"], r"received an empty one in 'x=1,,2'"),
        (["x=1,1"], r"must differ; received 'x=1,1'"),
        (["x=1,high"], r"all numbers or all texts; received 'x=1,high'"),
        (["x=0:1e9:1"], r"at most 1,000,000 values"),
        (["x=1:2000:1", "y=1:2000:1"], r"at most 1,000,000 points; received 4,000,000"),
        (["x=1,2", "x=3"], r"received \['x'\] more than once"),
        ([], r"at least one axis; received none"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(texts: list[str], message: str) -> None:
    """The message says the rule and quotes what was received."""
    with pytest.raises(SweepError, match=message):
        parse_axes(texts)


def test_points_are_the_product_of_the_axes() -> None:
    """The last axis varies fastest."""
    grid = points([Axis("a", (1, 2)), Axis("b", ("u", "v"))])
    assert list(grid) == [{"a": 1, "b": "u"}, {"a": 1, "b": "v"}, {"a": 2, "b": "u"}, {"a": 2, "b": "v"}]


def test_metrics_are_plain_numbers() -> None:
    """NumPy scalars become Python's, a bare number is named value."""
    metrics = as_metrics({"a": np.float64(1.5), "b": np.int64(2), "c": np.bool_(True), "d": None}, {"x": 1})
    assert metrics == {"a": 1.5, "b": 2, "c": True, "d": None}
    assert [type(value) for value in metrics.values()] == [float, int, bool, type(None)]
    assert as_metrics(3, {"x": 1}) == {"value": 3}


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"x": 1}, "other than a parameter's .* received 'x'"),
        ({"seconds": 1}, "received 'seconds'"),
        ({1: 1}, "received 1"),
        ({"a": "high"}, "must be a number or None; received a='high'"),
        (np.zeros(3), "must be a number or None"),
        ({}, "at least one metric"),
        (None, None),
    ],
)
def test_other_results_are_refused(result: object, message: str | None) -> None:
    """What is not named numbers is an error that says so; None is a missing value."""
    if message is None:
        assert as_metrics(result, {"x": 1}) == {"value": None}
        return
    with pytest.raises((TypeError, ValueError), match=message):
        as_metrics(result, {"x": 1})


OUTCOMES = [
    Outcome({"x": 1}, {"gain": 2.0, "trades": 3, "up": True}, 0.5),
    Outcome({"x": 2}, error_kind="exception", error="ValueError: no"),
    Outcome({"x": 3}, {"gain": float("nan"), "trades": 1, "up": False}, 0.5),
    Outcome({"x": 4}, {"gain": 5.0, "trades": 2**70, "up": False}, 0.5),
    Outcome({"x": 5}, {"gain": 5.0, "trades": 4, "up": False, "late": 1}, 0.5),
]


def test_the_table_holds_every_point() -> None:
    """One row per point in grid order, types kept where they can be, nulls where there is no value."""
    table = to_arrow(OUTCOMES)
    assert table.column_names == ["x", "gain", "trades", "up", "late", "seconds", "error_kind", "error"]
    assert table["x"].to_pylist() == [1, 2, 3, 4, 5]
    assert table.schema.field("up").type == pa.bool_()
    assert table.schema.field("late").type == pa.int64()
    assert table.schema.field("trades").type == pa.float64()  # one of them does not fit 64 bits
    assert table["error"].to_pylist() == [None, "ValueError: no", None, None, None]
    assert table["seconds"].to_pylist()[1] is None


def test_the_best_come_first() -> None:
    """By the metric, ties in grid order; failures and not-a-number never."""
    assert [o.point["x"] for o in best(OUTCOMES, "gain", 9, ascending=False)] == [4, 5, 1]
    assert [o.point["x"] for o in best(OUTCOMES, "gain", 2, ascending=True)] == [1, 4]


def test_the_printed_table_is_aligned() -> None:
    """Header, rule, rows; a missing metric is blank."""
    lines = as_text(OUTCOMES[3:]).splitlines()
    assert lines[0].split() == ["x", "gain", "trades", "up", "late", "seconds"]
    assert len({len(line) for line in lines}) == 1
    assert lines[2].split() == ["4", "5", str(2**70), "False", "0.5"]


def test_errors_are_counted_by_wording() -> None:
    """The most frequent first; what does not fit is counted."""
    many = [Outcome({"x": i}, error_kind="exception", error=f"E{i % 3}") for i in range(7)]
    assert errors_as_text(many, 2) == [
        "3 x exception: E0",
        "2 x exception: E1",
        "and 1 other errors, see the error column",
    ]


def test_a_results_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """An error before the write leaves the old file and nothing else."""
    path = tmp_path / "results.parquet"
    path.write_bytes(b"before")
    with pytest.raises(RuntimeError, match="stop"), ParquetOutput(path):
        raise RuntimeError("stop")
    assert [p.name for p in tmp_path.iterdir()] == ["results.parquet"]
    assert path.read_bytes() == b"before"
    with ParquetOutput(path) as output:
        output.write(to_arrow(OUTCOMES))
    assert pq.read_table(path).num_rows == 5
    assert [p.name for p in tmp_path.iterdir()] == ["results.parquet"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("results.csv", "must end in .parquet"),
        ("missing/results.parquet", "must be writable; .*No such file"),
        ("folder.parquet", "received the folder"),
    ],
)
def test_a_results_file_that_cannot_be_is_refused_at_once(tmp_path: Path, name: str, message: str) -> None:
    """Before any work, with the path."""
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(SweepError, match=message):
        ParquetOutput(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("moving_average", "module:function; received 'moving_average'"),
        ("no_such_module_here:f", "ModuleNotFoundError"),
        ("math:no_such_function", "AttributeError"),
        ("math:pi", "must be callable; received 'math:pi', a float"),
    ],
)
def test_a_strategy_that_cannot_be_found_is_refused(name: str, message: str) -> None:
    """The message quotes the name and the cause."""
    with pytest.raises(SweepError, match=message):
        load_strategy(name)


def test_a_strategy_must_take_the_axes() -> None:
    """A misspelt axis is found before the work, not in every row."""
    with pytest.raises(SweepError, match=r"axes \['fst', 'slow'\] by name"):
        check_takes(moving_average, {"fst": 1, "slow": 2})
    check_takes(moving_average, {"fast": 1, "slow": 2})
    check_takes(max, {"key": 1})  # a built-in without a signature is taken as it is


def slow_reference(prices: list[float], fast: int, slow: int, cost: float) -> tuple[float, int]:
    """Profit and trades of the crossover, bar by bar in plain Python."""
    profit, held, trades = 0.0, 0, 0
    for bar in range(slow - 1, len(prices) - 1):
        gap = sum(prices[bar - fast + 1 : bar + 1]) / fast - sum(prices[bar - slow + 1 : bar + 1]) / slow
        wanted = 0 if abs(gap) < 1e-9 else int(math.copysign(1, gap))
        trades += wanted != held
        profit += wanted * (prices[bar + 1] - prices[bar]) - cost * abs(wanted - held)
        held = wanted
    return profit, trades


def test_the_moving_average_equals_a_plain_one() -> None:
    """Against a bar-by-bar reference, on a walk that goes negative."""
    prices = 5 + np.cumsum(np.random.default_rng(3).normal(0, 1, 400))
    assert prices.min() < 0
    frame = pd.DataFrame({"Date": pd.date_range("2020", periods=400), "Price": prices})
    metrics = moving_average(frame, 7, 30, 0.25)
    profit, trades = slow_reference(prices.tolist(), 7, 30, 0.25)
    assert metrics["profit"] == pytest.approx(profit)
    assert metrics["trades"] == trades
    assert metrics["bars"] == 370
    assert metrics["max_drawdown"] >= 0


def test_the_moving_average_looks_at_no_later_price() -> None:
    """Changing the last price changes no position."""
    prices = np.cumsum(np.random.default_rng(4).normal(0, 1, 100))
    changed = prices.copy()
    changed[-1] += 1000
    assert (positions(prices, 3, 10) == positions(changed, 3, 10)).all()


def test_a_price_that_never_moves_is_never_traded() -> None:
    """Rounding noise of running sums makes no trades, and no spread gives no ratio."""
    metrics = moving_average(pd.DataFrame({"close": [0.1] * 500}), 3, 20)
    assert metrics["trades"] == 0
    assert metrics["sharpe"] == 0.0


def test_missing_prices_do_not_count() -> None:
    """Rows without a price are left out, the pace of the year comes from the dates."""
    frame = pd.DataFrame(
        {"date": pd.date_range("2020", periods=25, freq="MS"), "close": [1.0, np.nan] * 12 + [1.0]}
    )
    prices, per_year = price_series(frame)
    assert len(prices) == 13
    assert per_year == pytest.approx(6, abs=0.1)


@pytest.mark.parametrize(
    ("columns", "lengths", "message"),
    [
        ({"close": [1.0, 2, 3, 4]}, (2, 2), "1 <= fast < slow; received fast=2, slow=2"),
        ({"close": [1.0, 2, 3, 4]}, (0, 2), "received fast=0"),
        ({"close": [1.0, 2, 3, 4]}, (1, 3), "at least slow \\+ 2 = 5 prices are needed; received 4"),
        ({"volume": [1.0, 2, 3, 4]}, (1, 2), r"a price column .* received \['volume'\]"),
        (
            {"date": pd.to_datetime(["2020"] * 4), "close": [1.0, 2, 3, 4]},
            (1, 2),
            "dates that repeat or go back",
        ),
    ],
)
def test_the_moving_average_says_what_it_needs(
    columns: dict[str, object], lengths: tuple[int, int], message: str
) -> None:
    """Lengths, rows, columns and dates that make no sense are errors, not numbers."""
    with pytest.raises(ValueError, match=message):
        moving_average(pd.DataFrame(columns), *lengths)
