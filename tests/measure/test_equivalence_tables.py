"""The default comparison on numpy, pandas and Arrow data."""

from __future__ import annotations

import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pytest_optbench.measure.equivalence import compare

NAT = np.datetime64("NaT", "D")


def frame(**changes: object) -> pd.DataFrame:
    columns: dict[str, object] = {
        "close": [1.0, 2.0, np.nan],
        "volume": [10, 20, 30],
        "symbol": ["A", "B", None],
        "day": pd.to_datetime(["2026-01-01", "2026-01-02", None]),
        "instant": pd.to_datetime(["2026-01-01", "2026-01-02", None]).tz_localize("UTC"),
        "side": pd.Categorical(["buy", "sell", "buy"]),
        "count": pd.array([1, None, 3], dtype="Int64"),
        "flag": pd.array([True, None, False], dtype="boolean"),
        "weight": pd.array([1.5, None, 2.5], dtype="Float64"),
    }
    columns.update(changes)
    return pd.DataFrame(columns, index=pd.Index([10, 20, 30], name="id"))


class Quantity(np.ndarray):
    """An array with a unit."""

    @classmethod
    def of(cls, values: list[float], unit: str) -> Quantity:
        made = np.array(values).view(cls)
        made.unit = unit
        return made


EQUAL = {
    "subclass with an attribute": (Quantity.of([1.0], "m"), Quantity.of([1.0 + 1e-12], "m")),
    "floats within tolerance": (np.array([1.0, np.nan]), np.array([1.0 + 1e-10, np.nan])),
    "float32 within its precision": (np.array([1.0], "f4"), np.array([1.0 + 5e-7], "f4")),
    "float32 and float64": (np.array([0.1], "f4"), np.array([0.1])),
    "int32 and int64": (np.array([1, 2], "i4"), np.array([1, 2], "i8")),
    "signed and unsigned": (np.array([1], "i8"), np.array([1], "u8")),
    "infinities": (np.array([np.inf, -np.inf]), np.array([np.inf, -np.inf])),
    "complex": (np.array([1 + 1j, complex(np.nan, 1)]), np.array([1 + 1j, complex(np.nan, 1)])),
    "text": (np.array(["a", "b"]), np.array(["a", "b"])),
    "dates": (np.array(["2026-01-01", NAT], "M8[D]"), np.array(["2026-01-01", NAT], "M8[ns]")),
    "durations": (np.array([1, 2], "m8[s]"), np.array([1000, 2000], "m8[ms]")),
    "objects": (np.array([[1.0], None], object), np.array([[1.0 + 1e-12], None], object)),
    "structured": (
        np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
        np.array([(1, 2.0 + 1e-12)], [("a", "i4"), ("b", "f8")]),
    ),
    "masked": (np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 9], mask=[0, 1])),
    "masked structured": (
        np.ma.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.ma.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    ),
    "raw": (np.array([b"ab"], "V2"), np.array([b"ab"], "V2")),
    "empty": (np.zeros((0, 3)), np.zeros((0, 3))),
    "0-d": (np.array(1.0), np.array(1.0)),
    "numpy and Python scalars": (
        [np.float64(1), np.int32(2), np.bool_(True), np.float32(0.1)],
        [1.0, 2, True, 0.1],
    ),
    "numpy scalars of dates": (np.datetime64("2026-01-01"), np.datetime64("2026-01-01", "s")),
    "numpy durations": (np.timedelta64(1, "s"), np.timedelta64(1000, "ms")),
    "numpy complex": (np.complex128(1 + 1j), 1 + 1j),
    "frames": (frame(), frame(close=[1.0, 2.0 + 1e-12, np.nan])),
    "frames with int32 for int64": (frame(), frame(volume=np.array([10, 20, 30], "i4"))),
    "categories in another order": (
        frame(),
        frame(side=pd.Categorical(["buy", "sell", "buy"], categories=["sell", "buy"])),
    ),
    "series": (pd.Series([1.0, 2.0], name="a"), pd.Series([1.0, 2.0 + 1e-12], name="a")),
    "range and plain index": (pd.RangeIndex(2), pd.Index([0, 1])),
    "multi-index": (
        pd.MultiIndex.from_tuples([("a", 1.0)], names=["x", "y"]),
        pd.MultiIndex.from_tuples([("a", 1.0 + 1e-12)], names=["x", "y"]),
    ),
    "periods": (
        pd.period_range("2026-01", periods=2, freq="M"),
        pd.period_range("2026-01", periods=2, freq="M"),
    ),
    "intervals": (pd.interval_range(0, 2), pd.interval_range(0, 2)),
    "extension arrays": (pd.array([1, None], dtype="Int64"), pd.array([1, None], dtype="Int64")),
    "timestamps": (pd.Timestamp("2026-01-01"), pd.Timestamp("2026-01-01")),
    "missing": ([pd.NaT, pd.NA], [pd.NaT, pd.NA]),
    "Arrow chunks": (pa.chunked_array([[1, 2], [3]]), pa.chunked_array([[1], [2, 3]])),
    "Arrow array and chunks": (pa.array([1, 2]), pa.chunked_array([[1], [2]])),
    "Arrow floats": (pa.array([1.0, None, np.nan]), pa.array([1.0 + 1e-12, None, np.nan])),
    "Arrow nested": (pa.array([[1.0], None]), pa.array([[1.0 + 1e-12], None])),
    "Arrow tables": (
        pa.table({"a": pa.chunked_array([[1.0], [2.0]]), "b": ["x", None]}),
        pa.table({"a": [1.0, 2.0 + 1e-12], "b": ["x", None]}),
    ),
    "Arrow batch and table": (pa.record_batch({"a": [1]}), pa.table({"a": [1]})),
    "Arrow scalars": (pa.scalar(1.0), pa.scalar(1.0 + 1e-12)),
    "Arrow schemas": (pa.schema([("a", pa.int32())]), pa.schema([("a", pa.int32())])),
    "Arrow dictionaries": (
        pa.array(["a", "b"]).dictionary_encode(),
        pa.array(["a", "b"]).dictionary_encode(),
    ),
}


@pytest.mark.parametrize(("expected", "actual"), EQUAL.values(), ids=EQUAL.keys())
def test_equal_tables(expected, actual):
    """Arrays and tables that agree within the documented rules are equal, both ways round."""
    assert compare(expected, actual) is None
    assert compare(actual, expected) is None


DIFFERENT = {
    "attribute of a subclass": (
        Quantity.of([1.0], "m"),
        Quantity.of([1.0], "km"),
        "result.__dict__['unit']: expected 'm', got 'km'",
    ),
    "subclass and array": (Quantity.of([1.0], "m"), np.array([1.0]), "types Quantity and ndarray"),
    "shape": (np.zeros(2), np.zeros(3), "(shapes (2,) and (3,))"),
    "dtype kind": (np.array([1, 2]), np.array([1.0, 2.0]), "(dtypes int64 and float64)"),
    "bool and int": (np.array([True]), np.array([1]), "(dtypes bool and int64)"),
    "bool and int scalars": (np.bool_(True), 1, "types bool and int"),
    "place": (
        np.arange(12.0).reshape(3, 4),
        np.arange(12.0).reshape(3, 4) + np.eye(3, 4) * [0, 0.5, 3, 0],
        "result[1, 1]: expected 5.0, got 5.5 (2 of 12 elements differ, by up to 3)",
    ),
    "finite and infinite": (
        np.array([1.0, 2.0]),
        np.array([1.0, np.inf]),
        "result[1]: expected 2.0, got inf (1 of 2 elements differ, by up to 0)",
    ),
    "NaN": (np.array([1.0]), np.array([np.nan]), "result[0]: expected 1.0, got nan"),
    "complex": (np.array([1 + 1j]), np.array([1 + 2j]), "result[0]: expected (1+1j), got (1+2j)"),
    "ints": (np.array([1, 2]), np.array([1, 3]), "result[1]: expected 2, got 3 (1 of 2 elements differ)"),
    "text": (np.array(["a"]), np.array(["b"]), "result[0]: expected 'a', got 'b'"),
    "dates": (np.array([NAT]), np.array(["2026-01-01"], "M8[D]"), "result[0]: expected "),
    "objects": (
        np.array([[1, [2]]], object),
        np.array([[1, [3]]], object),
        "result[0, 1][0]: expected 2, got 3",
    ),
    "fields": (
        np.array([(1,)], [("a", "i4")]),
        np.array([(1,)], [("b", "i4")]),
        "(fields ('a',) and ('b',))",
    ),
    "a field": (
        np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
        np.array([(1, 3.0)], [("a", "i4"), ("b", "f8")]),
        "result['b'][0]: expected 2.0, got 3.0",
    ),
    "mask": (
        np.ma.array([1, 2], mask=[0, 1]),
        np.ma.array([1, 2], mask=[1, 1]),
        "result.mask[0]: expected False, got True",
    ),
    "masked values": (
        np.ma.array([1, 2], mask=[0, 1]),
        np.ma.array([3, 2], mask=[0, 1]),
        "result[0]: expected 1, got 3",
    ),
    "masked objects": (
        np.ma.array([1, 2], mask=[0, 1], dtype=object),
        np.ma.array([3, 2], mask=[0, 1], dtype=object),
        "result[0]: expected 1, got 3",
    ),
    "masked on one side": (np.ma.array([1]), np.array([1]), "only one side is a masked array"),
    "raw": (np.array([b"ab"], "V2"), np.array([b"ac"], "V2"), "result[0]: expected "),
    "array and list": (np.array([1]), [1], "types ndarray and list"),
    "array and scalar": (np.array(1.0), 1.0, "types ndarray and float"),
    "one column": (
        frame(),
        frame(close=[1.0, 2.5, np.nan]),
        "result['close'].iloc[1]: expected 2.0, got 2.5 (1 of 3 elements differ, by up to 0.5)",
    ),
    "a missing number": (
        frame(),
        frame(close=[1.0, 2.0, 3.0]),
        "result['close'].iloc[2]: expected nan, got 3.0",
    ),
    "text column": (
        frame(),
        frame(symbol=["A", "C", None]),
        "result['symbol'].iloc[1]: expected 'B', got 'C'",
    ),
    "missing text": (
        frame(),
        frame(symbol=["A", None, None]),
        "result['symbol'].iloc.isna()[1]: expected False",
    ),
    "categories": (
        frame(),
        frame(side=pd.Categorical(["buy", "buy", "buy"], categories=["buy", "sell"])),
        "result['side'].iloc[1]: expected 'sell', got 'buy'",
    ),
    "category order": (
        frame(),
        frame(side=pd.Categorical(["buy", "sell", "buy"], ordered=True)),
        "result['side'].iloc.cat.ordered: expected False, got True",
    ),
    "ordered categories": (
        frame(side=pd.Categorical(["buy", "sell", "buy"], categories=["sell", "buy"], ordered=True)),
        frame(side=pd.Categorical(["buy", "sell", "buy"], ordered=True)),
        "result['side'].iloc.cat.categories[0]: expected 'sell', got 'buy'",
    ),
    "time zone": (
        frame(),
        frame(instant=pd.to_datetime(["2026-01-01", "2026-01-02", None]).tz_localize("Asia/Tokyo")),
        "result['instant'].iloc.dtype: expected 'datetime64[",
    ),
    "nullable values": (
        frame(),
        frame(count=pd.array([1, None, 4], dtype="Int64")),
        "result['count'].iloc[2]: expected 3, got 4",
    ),
    "nullable and plain": (
        frame(),
        frame(volume=pd.array([10, 20, 30], dtype="Int64")),
        "result['volume'].iloc.dtype: expected 'int64', got 'Int64'",
    ),
    "column names": (
        frame(),
        frame().rename(columns={"close": "last"}),
        "result.columns[0]: expected 'close', got 'last'",
    ),
    "index labels": (
        frame(),
        frame().set_axis([10, 20, 31]).rename_axis("id"),
        "result.index[2]: expected 30, got 31",
    ),
    "index name": (frame(), frame().rename_axis("key"), "result.index.name: expected 'id', got 'key'"),
    "frame shape": (
        frame(),
        frame().iloc[:2],
        "expected 'DataFrame of shape (3, 9)', got 'DataFrame of shape (2, 9)' (shapes (3, 9) and (2, 9))",
    ),
    "series name": (pd.Series([1], name="a"), pd.Series([1], name="b"), "result.name: expected 'a', got 'b'"),
    "series and frame": (pd.Series([1]), pd.DataFrame([1]), "types Series and DataFrame"),
    "series and index": (pd.Series([1]), pd.Index([1]), "types Series and Index"),
    "levels": (
        pd.MultiIndex.from_tuples([("a", 1)]),
        pd.MultiIndex.from_tuples([("a", 2)]),
        "result.get_level_values(1)[0]: expected 1, got 2",
    ),
    "number of levels": (
        pd.MultiIndex.from_tuples([("a", 1)]),
        pd.MultiIndex.from_tuples([("a", 1, 2)]),
        "result.names: expected [None, None], got [None, None, None]",
    ),
    "periods": (
        pd.period_range("2026-01", periods=2, freq="M"),
        pd.period_range("2026-02", periods=2, freq="M"),
        "result[0]: expected ",
    ),
    "Arrow types": (
        pa.array([1], pa.int32()),
        pa.array([1], pa.int64()),
        "result.type: expected 'int32', got 'int64'",
    ),
    "Arrow values": (pa.array([1, 2]), pa.array([1, 3]), "result[1]: expected 2, got 3"),
    "Arrow floats": (pa.array([1.0, 2.0]), pa.array([1.0, 2.5]), "result[1]: expected 2.0, got 2.5"),
    "Arrow nulls": (
        pa.array([1.0, None]),
        pa.array([1.0, np.nan]),
        "result.is_null()[1]: expected True, got False",
    ),
    "Arrow lengths": (pa.array([1]), pa.array([1, 2]), "(lengths 1 and 2)"),
    "Arrow nested": (
        pa.array([{"a": [1]}, {"a": [2]}]),
        pa.array([{"a": [1]}, {"a": [3]}]),
        "result[1]['a'][0]: expected 2, got 3",
    ),
    "Arrow columns": (
        pa.table({"a": [1], "b": [2]}),
        pa.table({"a": [1], "c": [2]}),
        "result.column_names[1]: expected 'b', got 'c'",
    ),
    "Arrow rows": (pa.table({"a": [1]}), pa.table({"a": [1, 2]}), "result.num_rows: expected 1, got 2"),
    "Arrow table values": (
        pa.table({"a": [1], "b": [2]}),
        pa.table({"a": [1], "b": [3]}),
        "result['b'][0]: expected 2, got 3",
    ),
    "Arrow scalars": (pa.scalar(1), pa.scalar(2), "result.as_py(): expected 1, got 2"),
    "Arrow table and array": (pa.table({"a": [1]}), pa.array([1]), "types Table and Int64Array"),
    "Arrow decimals": (
        pa.array([decimal.Decimal("1.5")]),
        pa.array([decimal.Decimal("1.6")]),
        "result[0]: expected Decimal('1.5'), got Decimal('1.6')",
    ),
    "inside containers": (
        {"prices": [np.zeros(2), np.zeros(2)]},
        {"prices": [np.zeros(2), np.array([0.0, 1.0])]},
        "result['prices'][1][1]: expected 0.0, got 1.0",
    ),
}


@pytest.mark.parametrize(("expected", "actual", "message"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_different_tables(expected, actual, message):
    """A difference names the first place by position and says how many elements differ."""
    assert message in compare(expected, actual).message
    assert compare(actual, expected) is not None


def test_arrays_are_not_changed():
    """Comparing does not write to the arrays, which may be read-only."""
    one, two = np.array([1.0, np.inf]), np.array([1.0, -np.inf])
    one.flags.writeable = two.flags.writeable = False
    assert compare(one, two).path == "result[1]"


@given(
    hnp.arrays(
        dtype=st.one_of(
            hnp.floating_dtypes(), hnp.integer_dtypes(), hnp.boolean_dtypes(), hnp.datetime64_dtypes()
        ),
        shape=hnp.array_shapes(max_dims=3, max_side=4),
    )
)
def test_every_array_equals_its_copy(values):
    """Reflexive for every dtype and shape, NaN and NaT included."""
    assert compare(values, values.copy()) is None


@given(st.data())
def test_a_changed_element_is_found_at_its_place(data):
    """Changing one element of an array of distinct integers is reported at its index."""
    shape = data.draw(hnp.array_shapes(max_dims=3, max_side=4))
    values = np.arange(int(np.prod(shape))).reshape(shape)
    index = tuple(data.draw(st.integers(0, side - 1)) for side in shape)
    changed = values.copy()
    changed[index] = -1
    assert compare(values, changed).path == f"result[{', '.join(map(str, index))}]"
