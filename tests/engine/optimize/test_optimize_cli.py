"""``optengine optimize``, through the function behind the command and once as a process."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from optengine.cli import run as run_cli

SPACE = """
[x]
type = "uniform"
low = -5
high = 5
points = 5

[n]
type = "integer"
low = 1
high = 3
"""
MODULE = """
def bowl(params):
    return -(params["x"] - 1) ** 2 - params["n"]

def broken(params):
    raise RuntimeError("nothing works")

def interrupted(params):
    raise KeyboardInterrupt

def budgeted(params, context):
    return bowl(params) * context.budget
"""

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the command in a folder with a space and a module of objectives; (status, output, errors)."""
    (tmp_path / "space.toml").write_text(SPACE)
    (tmp_path / "command_objectives.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def call(objective: str, *arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        argv = ["optimize", f"command_objectives:{objective}", "--space", "space.toml", "--backend", "serial"]
        status = run_cli([*argv, "--no-progress", *arguments], out, err)
        sys.modules.pop("command_objectives", None)
        return status, out.getvalue(), err.getvalue()

    return call


@pytest.mark.parametrize("algorithm", ["random", "tpe", "genetic", "cmaes", "grid"])
def test_each_algorithm_runs_and_prints_its_best(command: Command, algorithm: str) -> None:
    """The table names counts, seed, the best trial and its parameters."""
    status, out, err = command("bowl", "--algorithm", algorithm, "--trials", "15", "--seed", "4")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("15 trials (15 complete, 0 failed, 0 cancelled)")
    assert lines[0].endswith("seed 4")
    assert lines[1].startswith("best: trial ")
    assert [line.split()[0] for line in lines[2:4]] == ["x", "n"]


def test_bohb_takes_its_budgets_as_options(command: Command) -> None:
    """Options of an algorithm are NAME=VALUE, read as JSON."""
    options = ("--option", "min-budget=1", "--option", "max_budget=9", "--option", "eta=3")
    status, out, _ = command("budgeted", "--algorithm", "bohb", "--seed", "1", *options)
    assert status == 0
    assert "at budget 9" in out


def test_a_run_is_resumed_without_repeating_the_seed(command: Command, tmp_path: Path) -> None:
    """--resume continues the journal with the seed written there; without it a used journal is refused."""
    journal = ("--checkpoint", "run.jsonl")
    search = ("--algorithm", "random")
    status, out, _ = command("bowl", *search, "--trials", "10", *journal, "--resume")
    assert status == 0
    seed = out.splitlines()[0].split()[-1]
    status, _, err = command("bowl", *search, "--trials", "20", *journal, "--seed", seed)
    assert status == 2
    assert "continue it with resume=True (--resume)" in err
    status, out, _ = command(
        "bowl", *search, "--trials", "20", *journal, "--resume", "--out", "trials.parquet"
    )
    assert status == 0
    assert "10 of them taken from the checkpoint" in out
    assert out.splitlines()[0].endswith(f"seed {seed}")
    assert len(pd.read_parquet(tmp_path / "trials.parquet")) == 20
    header = json.loads((tmp_path / "run.jsonl").read_text().splitlines()[0])
    assert header["search"]["seed"] == int(seed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--algorithm", "tpe"), "algorithm 'tpe' needs a number of trials"),
        (("--algorithm", "magic", "--trials", "3"), "algorithm must be one of grid, random"),
        (("--trials", "3", "--resume"), "--resume needs the file to continue"),
        (("--trials", "3", "--out", "x.xls"), "must end in .parquet or .csv"),
        (
            ("--trials", "3", "--out", "missing/x.csv"),
            "the results file must be writable; received 'missing/x.csv'",
        ),
        (("--trials", "3", "--optuna-storage", "no://me:secret@host"), "received 'no://...@host'"),
        (("--trials", "3", "--option", "population"), "--option must be NAME=VALUE; received 'population'"),
        (("--trials", "3", "--option", "speed=fast"), "does not take these options: {'speed': 'fast'}"),
        (("--trials", "3", "--max-failures", "many"), "--max-failures must be a number, a share or 'none'"),
        (("--trials", "3", "--workers", "0"), "n_jobs"),
        (("--trials", "3", "--space", "nowhere.toml"), "the space file must be readable TOML"),
    ],
)
def test_wrong_usage_ends_with_two(command: Command, arguments: tuple[str, ...], message: str) -> None:
    """The error goes to standard error, nothing to standard output."""
    status, out, err = command("bowl", *arguments)
    assert (status, out) == (2, "")
    assert message in err


@pytest.mark.parametrize("objective", ["nothing_here", ""])
def test_an_objective_that_does_not_exist_is_named(command: Command, objective: str) -> None:
    """Missing functions and missing names are wrong usage."""
    status, _, err = command(objective, "--trials", "3")
    assert status == 2
    assert "the objective must be" in err


def test_a_run_without_success_ends_with_one(command: Command) -> None:
    """Too many failures give the reason on standard error; no complete trial is said on standard output."""
    status, out, err = command("broken", "--algorithm", "random", "--trials", "20", "--seed", "1")
    assert status == 1
    assert "RuntimeError: nothing works" in err
    assert "no complete trial" in out
    status, out, err = command("broken", "--algorithm", "random", "--trials", "20", "--max-failures", "none")
    assert status == 1
    assert "20 x failed: RuntimeError: nothing works" in err


def test_a_history_that_cannot_be_written_is_an_error(command: Command, tmp_path: Path) -> None:
    """A place lost while the run goes on takes the file away, not the table, and leaves nothing behind."""
    (tmp_path / "vanishing.py").write_text(
        "import shutil\ndef bowl(params):\n    shutil.rmtree('out', ignore_errors=True)\n    return params['x']\n"
    )
    (tmp_path / "out").mkdir()
    out, err = io.StringIO(), io.StringIO()
    words = "optimize vanishing:bowl --space space.toml --backend serial --trials 3 --algorithm random --no-progress"
    assert run_cli([*words.split(), "--out", "out/trials.parquet"], out, err) == 1
    assert "best: trial" in out.getvalue()
    assert "the results could not be written to 'out/trials.parquet'" in err.getvalue()
    assert not (tmp_path / "out").exists()


def test_ctrl_c_ends_with_130_and_no_traceback(command: Command) -> None:
    """An interrupted run says so; its exit status is that of an interrupt."""
    status, _, err = command("interrupted", "--algorithm", "random", "--trials", "3")
    assert status == 130
    assert err.splitlines()[-1] == "optengine optimize: interrupted"


def test_early_stops_are_said(command: Command) -> None:
    """The reason of a stop rule stands in the table."""
    _, out, _ = command("bowl", "--algorithm", "random", "--trials", "200", "--seed", "1", "--target", "-3")
    assert "stopped early: target reached" in out


@pytest.mark.usefixtures("untraced")
def test_the_command_works_with_workers(tmp_path: Path) -> None:
    """As a process with two workers, the objective is found in the current folder by every worker."""
    (tmp_path / "space.toml").write_text(SPACE)
    (tmp_path / "command_objectives.py").write_text(MODULE)
    command = (
        "optimize command_objectives:bowl --space space.toml --algorithm tpe --trials 20 --workers 2 --seed 1"
    )
    journal = "--checkpoint run.jsonl --resume --optuna-storage sqlite:///study.db"
    done = subprocess.run(
        [sys.executable, "-m", "optengine.cli", *command.split(), *journal.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "20 trials (20 complete" in done.stdout
    assert len((tmp_path / "run.jsonl").read_text().splitlines()) == 21
    import optuna

    study = optuna.load_study(
        study_name="command_objectives:bowl", storage=f"sqlite:///{tmp_path / 'study.db'}"
    )
    assert len(study.trials) == 20
    assert f"value {study.best_value:.6g}" in done.stdout
