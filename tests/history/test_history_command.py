"""`optbench history`: what is printed, written and returned."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from samples import decision, inconclusive, nasty, not_equivalent

from pytest_optbench.cli import run
from pytest_optbench.history.location import Location
from pytest_optbench.history.write import write_run

POOL = "benchmarks/test_01_persistent_pool.py::test_fair"


def call(*arguments: object) -> tuple[int, str, str]:
    """Return status, output and errors of one command line."""
    out, err = io.StringIO(), io.StringIO()
    return run(["history", *map(str, arguments)], out, err), out.getvalue(), err.getvalue()


def damage(history: Location) -> None:
    (Path(history.base) / "damaged.parquet").write_bytes(b"PAR1")


def test_list_prints_a_line_per_decision(history: Location) -> None:
    """Time, verdict, gain, pairs, title, id and run stand in one line, and the counts at the end."""
    name = write_run(history, [decision(), inconclusive(started="2026-11-23T10:00:00Z")])
    status, out, err = call("list", history.base)
    header, first, second, count = out.splitlines()
    assert header.split("  ")[0] == "started"
    run_name = name.partition("-")[2].removesuffix(".parquet")
    expected = f"2026-11-22 10:00:00 ACCEPT 74.91 % = 3.986x 10 Persistent worker pool {POOL} {run_name}"
    assert " ".join(first.split()) == expected
    assert second.startswith("2026-11-23 10:00:00  INCONCLUSIVE  5.94 % = 1.063x")
    assert count == f"2 decisions of 1 run in {history.base}"
    assert (status, err) == (0, "")


@pytest.mark.parametrize("action", ["list", "trend", "export"])
def test_a_folder_that_is_no_history_is_an_error(tmp_path: Path, action: str) -> None:
    """Where no run was ever kept the status is 1 and the message says so; old runs left out by --since are no error."""
    (tmp_path / "notes.txt").write_text("no history")
    status, out, err = call(action, tmp_path)
    assert (status, out) == (1, "")
    assert (
        f"a history must hold a run, received {tmp_path}, which holds none (no file in it ends in .parquet)"
        in err
    )


def test_nothing_since_is_not_nothing(history: Location) -> None:
    """A history whose runs are all older than asked for lists none of them and is no error."""
    name = write_run(history, [decision()])
    Path(history.base, name).rename(Path(history.base, "20200101T000000.000000Z-00.parquet"))
    status, out, _ = call("list", history.base, "--since", "2021-01-01")
    assert (status, out.splitlines()[-1]) == (0, f"0 decisions of 0 runs in {history.base}")


def test_list_filters(history: Location) -> None:
    """Subject, verdict and time choose what is listed; the counts are those of what is shown."""
    write_run(history, [decision(), not_equivalent()])
    write_run(history, [decision(started="2026-11-25T10:00:00Z")])
    assert (
        call("list", history.base, "--verdict", "reject")[1]
        .splitlines()[-1]
        .startswith("1 decision of 1 run")
    )
    assert (
        call("list", history.base, "--subject", "pool")[1]
        .splitlines()[-1]
        .startswith("2 decisions of 2 runs")
    )
    shown = call("list", history.base, "--group", "pool", "--since", "2000-01-01")[1]
    assert shown.splitlines()[-1].startswith("3 decisions of 2 runs")


def test_foreign_text_is_printed_as_text(history: Location) -> None:
    """Control sequences of a title never reach the terminal, and every line stays one line."""
    write_run(history, [nasty()])
    for action in ("list", "trend"):
        out = call(action, history.base)[1]
        assert "\x1b" not in out
        assert "\u202e" not in out
        assert "a|b <script>" in out


def test_show_prints_a_decision_and_its_trail(history: Location) -> None:
    """The newest decision is summed up, with every earlier one and what had to be shown."""
    write_run(history, [decision(verdict="REJECT", reasons=["below-threshold"], margin=1.25)])
    write_run(history, [decision(started="2026-11-23T10:00:00Z", attempt=2)])
    status, out, err = call("show", history.base, "worker POOL")
    lines = out.splitlines()
    assert lines[0] == decision()["summary"]
    assert lines[3].split()[:4] == ["2026-11-22", "10:00:00", "1", "REJECT"]
    assert "20.00 %" in lines[3]
    assert lines[4].split()[:4] == ["2026-11-23", "10:00:00", "2", "ACCEPT"]
    assert "reproduce with pytest --optbench" in lines[-1]
    assert (status, err) == (0, "")


def test_show_gives_the_document_and_the_report(history: Location) -> None:
    """As JSON and as markdown the decision is whole, its earlier decisions taken from the history."""
    first = write_run(history, [decision(verdict="REJECT", reasons=["below-threshold"])])
    write_run(history, [decision(started="2026-11-23T10:00:00Z")])
    doc = json.loads(call("show", history.base, POOL, "--format", "json")[1])
    assert [each["verdict"] for each in doc.pop("earlier")] == ["REJECT"]
    assert doc == {k: v for k, v in decision(started="2026-11-23T10:00:00Z").items() if k != "earlier"}
    report = call("show", history.base, POOL, "--format", "markdown")[1]
    assert "## Earlier decisions" in report
    assert "| 2026-11-22T10:00:00Z | REJECT |" in report
    run_name = first.removesuffix(".parquet")
    old = json.loads(call("show", history.base, POOL, "--run", run_name, "--format", "json")[1])
    assert (old["verdict"], old["earlier"]) == ("REJECT", [])


def test_show_names_what_is_not_there(history: Location) -> None:
    """A run without the subject and a subject without a decision are errors."""
    write_run(history, [decision()])
    status, out, err = call("show", history.base, "pool", "--run", "x")
    assert (status, out) == (1, "")
    assert f"--run must name a run with a decision on '{POOL}', received 'x'" in err
    assert "must hold a decision on 'zebra'" in call("show", history.base, "zebra")[2]


def test_trend_prints_and_draws(history: Location, tmp_path: Path) -> None:
    """Each subject has a table over time; with --plot they are drawn as well."""
    write_run(history, [decision(verdict="REJECT", reasons=["below-threshold"]), inconclusive()])
    write_run(history, [decision(started="2026-11-23T10:00:00Z")])
    status, out, err = call("trend", history.base, "--plot", tmp_path / "trend.svg")
    assert f"Persistent worker pool ({POOL})" in out
    assert out.count("74.81 to 75.01 %") == 2
    assert "4.71 to 7.16 %  5.00 %  20     futile" in out
    assert out.splitlines()[-1] == f"drawn in {tmp_path / 'trend.svg'}"
    assert b"<svg" in (tmp_path / "trend.svg").read_bytes()
    assert (status, err) == (0, "")


def test_trend_of_groups(history: Location) -> None:
    """The accepted gains of a group are multiplied run by run, with the condition they hold under."""
    write_run(history, [decision(id="a"), decision(id="b"), inconclusive()])
    out = call("trend", history.base, "--groups")[1].splitlines()
    assert "holds where each baseline is the version the one before left" in out[0]
    assert out[2].split()[:7] == ["pool", "2026-11-22", "10:00:00", "2", "of", "3", "93.71"]
    write_run(history, [inconclusive(started="2026-11-24T10:00:00Z")])
    assert "0 of 1    none" in call("trend", history.base, "--groups")[1].splitlines()[-1]


def test_export_as_csv(history: Location, tmp_path: Path) -> None:
    """One line per decision, numbers in full, unknown values empty; to a file when asked."""
    name = write_run(history, [decision(), not_equivalent()])
    status, out, _ = call("export", history.base, "--output", tmp_path / "all.csv")
    assert (status, out) == (0, f"2 decisions written to {tmp_path / 'all.csv'}\n")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "all.csv").read_text())))
    first, second = sorted(rows, key=lambda row: row["verdict"])
    assert first["run"] == name.removesuffix(".parquet")
    assert float(first["ratio"]) == decision()["ratio"]["estimate"]
    assert (first["reasons"], second["reasons"]) == ("", "not-equivalent")
    assert (second["ratio"], second["quick"], second["n"]) == ("", "false", "0")


def test_export_pairs_as_csv(history: Location) -> None:
    """With --pairs there is a line per pair of trials, in seconds."""
    write_run(history, [decision(), not_equivalent()])
    rows = list(csv.DictReader(io.StringIO(call("export", history.base, "--pairs")[1])))
    assert [float(row["baseline_s"]) for row in rows] == [pair["baseline_s"] for pair in decision()["pairs"]]
    assert {row["id"] for row in rows} == {POOL}


def test_export_as_json_lines(history: Location) -> None:
    """Each line is one whole decision with its run, in ASCII."""
    name = write_run(history, [decision(), nasty()])
    out = call("export", history.base, "--format", "jsonl", "--subject", POOL)[1]
    assert json.loads(out) == {"run": name.removesuffix(".parquet"), **decision()}
    everything = call("export", history.base, "--format", "jsonl")[1]
    assert everything.isascii()
    assert len(everything.splitlines()) == 2


@pytest.mark.parametrize("action", [("list",), ("trend",), ("export",), ("show", POOL)])
def test_damage_is_never_silent(history: Location, action: tuple[str, ...]) -> None:
    """A file that cannot be read is named, what can be read is printed, and the status is not 0."""
    write_run(history, [decision()])
    damage(history)
    status, out, err = call(action[0], history.base, *action[1:])
    assert status == 1
    assert "optbench: warning: damaged.parquet was skipped: " in err
    assert out


def test_a_reader_that_has_seen_enough_is_no_traceback(history: Location) -> None:
    """When the output goes into a pipe that is closed early, the command ends quietly."""
    write_run(history, [decision(id=f"test_{i}") for i in range(60)])
    command = [sys.executable, "-c", "from pytest_optbench.cli import main; main()"]
    command += ["history", "export", history.base, "--pairs"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(240) == 1


def test_usage_errors(history: Location, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong time is wrong usage, pairs as JSON lines and a missing history are errors with a cure."""
    assert call("list", history.base, "--since", "soon")[0] == 2
    assert "must be a date such as 2026-11-22" in capsys.readouterr().err
    status, _, err = call("export", history.base, "--format", "jsonl", "--pairs")
    assert status == 1
    assert "--pairs is for --format csv" in err
    assert "begins with the first run" in call("list", Path(history.base) / "nowhere")[2]
    write_run(history, [decision()])
    assert (
        "cannot be written: No such file" in call("export", history.base, "--output", "no/such/file.csv")[2]
    )
