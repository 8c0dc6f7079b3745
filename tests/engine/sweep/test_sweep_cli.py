"""``optengine sweep`` through the function behind the command, with real workers; Ctrl-C with a real process."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optengine.bundle.csv_tables import read_csv
from optengine.cli import run as run_cli
from optengine.sweep.moving_average import moving_average

AVERAGE = "optengine.sweep.moving_average:moving_average"
MODULE = """
import os
import time

def area(frame, a, b):
    return a * b + len(frame)

def fussy(frame, a, b=0):
    if a == 1:
        raise RuntimeError("one is not liked")
    if a == 2:
        os._exit(3)
    if a == 3:
        time.sleep(600)
    return {"twice": 2 * a}

def broken(frame, a):
    raise RuntimeError("nothing works")

def meddling(frame, a):
    frame["close"].to_numpy()[0] = 0.0
    return 1

def slow(frame, a):
    if a > 0:
        open(f"began-{a}", "w").close()
        time.sleep(600)
    return a
"""

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a price file and a module of strategies."""
    prices = 60 + np.cumsum(np.random.default_rng(7).normal(0, 1, 300))
    dates = pd.date_range("2020-01-01", periods=300)
    pd.DataFrame({"date": dates.strftime("%Y-%m-%d"), "close": prices.round(2)}).to_csv(
        tmp_path / "prices.csv", index=False
    )
    (tmp_path / "sweep_strategies.py").write_text(MODULE)
    read_csv(tmp_path / "prices.csv")  # Arrow opens a pipe for itself at the first file, once per process
    return tmp_path


@pytest.fixture
def command(folder: Path, monkeypatch: pytest.MonkeyPatch, no_leftovers: None) -> Iterator[Command]:
    """Runs the command in the folder; (status, output, errors)."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))

    def call(strategy: str, *arguments: str, data: str = "prices.csv") -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        argv = ["sweep", data, "--strategy", strategy, "--workers", "2", "--no-progress", *arguments]
        return run_cli(argv, out, err), out.getvalue(), err.getvalue()

    yield call
    sys.modules.pop("sweep_strategies", None)


def test_a_sweep_equals_calling_the_strategy(command: Command) -> None:
    """Every point of the file is what the strategy returns for it here, in grid order; the best is printed first."""
    status, out, err = command(
        AVERAGE, "--grid", "fast=5:25:5", "--grid", "slow=30:60:10", "--out", "results.parquet"
    )
    assert (status, err) == (0, "")
    table = pd.read_parquet("results.parquet")
    frame = pd.read_csv("prices.csv", parse_dates=["date"])
    assert list(zip(table["fast"], table["slow"], strict=True)) == [
        (fast, slow) for fast in range(5, 26, 5) for slow in range(30, 61, 10)
    ]
    for row in table.to_dict("records"):
        expected = moving_average(frame, row["fast"], row["slow"])
        assert {name: row[name] for name in expected} == pytest.approx(expected)
    winner = table.loc[table["sharpe"].idxmax()]
    lines = out.splitlines()
    assert lines[0].startswith("20 points in ")
    assert lines[1] == "best 10 by sharpe, highest first:"
    assert lines[4].split()[:2] == [str(winner["fast"]), str(winner["slow"])]
    assert table["error"].isna().all()
    assert (table["seconds"] > 0).all()


def test_failures_are_rows(command: Command) -> None:
    """A raising, a dying and a hanging point cost their own row only; the status is still 0."""
    status, out, err = command(
        "sweep_strategies:fussy", "--grid", "a=1:6:1", "--task-timeout", "4", "--out", "r.parquet"
    )
    table = pd.read_parquet("r.parquet")
    assert status == 0
    assert table["error_kind"].fillna("").tolist() == ["exception", "crash", "timeout", "", "", ""]
    assert table["twice"].tolist()[3:] == [8, 10, 12]
    assert "RuntimeError: one is not liked" in table["error"][0]
    assert "6 points in " in out
    assert "3 without a result" in out
    assert "1 x exception: RuntimeError: one is not liked" in err


def test_when_every_point_fails_the_status_is_1(command: Command) -> None:
    """The file still says why, and the error is printed once with its count."""
    status, out, err = command("sweep_strategies:broken", "--grid", "a=1:5:1", "--out", "r.parquet")
    assert status == 1
    assert "5 x exception: RuntimeError: nothing works" in err
    assert "best" not in out
    assert pd.read_parquet("r.parquet")["error"].notna().all()


def test_the_frame_cannot_be_written_to(command: Command) -> None:
    """A strategy that changes the shared data fails, so no other point sees its change."""
    status, _, err = command("sweep_strategies:meddling", "--grid", "a=1:3:1")
    assert status == 1
    assert "read-only" in err


def test_order_and_length_of_the_table(command: Command) -> None:
    """--ascending, --top and --sort; a metric that does not exist is said and the first is used."""
    arguments = ("--grid", "a=1:3:1", "--grid", "b=2,1", "--top", "2")
    status, out, err = command("sweep_strategies:area", *arguments, "--ascending")
    assert (status, err) == (0, "")
    rows = [line.split()[:3] for line in out.splitlines()[4:]]
    assert rows == [["1", "1", "301"], ["1", "2", "302"]]
    status, out, err = command("sweep_strategies:area", *arguments, "--sort", "gain")
    assert status == 0
    assert "--sort must be one of ['value']; received 'gain'" in err
    assert "by value, highest first" in out


@pytest.mark.parametrize(
    ("strategy", "arguments", "message"),
    [
        (AVERAGE, ["--grid", "fast=1:5"], "three numbers; received 'fast=1:5'"),
        (AVERAGE, [], "at least one axis"),
        (AVERAGE, ["--grid", "fst=5", "--grid", "slow=20"], "axes ['fst', 'slow'] by name"),
        ("no_such_module_here:f", ["--grid", "a=1"], "No module named 'no_such_module_here'"),
        (
            "sweep_strategies:area",
            ["--grid", "a=1", "--grid", "b=1", "--out", "gone/r.parquet"],
            "must be writable",
        ),
        (
            "sweep_strategies:area",
            ["--grid", "a=1", "--grid", "b=1", "--out", "r.xlsx"],
            "must end in .parquet",
        ),
        (
            "sweep_strategies:area",
            ["--grid", "a=1", "--grid", "b=1", "--top", "0"],
            "--top must be at least 1",
        ),
        ("sweep_strategies:area", ["--grid", "a=1", "--grid", "b=1", "--workers", "0"], "max_workers"),
    ],
)
def test_wrong_usage_is_status_2(command: Command, strategy: str, arguments: list[str], message: str) -> None:
    """One line on standard error says what is wrong; nothing is written."""
    before = sorted(p.name for p in Path().iterdir())
    status, out, err = command(strategy, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("optengine sweep: ")
    assert message in err
    assert sorted(p.name for p in Path().iterdir() if p.name != "__pycache__") == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "'bad.csv'"),
        ("", "'bad.csv'"),
        ("date,close\n", "at least one row; received none in 'bad.csv'"),
    ],
)
def test_data_that_cannot_be_read_is_status_2(command: Command, content: str | None, message: str) -> None:
    """A missing, an empty and a headers-only file are told by name."""
    if content is not None:
        Path("bad.csv").write_text(content)
    status, out, err = command(AVERAGE, "--grid", "fast=1", "--grid", "slow=5", data="bad.csv")
    assert (status, out) == (2, "")
    assert message in err


def test_ctrl_c_keeps_what_was_computed(folder: Path, no_leftovers: None) -> None:
    """Status 130, the finished point in the file, the others marked cancelled, no worker left."""
    argv = ["sweep", "prices.csv", "--strategy", "sweep_strategies:slow", "--grid", "a=0:5:1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "optengine.cli", *argv, "--workers", "2", "--out", "r.parquet"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])},
    )
    with process:
        deadline = time.monotonic() + 240
        # Both workers are busy, so the one that had point 0 has sent its result; give it time to arrive.
        while len(list(folder.glob("began-*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=240)
    assert process.returncode == 130, err
    assert "6 points in " in out
    assert "interrupted" in err
    assert "Traceback" not in err
    table = pd.read_parquet(folder / "r.parquet")
    assert table["error_kind"].fillna("").tolist() == ["", *["cancelled"] * 5]
    assert table["value"].tolist()[0] == 0
