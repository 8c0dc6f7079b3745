"""Sealing: what a bundle holds, how it is built, and what is refused."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bundle_tables import files_of

from optengine.bundle import (
    Bundle,
    BundleError,
    BundleExists,
    StaleBundle,
    UnknownTable,
)


def test_a_bundle_returns_what_was_sealed(tmp_path, bars, assets):
    """Frames, Arrow tables and assets come back equal, without copies, and the bundle verifies."""
    with Bundle.build(tmp_path / "b", {"bars": bars, "more": bars.head(0)}, assets) as bundle:
        assert bundle.tables == ("bars", "more")
        pd.testing.assert_frame_equal(bundle.frame("bars"), bars)
        pd.testing.assert_frame_equal(bundle.frame("more"), bars.head(0))
        assert bundle.copied_columns("bars") == {}
        assert bundle.table("bars")["close"].to_pylist() == bars["close"].tolist()
        assert bundle.assets.execute("SELECT * FROM assets").fetchall() == [
            ("WTI", 1000, 0.5, "1986-01-02T00:00:00", 1, 1),
            ("BRENT", 500, None, None, 0, None),
        ]
        bundle.verify()


def test_frames_are_read_only_and_private(tmp_path, bars):
    """Writing into a frame raises, and a column added to one frame is not in the next."""
    bundle = Bundle.build(tmp_path / "b", {"bars": bars})
    frame = bundle.frame("bars")
    with pytest.raises(ValueError, match="read-only"):
        frame.loc[0, "close"] = 1.0
    frame["signal"] = 1
    assert "signal" not in bundle.frame("bars")


def test_layout_and_manifest(tmp_path, bars, assets):
    """A bundle is a manifest plus read-only Arrow, Parquet and SQLite files whose names carry their hash."""
    bundle = Bundle.build(tmp_path / "b", {"bars": bars}, assets)
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert manifest["schema"] == "optengine/bundle/1"
    assert manifest["fingerprint"] == bundle.fingerprint
    assert files_of(tmp_path / "b") == sorted([*manifest["files"], "manifest.json"])
    assert {Path(file).suffix for file in manifest["files"]} == {".arrow", ".parquet", ".sqlite"}
    for path, entry in manifest["files"].items():
        file = tmp_path / "b" / path
        assert entry["sha256"][:12] in path
        assert entry["bytes"] == file.stat().st_size
        assert file.stat().st_mode & 0o222 == 0
    assert bundle.nbytes == sum(
        entry["bytes"] for path, entry in manifest["files"].items() if not path.endswith("parquet")
    )
    assert os.listdir(tmp_path) == ["b"]  # noqa: PTH208


def test_parquet_holds_the_same_values(tmp_path, bars):
    """Other tools read the same values from the Parquet file."""
    bundle = Bundle.build(tmp_path / "b", {"bars": bars.set_index("date")})
    table = pq.read_table(bundle.parquet("bars"))
    assert table.column_names == ["symbol", "close", "note", "date"]
    assert table["close"].to_pylist() == bars["close"].tolist()


def test_a_parquet_file_is_kept_as_it_is(tmp_path, bars):
    """A table given as Parquet path keeps its original file, byte for byte."""
    source = tmp_path / "source.parquet"
    pq.write_table(pa.Table.from_pandas(bars, preserve_index=False), source, compression="zstd")
    bundle = Bundle.build(tmp_path / "b", {"bars": source})
    assert bundle.parquet("bars").read_bytes() == source.read_bytes()
    assert bundle.frame("bars")["close"].tolist() == bars["close"].tolist()


ARROW = pa.table(
    {
        "i": pa.array([1, None, 3]),
        "f": pa.array([1.5, None, float("nan")]),
        "t": pa.array([0, None, 1], pa.timestamp("us")),
        "z": pa.array([0, None, 1], pa.timestamp("ns", "Europe/Berlin")),
        "offset": pa.array([0, None, 1], pa.timestamp("s", "+05:30")),
        "d": pa.array([1, None, 2], pa.duration("ms")),
        "b": pa.array([True, False, True]),
        "bn": pa.array([True, None, True]),
        "s": pa.array(["a", None, ""]),
        "ls": pa.array(["a", None, ""], pa.large_string()),
        "c": pa.array(["x", None, "x"]).dictionary_encode(),
        "bad": pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), pa.array(["x", "x"])),
        "l": pa.array([[1], None, []]),
        "day": pa.array([1, None, 2], pa.date32()),
        "u": pa.array([1, 2, 3], pa.uint16()),
        "mars": pa.array([0, None, 1], pa.timestamp("s", "Mars/Olympus")),
    }
)


@pytest.mark.parametrize(
    "table", [ARROW, pa.concat_tables([ARROW, ARROW]), ARROW.slice(1, 2), ARROW.slice(3)]
)
def test_arrow_tables_keep_types_and_nulls(tmp_path, table):
    """An Arrow table of any types, in one chunk or many, comes back equal in type and value."""
    with Bundle.build(tmp_path / "b", {"t": table.replace_schema_metadata({"unit": "USD"})}) as bundle:
        back = bundle.table("t")
        assert back.schema.equals(table.schema)
        assert back.schema.metadata == {b"unit": b"USD"}
        for name in set(table.column_names) - {"f", "bad", "c"}:
            assert back[name].combine_chunks().equals(table[name].combine_chunks()), name
        assert back["c"].to_pylist() == table["c"].to_pylist()
        back.validate(full=True)


def test_frames_of_arrow_tables(tmp_path):
    """A frame made of an Arrow table shows nulls as missing, copying only what pandas cannot view."""
    bundle = Bundle.build(tmp_path / "b", {"t": ARROW})
    frame = bundle.frame("t")
    assert frame.drop(columns=["f", "l"]).isna().sum().to_dict() == {
        **dict.fromkeys(["i", "t", "z", "offset", "d", "bn", "s", "ls", "c", "day", "mars"], 1),
        **dict.fromkeys(["b", "u"], 0),
        "bad": 1,
    }
    assert frame["f"].isna().sum() == 2
    assert frame["b"].dtype == bool
    assert str(frame["z"].dtype) == "datetime64[ns, Europe/Berlin]"
    assert frame["z"][2] == pd.Timestamp(1, tz="Europe/Berlin")
    assert frame["offset"][0] == pd.Timestamp(0, unit="s", tz="UTC")
    assert frame["c"].dtype == "category"
    assert frame["i"].tolist()[::2] == [1, 3]
    copied = bundle.copied_columns("t")
    assert set(copied) == {"b", "s", "c"}
    assert copied["c"] == "category codes are converted from int32 to the int8 pandas uses"
    assert copied["s"] == "32-bit string offsets are widened to the 64 bits pandas uses"


def test_same_content_is_the_same_bundle(tmp_path, bars, assets):
    """Building equal content elsewhere gives the fingerprint again; building it again changes no file."""
    first = Bundle.build(tmp_path / "a", {"bars": bars}, assets)
    before = first.signature()
    assert Bundle.build(tmp_path / "b", {"bars": bars.copy()}, assets.copy()).fingerprint == first.fingerprint
    assert Bundle.build(tmp_path / "a", {"bars": bars}, assets).fingerprint == first.fingerprint
    assert first.signature() == before


@pytest.mark.parametrize("change", ["price", "sign of zero", "row order", "name", "asset", "no assets"])
def test_any_change_changes_the_fingerprint(tmp_path, bars, assets, change):
    """One changed price, even in its last bit, and any other change of content changes the fingerprint."""
    bars.loc[7, "close"] = 0.0
    original = Bundle.build(tmp_path / "a", {"bars": bars}, assets).fingerprint
    name = "prices" if change == "name" else "bars"
    if change == "price":
        bars.loc[3, "close"] = np.nextafter(bars.loc[3, "close"], np.inf)
    elif change == "sign of zero":
        bars.loc[7, "close"] = -0.0
    elif change == "row order":
        bars = bars.iloc[::-1]
    elif change == "asset":
        assets.loc[0, "lot"] = 1001
    changed = Bundle.build(tmp_path / "b", {name: bars}, None if change == "no assets" else assets)
    assert changed.fingerprint != original


def test_other_content_is_not_overwritten_by_accident(tmp_path, bars):
    """Different content at the path is an error that changes nothing, unless overwriting is asked for."""
    old = Bundle.build(tmp_path / "b", {"bars": bars})
    before = old.signature()
    with pytest.raises(BundleExists, match=r"holds a bundle with fingerprint .* pass overwrite=True"):
        Bundle.build(tmp_path / "b", {"bars": bars.head(10)})
    assert old.signature() == before
    old_frame = old.frame("bars")
    new = Bundle.build(tmp_path / "b", {"bars": bars.head(10)}, overwrite=True)
    assert len(new.frame("bars")) == 10
    pd.testing.assert_frame_equal(old_frame, bars)
    assert files_of(tmp_path / "b") == sorted(
        [*json.loads((tmp_path / "b/manifest.json").read_text())["files"], "manifest.json"]
    )


def test_a_replaced_bundle_is_stale_to_its_readers(tmp_path, bars):
    """A bundle opened before it was replaced never mixes versions: unread tables raise StaleBundle."""
    old = Bundle.build(tmp_path / "b", {"bars": bars, "other": bars})
    old.frame("bars")
    new = Bundle.build(tmp_path / "b", {"bars": bars.tail(10), "other": bars.tail(9)}, overwrite=True)
    pd.testing.assert_frame_equal(old.frame("bars"), bars)
    with pytest.raises(
        StaleBundle, match=rf"fingerprint {old.fingerprint[:16]}; found {new.fingerprint[:16]}"
    ):
        old.frame("other")


def test_foreign_directories_are_left_alone(tmp_path, bars):
    """A path that holds something else is refused, with and without overwrite; an empty directory is used."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    for overwrite in (False, True):
        with pytest.raises(BundleExists, match="exists and is not a bundle"):
            Bundle.build(tmp_path / "mine", {"bars": bars}, overwrite=overwrite)
    (tmp_path / "empty").mkdir()
    Bundle.build(tmp_path / "empty", {"bars": bars}).verify()
    assert sorted(os.listdir(tmp_path)) == ["empty", "mine"]  # noqa: PTH208


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            {"x": pd.DataFrame([[1, 2]], columns=["a", "a"])},
            r"table 'x' cannot be sealed: column 'a' .* unique",
        ),
        ({"x": pd.DataFrame({"o": [object()]})}, r"table 'x' cannot be sealed: column 'o' cannot be shared"),
        ({"x": pa.table([[1], [2]], names=["a", "a"])}, r"table 'x' cannot be sealed: column 'a' .* unique"),
        ({"x": [1, 2]}, r"DataFrames, Arrow tables or Parquet paths; received list"),
        ({"../x": pd.DataFrame()}, r"letters, digits, '_' and '\.', at most 200; received '\.\./x'"),
        ({"x" * 201: pd.DataFrame()}, r"letters, digits, '_' and '\.', at most 200; received 'xxx"),
        ({"": pd.DataFrame()}, r"table names must be letters.*received ''"),
        ({"ok": pd.DataFrame({"a": [1]}), "x": __file__}, r"table 'x' cannot be sealed: .*Parquet"),
    ],
)
def test_unfit_tables_leave_nothing(tmp_path, tables, message):
    """A table that cannot be sealed is refused by name, and nothing is left at or beside the path."""
    with pytest.raises(BundleError, match=message):
        Bundle.build(tmp_path / "b", tables)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("assets", "message"),
    [
        (5, "assets must be a DataFrame or the path of an SQLite file; received 5"),
        (__file__, "assets must be a readable SQLite file; received"),
        ("/nonexistent.sqlite", "assets must be a readable SQLite file; received '/nonexistent.sqlite'"),
        (pd.DataFrame(), "assets need columns with distinct names"),
        (pd.DataFrame({"a": [1], "A": [2]}), "assets need columns with distinct names"),
        (pd.DataFrame({"a": [[1]]}), r"assets column 'a' must hold numbers, booleans, text or times"),
        (pd.DataFrame({"a": np.array([2**64 - 1], "u8")}), "assets column 'a' must fit into 64-bit"),
    ],
)
def test_unfit_assets_leave_nothing(tmp_path, bars, assets, message):
    """Assets that are no table or healthy database are refused, and nothing is left behind."""
    with pytest.raises(BundleError, match=message):
        Bundle.build(tmp_path / "b", {"bars": bars}, assets)
    assert list(tmp_path.iterdir()) == []


def test_assets_keep_a_named_index(tmp_path):
    """Index levels with names become columns of the assets table; odd column names are quoted."""
    frame = pd.DataFrame({'na"me': ["x"], "select": [1]}, index=pd.Index(["WTI"], name="symbol"))
    with Bundle.build(tmp_path / "b", {}, frame) as bundle:
        found = bundle.assets.execute("SELECT * FROM assets")
        assert [column[0] for column in found.description] == ["symbol", 'na"me', "select"]
        assert found.fetchall() == [("WTI", "x", 1)]


def test_a_database_with_a_log_is_sealed_whole(tmp_path):
    """Rows that are still in a database's write-ahead log are in the sealed copy, which has no log."""
    source = tmp_path / "live.sqlite"
    with contextlib.closing(sqlite3.connect(source)) as live:
        live.execute("PRAGMA journal_mode=WAL")
        live.execute("CREATE TABLE equities (sid INTEGER, name TEXT)")
        live.execute("INSERT INTO equities VALUES (1, 'AAPL')")
        live.commit()
        assert (tmp_path / "live.sqlite-wal").stat().st_size > 0
        bundle = Bundle.build(tmp_path / "b", {}, source)
    with bundle:
        assert bundle.assets.execute("SELECT * FROM equities").fetchall() == [(1, "AAPL")]
        assert bundle.assets.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert [f for f in files_of(tmp_path / "b") if "wal" in f or "shm" in f or "journal" in f] == []


def test_assets_are_read_only(tmp_path, assets):
    """Every way of writing to the assets is refused."""
    with Bundle.build(tmp_path / "b", {}, assets) as bundle:
        for statement in ("DELETE FROM assets", "CREATE TABLE x (a)", "PRAGMA user_version=5"):
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                bundle.assets.execute(statement)


def test_missing_parts_are_named(tmp_path, bars):
    """An unknown table names the known ones; asking for assets that were not given says how to give them."""
    bundle = Bundle.build(tmp_path / "b", {"bars": bars})
    with pytest.raises(UnknownTable, match=r"table must be one of \['bars'\]; received 'bras'"):
        bundle.frame("bras")
    with pytest.raises(UnknownTable, match=r"has no assets; build it with assets="):
        _ = bundle.assets


def test_csv_files_keep_their_values(tmp_path):
    """CSV values stay: negative, missing, decimals after integers, empty texts; dates become timestamps."""
    (tmp_path / "wti.csv").write_text("Date,Price,Note,None\n2020-04-20,-36.98,,\n2020-04-21,,x,\n")
    many = "".join(f"{i},a\n" for i in range(200_000))
    (tmp_path / "late.csv").write_text(f"n,s\n{many}0.5,b\n")
    bundle = Bundle.from_csv(tmp_path / "b", [tmp_path / "wti.csv", tmp_path / "late.csv"])
    wti = bundle.frame("wti")
    assert wti["Date"].tolist() == [pd.Timestamp("2020-04-20"), pd.Timestamp("2020-04-21")]
    assert wti["Price"].tolist()[0] == -36.98
    assert wti["Price"].isna().tolist() == [False, True]
    assert wti["Note"].tolist() == ["", "x"]
    assert wti["None"].isna().all()
    assert bundle.frame("late")["n"].iloc[-1] == 0.5
    assert bundle.copied_columns("wti") == {}
    named = Bundle.from_csv(
        tmp_path / "c", {"oil": tmp_path / "wti.csv"}, assets=pd.DataFrame({"s": ["WTI"]})
    )
    assert named.tables == ("oil",)
    assert Bundle.from_csv(tmp_path / "d", tmp_path / "wti.csv").tables == ("wti",)


def test_bad_csv_files_are_named(tmp_path):
    """A missing or ragged CSV file is refused by name, and so are files with the same stem."""
    (tmp_path / "x.csv").write_text("a,b\n1,2\n3\n")
    with pytest.raises(BundleError, match=r"tables come from CSV files with a header; received '.*x\.csv'"):
        Bundle.from_csv(tmp_path / "b", [tmp_path / "x.csv"])
    with pytest.raises(BundleError, match=r"received '.*none\.csv'"):
        Bundle.from_csv(tmp_path / "b", [tmp_path / "none.csv"])
    with pytest.raises(BundleError, match="CSV files need distinct stems"):
        Bundle.from_csv(tmp_path / "b", [tmp_path / "x.csv", tmp_path / "y" / "x.csv"])


def test_bundles_pickle_as_path_and_fingerprint(tmp_path, bars):
    """A pickled bundle is small, reopens the same content, and refuses other content or none."""
    bundle = Bundle.build(tmp_path / "b", {"bars": bars})
    sent = pickle.dumps(bundle)
    assert len(sent) < 1000
    pd.testing.assert_frame_equal(pickle.loads(sent).frame("bars"), bars)
    Bundle.build(tmp_path / "b", {"bars": bars.head(10)}, overwrite=True)
    with pytest.raises(StaleBundle, match="rebuilt with other content"):
        pickle.loads(sent)
    (tmp_path / "b").rename(tmp_path / "moved")
    with pytest.raises(StaleBundle, match="found no bundle"):
        pickle.loads(sent)
