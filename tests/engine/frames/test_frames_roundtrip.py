"""What goes into a shared frame comes out: values, dtypes, index and labels, without copies."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from optengine.frames import FrameError, SharedFrame, UnsupportedColumn

N = 5
TIMES = pd.DatetimeIndex(
    ["2020-01-01", None, "1999-12-31 23:59:59.5", "2020-03-29 01:30", "2262-01-01"], dtype="M8[ns]"
)

FRAMES = {
    "floats": pd.DataFrame({"a": [1.5, np.nan, np.inf, -np.inf, -0.0], "b": np.arange(N, dtype="f4")}),
    "half": pd.DataFrame({"h": np.arange(N, dtype="f2")}),
    "negative prices": pd.DataFrame({"close": [-36.98, 0.0, 10.01, np.nan, 5e-324]}),
    "integers": pd.DataFrame({f"{k}{b}": np.arange(N, dtype=f"{k}{b}") for k in "iu" for b in (1, 2, 4, 8)}),
    "extreme integers": pd.DataFrame({"i": np.array([2**63 - 1, -(2**63), 0, 1, -1], dtype="i8")}),
    "booleans": pd.DataFrame({"b": [True, False, True, True, False]}),
    "strings": pd.DataFrame({"s": ["AAPL", "", None, "żółw 🐢", "AAPL"]}),
    "string dtype": pd.DataFrame({"s": pd.array(["a", None, "b", "c", ""], dtype="string[pyarrow]")}),
    "missing only": pd.DataFrame({"s": pd.array([None] * N, dtype="str"), "f": [np.nan] * N}),
    "categories": pd.DataFrame(
        {
            "c": pd.Categorical(["x", None, "y", "x", "x"], categories=["x", "y", "unused"]),
            "o": pd.Categorical(["lo", "hi", "lo", None, "hi"], categories=["lo", "hi"], ordered=True),
            "n": pd.Categorical([3, 1, 3, 2, None]),
            "t": pd.Categorical(TIMES),
        }
    ),
    "object categories": pd.DataFrame({"c": pd.Categorical(["x"] * N, pd.Index(["x", "y"], dtype=object))}),
    "timestamps": pd.DataFrame({u: TIMES.as_unit(u) for u in ("s", "ms", "us", "ns")}),
    "zones": pd.DataFrame(
        {
            "utc": TIMES.tz_localize("UTC"),
            "berlin": TIMES.as_unit("us").tz_localize("UTC").tz_convert("Europe/Berlin"),
            "fixed": TIMES.tz_localize(datetime.timezone(datetime.timedelta(hours=5, minutes=30))),
        }
    ),
    "durations": pd.DataFrame({"d": pd.to_timedelta(["1s", None, "-2D", "1us", "0s"])}),
    "nullable": pd.DataFrame(
        {
            "i": pd.array([1, None, 3, 4, 5], dtype="Int64"),
            "u": pd.array([1, 2, 3, 4, 5], dtype="UInt8"),
            "f": pd.array([1.5, None, 3, 4, 5], dtype="Float32"),
            "b": pd.array([True, None, False, True, True], dtype="boolean"),
        }
    ),
    "arrow types": pd.DataFrame(
        {
            "date": pd.array([datetime.date(2020, 1, 1), None] * 2 + [None], dtype="date32[pyarrow]"),
            "list": pd.array([[1], None, [], [2, 3], [4]], dtype=pd.ArrowDtype(pa.list_(pa.int8()))),
            "exact": pd.array([decimal.Decimal("1.10")] * N, dtype=pd.ArrowDtype(pa.decimal128(10, 2))),
        }
    ),
    "no rows": pd.DataFrame({"a": np.array([], dtype="f8"), "s": pd.array([], dtype="str")}),
    "no columns": pd.DataFrame(index=pd.RangeIndex(3)),
    "nothing": pd.DataFrame(),
    "stepped range": pd.DataFrame({"a": range(N)}, index=pd.RangeIndex(10, 0, -2, name="n")),
    "time index": pd.DataFrame(
        {"a": range(N)}, index=pd.date_range("2020", periods=N, freq="B", name="date")
    ),
    "zoned index": pd.DataFrame({"a": range(N)}, index=TIMES.tz_localize("UTC").tz_convert("Asia/Tokyo")),
    "string index": pd.DataFrame({"a": range(N)}, index=pd.Index(list("vwxyz"), name="symbol")),
    "float index": pd.DataFrame({"a": range(N)}, index=[0.5, np.nan, 1, 2, 3]),
    "duplicate index": pd.DataFrame({"a": range(N)}, index=[1, 1, 1, 2, 2]),
    "category index": pd.DataFrame({"a": range(N)}, index=pd.CategoricalIndex(list("ababa"), ordered=True)),
    "multi index": pd.DataFrame(
        {"close": range(4)},
        index=pd.MultiIndex.from_product(
            [pd.date_range("2020", periods=2), ["A", "B"]], names=["date", None]
        ),
    ),
    "multi index with gaps": pd.DataFrame(
        {"a": range(3)}, index=pd.MultiIndex.from_tuples([("a", 1.0), (None, 2.0), ("b", np.nan)])
    ),
    "index named as a column": pd.DataFrame({"date": range(N)}, index=pd.Index(range(1, N + 1), name="date")),
    "integer labels": pd.DataFrame(np.arange(6.0).reshape(2, 3)),
    "sparse integer labels": pd.DataFrame({7: [1], 3: [2]}),
    "time labels": pd.DataFrame([[1.0, 2.0]], columns=pd.date_range("2020", periods=2, freq="D")),
    "two-level labels": pd.DataFrame(
        np.arange(8.0).reshape(2, 4), columns=pd.MultiIndex.from_product([["A", "B"], ["open", "close"]])
    ),
    "named labels": pd.DataFrame({"a": [1]}).rename_axis(columns="field"),
    "object labels": pd.DataFrame([[1, 2]], columns=pd.Index(["a", "b"], dtype=object)),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frame_comes_back_equal(name):
    """Values, dtypes, index, frequency and labels of an attached frame equal those of the frame shared."""
    original = FRAMES[name]
    with SharedFrame.create(original) as shared:
        attached = SharedFrame.attach(shared.handle)
        pd.testing.assert_frame_equal(attached.frame, original, check_freq=True, check_column_type=True)
        assert attached.changed_dtypes == {}


@pytest.mark.parametrize("name", [name for name in FRAMES if name != "nullable"])
def test_frame_is_not_copied(name):
    """Every dtype but the nullable ones with gaps is viewed in place."""
    with SharedFrame.create(FRAMES[name]) as shared:
        assert SharedFrame.attach(shared.handle).copied_columns == {}


def test_masks_are_reported_as_copied():
    """Nullable columns with missing values name the mask as copied; without missing values nothing is."""
    with SharedFrame.create(FRAMES["nullable"]) as shared:
        copied = SharedFrame.attach(shared.handle).copied_columns
    assert set(copied) == {"i", "f", "b"}
    assert copied["i"] == "the mask of missing values is unpacked from bits; the values are not copied"


def test_two_frames_share_their_bytes():
    """Two frames of one attachment view the same memory, for numbers, times, strings, codes and index."""
    original = pd.DataFrame(
        {
            "f": [1.0, 2.0],
            "t": pd.to_datetime(["2020", "2021"]),
            "s": ["a", "b"],
            "c": pd.Categorical(["x", "y"]),
        },
        index=pd.Index([5, 9], name="i"),
    )
    with SharedFrame.create(original) as shared:
        one, two = SharedFrame.attach(shared.handle).frame, SharedFrame.attach(shared.handle).frame
    assert np.shares_memory(one["f"].to_numpy(), two["f"].to_numpy())
    assert np.shares_memory(one["t"].to_numpy(), two["t"].to_numpy())
    assert np.shares_memory(one["c"].array.codes, two["c"].array.codes)
    assert np.shares_memory(one.index.to_numpy(), two.index.to_numpy())
    texts = [pa.chunked_array(pa.array(frame["s"].array)).chunk(0).buffers()[2] for frame in (one, two)]
    assert texts[0].address == texts[1].address


def test_table_shows_columns_and_index():
    """The Arrow view holds plain types, nulls for missing times and codes, and the index as a column."""
    original = pd.DataFrame(
        {"b": [True, False], "t": pd.to_datetime(["2020", None]), "c": pd.Categorical([None, "x"])},
        index=pd.Index(["A", "B"], name="symbol"),
    )
    with SharedFrame.create(original) as shared:
        table = SharedFrame.attach(shared.handle).table
    assert table.column_names == ["b", "t", "c", "symbol"]
    assert table.schema.field("b").type == pa.bool_()
    assert table["b"].to_pylist() == [True, False]
    assert table["t"].null_count == 1
    assert table["c"].to_pylist() == [None, "x"]
    assert table["symbol"].to_pylist() == ["A", "B"]
    assert table.schema.metadata is None
    table.validate(full=True)


def test_views_of_sliced_and_strided_frames():
    """Slices, reversed rows and columns of one two-dimensional array are shared as they look."""
    base = pd.DataFrame(np.arange(40.0).reshape(10, 4), columns=list("abcd"))
    base["s"] = [f"s{i}" for i in range(10)]
    base["i"] = pd.array([None, *range(9)], dtype="Int64")
    for view in (base.iloc[3:7], base.iloc[::-2], base[["c", "a", "s", "i"]]):
        with SharedFrame.create(view) as shared:
            pd.testing.assert_frame_equal(shared.get(), view)


def test_python_strings_become_the_string_dtype():
    """An object column of strings comes back as pandas' own string dtype, and the change is reported."""
    original = pd.DataFrame({"s": pd.Series(["a", None, "b"], dtype=object)})
    with SharedFrame.create(original) as shared:
        attached = SharedFrame.attach(shared.handle)
        assert attached.frame["s"].dtype == pd.StringDtype("pyarrow", na_value=np.nan)
        assert attached.frame["s"].tolist()[::2] == ["a", "b"]
        assert attached.changed_dtypes == {"s": "object -> str"}


def test_attrs_travel():
    """Plain attributes of a frame are kept; the copy of one task does not reach the next."""
    original = pd.DataFrame({"a": [1]})
    original.attrs = {"source": "EIA", "unit": ["USD", "barrel"]}
    with SharedFrame.create(original) as shared:
        shared.get().attrs["unit"].append("changed")
        assert shared.get().attrs == {"source": "EIA", "unit": ["USD", "barrel"]}


class Opaque:
    pass


ZONES = [pd.Timestamp("2020", tz="UTC"), pd.Timestamp("2020", tz="Asia/Tokyo")]
REFUSED = {
    "duplicate columns": (
        pd.DataFrame([[1, 2]], columns=["close", "close"]),
        r"column 'close' cannot be shared: column names must be unique; rename or drop the duplicate",
    ),
    "mixed time zones": (
        pd.DataFrame({"t": pd.Series(ZONES, dtype=object)}),
        r"column 't' cannot be shared: object dtype holding datetime values.*utc=True",
    ),
    "one zone as objects": (
        pd.DataFrame({"t": pd.Series(ZONES[:1], dtype=object)}),
        r"column 't' .*holding datetime values.*pd\.to_datetime\(column\)",
    ),
    "mixed objects": (
        pd.DataFrame({"m": [1, "a"]}),
        r"column 'm' .*object dtype holding mixed-integer values",
    ),
    "lists": (pd.DataFrame({"l": [[1], [2]]}), r"column 'l' .*holding mixed values.*pd\.ArrowDtype"),
    "python objects": (pd.DataFrame({"x": [Opaque()]}), r"column 'x' cannot be shared"),
    "dates": (
        pd.DataFrame({"d": [datetime.date(2020, 1, 1)]}),
        r"column 'd' .*\.astype\('date32\[pyarrow\]'\)",
    ),
    "decimals": (
        pd.DataFrame({"d": [decimal.Decimal(1)]}),
        r"column 'd' .*holding decimal values.*decimal128",
    ),
    "broken text": (pd.DataFrame({"s": pd.Series(["\ud800"], dtype=object)}), r"column 's' .*valid UTF-8"),
    "complex": (pd.DataFrame({"z": [1j]}), r"column 'z' .*dtype complex128 has no shared form"),
    "periods": (
        pd.DataFrame({"p": pd.period_range("2020", periods=1)}),
        r"column 'p' .*\.dt\.to_timestamp\(\)",
    ),
    "intervals": (pd.DataFrame({"i": pd.interval_range(0, 1)}), r"column 'i' .*dtype interval"),
    "sparse": (pd.DataFrame({"s": pd.arrays.SparseArray([0, 1])}), r"column 's' .*\.sparse\.to_dense\(\)"),
    "interval categories": (
        pd.DataFrame({"c": pd.cut([1, 2, 3], 2)}),
        r"categories of column 'c' cannot be shared: dtype interval",
    ),
    "mixed index": (
        pd.DataFrame({"a": [1, 2]}, index=[1, "x"]),
        r"index None cannot be shared: object dtype",
    ),
    "mixed labels": (pd.DataFrame({1: [1], "x": [2]}), r"column labels None cannot be shared: object dtype"),
    "strange index name": (
        pd.DataFrame({"a": [1]}, index=pd.Index([1], name=("x", 1))),
        r"index cannot be shared: its name must be a string, an integer or None; received \('x', 1\)",
    ),
    "taken index name": (
        pd.DataFrame({"__index_level_0__": [1]}, index=pd.Index([7])),
        r"its stored name '__index_level_0__' is taken by a column; rename the column",
    ),
    "foreign byte order": (pd.DataFrame({"b": np.array([1.0], dtype=">f8")}), r"column 'b' .*native number"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_unfit_frames_are_refused_by_name(name):
    """A frame with no faithful shared form is refused, naming the culprit and the cure."""
    frame, message = REFUSED[name]
    with pytest.raises(UnsupportedColumn, match=message):
        SharedFrame.create(frame)


def test_odd_attrs_are_refused():
    """Attributes that JSON would change are refused instead of changed."""
    for attrs in ({"x": Opaque()}, {1: "a"}, {"x": (1, 2)}):
        frame = pd.DataFrame({"a": [1]})
        frame.attrs = attrs
        with pytest.raises(
            UnsupportedColumn, match=r"frame\.attrs cannot be shared: it must hold plain JSON"
        ):
            SharedFrame.create(frame)


def test_a_zone_without_a_name_is_refused():
    """A time zone that cannot be found again by its name is refused."""
    import dateutil.tz

    frame = pd.DataFrame({"t": pd.to_datetime(["2020"]).tz_localize(dateutil.tz.gettz("Europe/Berlin"))})
    with pytest.raises(UnsupportedColumn, match=r"column 't' cannot be shared: time zone .* 'Area/City'"):
        SharedFrame.create(frame)


@pytest.mark.parametrize("wrong", [pd.Series([1]), {"a": [1]}, pa.table({"a": [1]}), None])
def test_only_frames_are_shared(wrong):
    """Anything but a DataFrame is refused with its type."""
    with pytest.raises(FrameError, match=f"takes a pandas DataFrame; received {type(wrong).__name__}"):
        SharedFrame.create(wrong)


@settings(max_examples=40, deadline=None)
@given(
    floats=hnp.arrays(np.float64, 7, elements=st.floats(allow_nan=True, width=64)),
    texts=st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), min_size=7, max_size=7),
    codes=hnp.arrays(np.int8, 7, elements=st.integers(-1, 2)),
    times=hnp.arrays(np.int64, 7),
)
def test_any_values_come_back_bit_for_bit(floats, texts, codes, times):
    """Whatever floats, texts, categories and times a frame holds, the same bits come back."""
    original = pd.DataFrame(
        {
            "f": floats,
            "s": pd.array(texts, dtype="str"),
            "c": pd.Categorical.from_codes(codes, ["x", "y", "z"]),
            "t": times.view("M8[ns]"),
        }
    )
    with SharedFrame.create(original) as shared:
        back = shared.get()
    assert back["f"].to_numpy().tobytes() == floats.tobytes()
    assert back["t"].to_numpy().tobytes() == times.tobytes()
    pd.testing.assert_frame_equal(back, original)
