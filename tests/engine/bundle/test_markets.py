"""The market bundle: real series kept as they are, and a generator that repeats itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from optengine.bundle import BundleError
from optengine.markets import ENVIRONMENT, ROWS, SYMBOLS, currency_symbol, market_bundle

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "markets"
    folder.mkdir()
    for name in ("brent", "henry_hub_gas"):
        (folder / f"{name}.csv").write_text("Date,Price\n2020-04-17,18.27\n2020-04-20,\n")
    (folder / "wti.csv").write_text("Date,Price\n2020-04-20,-36.98\n2020-04-21,8.91\n")
    (folder / "fx_monthly.csv").write_text(
        "Date,Country,Exchange rate\n1971-01-01,Sri Lanka,5.9333\n1971-01-01,Japan,358.02\n"
    )
    return folder


def test_series_keep_missing_and_negative_values(tmp_path, folder):
    """Bars of real files keep negative and missing prices, and the assets describe each symbol."""
    with market_bundle(tmp_path / "b", folder) as bundle:
        bars = bundle.frame("bars")
        closes = bars.set_index("symbol")["close"]
        assert closes["WTI"].tolist() == [-36.98, 8.91]
        assert closes["BRENT"].isna().tolist() == [False, True]
        assert closes["FX_SRI_LANKA"] == 5.9333
        assert bars["date"].iloc[0] == pd.Timestamp("2020-04-17")
        assert bundle.copied_columns("bars") == {}
        assert bundle.table("adjustments").num_rows == 0
        rows = bundle.assets.execute("SELECT * FROM assets WHERE symbol IN ('BRENT', 'FX_JAPAN')").fetchall()
    assert rows == [
        ("BRENT", "brent.csv", "2020-04-17", "2020-04-20", 2, 1),
        ("FX_JAPAN", "fx_monthly.csv", "1971-01-01", "1971-01-01", 1, 0),
    ]


@pytest.mark.parametrize("damage", ["missing", "columns"])
def test_incomplete_folders_are_refused(tmp_path, folder, damage):
    """A folder without one of the files, or with other columns, is an error, never replaced in silence."""
    if damage == "missing":
        (folder / "wti.csv").unlink()
    else:
        (folder / "wti.csv").write_text("Day,Price\n2020-04-20,1\n")
    with pytest.raises(BundleError, match=r"wti\.csv"):
        market_bundle(tmp_path / "b", folder)


def test_generated_bundle_repeats(tmp_path):
    """The generator gives 40,987 plausible bars of 8 symbols, the same for a seed and others for another."""
    with market_bundle(tmp_path / "a", "generated") as bundle:
        bars = bundle.frame("bars")
        assert len(bars) == ROWS == 40_987
        assert sorted(bars["symbol"].unique()) == sorted(SYMBOLS)
        assert (bars["low"] <= bars[["open", "close"]].min(axis=1)).all()
        assert (bars["high"] >= bars[["open", "close"]].max(axis=1)).all()
        assert 0 < bars["close"].isna().sum() < 200
        assert not bars.duplicated(["symbol", "date"]).any()
        assert len(bundle.frame("adjustments")) > 0
        assert bundle.assets.execute("SELECT count(*), sum(count) FROM assets").fetchone() == (8, ROWS)
    assert market_bundle(tmp_path / "b", "generated").fingerprint == bundle.fingerprint
    assert market_bundle(tmp_path / "c", "generated", seed=8).fingerprint != bundle.fingerprint


def test_the_environment_names_the_folder(tmp_path, folder):
    """Without an argument the folder named by OPTBENCH_MARKETS is used, and the generator without that."""
    script = (
        "import sys; from optengine.markets import market_bundle; print(market_bundle(sys.argv[1]).nbytes)"
    )
    sizes = []
    for number, environment in enumerate([{ENVIRONMENT: str(folder)}, {ENVIRONMENT: ""}]):
        command = [sys.executable, "-c", script, str(tmp_path / str(number))]
        done = subprocess.run(
            command,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
        )
        sizes.append(int(done.stdout))
    assert sizes[0] < 100_000 < sizes[1]


def test_symbols_of_currencies():
    """Countries become symbols without spaces."""
    assert currency_symbol(" Sri Lanka") == "FX_SRI_LANKA"


def real_folder():
    named = os.environ.get(ENVIRONMENT)
    return Path(named) if named else ROOT.parent / "shared" / "data" / "markets"


@pytest.mark.skipif(not real_folder().is_dir(), reason="no folder of real market series on this machine")
def test_real_series_are_whole(tmp_path):
    """The real files give 44,858 bars of 37 symbols, with the negative and the missing price they have."""
    with market_bundle(tmp_path / "b", real_folder()) as bundle:
        bars = bundle.frame("bars")
        assert (len(bars), bars["symbol"].nunique()) == (44_858, 37)
        negative = bars[bars["close"] < 0]
        assert negative["date"].tolist() == [pd.Timestamp("2020-04-20")]
        assert bars["close"].isna().sum() == 1
        bundle.verify()
