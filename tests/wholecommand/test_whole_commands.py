from __future__ import annotations

import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from pytest_optbench import cli
from pytest_optbench.history.location import locate
from pytest_optbench.history.read import read
from pytest_optbench.store import schema
from pytest_optbench.wholecommand.command import Command, CommandError
from pytest_optbench.wholecommand.spawn import Spawner

Run = Callable[..., tuple[int, str, str, list[dict[str, Any]]]]
HANG_S = 400.0  # longer than anybody waits for others to measure
PYTHON = f"{shlex.quote(sys.executable)} -I -S -c"


def program(code: str) -> str:
    """Return a command that runs Python code with as little start-up as can be."""
    return f"{PYTHON} {shlex.quote(code)}"


@pytest.fixture
def optbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs `optbench run` in an empty folder: (status, stdout, stderr, decisions)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str, list[dict[str, Any]]]:
        out, err = io.StringIO(), io.StringIO()
        status = cli.run(["run", *map(str, arguments)], out, err)
        index = tmp_path / "reports" / "index.json"
        return status, out.getvalue(), err.getvalue(), json.loads(index.read_text()) if index.exists() else []

    return run


def test_a_clear_win_is_accepted_and_recorded(optbench: Run, tmp_path: Path) -> None:
    """A command that does a tenth of the work is accepted, with everything a reader needs in the document."""
    slow = program("x = bytearray(60 << 20); print(1)\nfor i in range(1_000_000): pass")
    fast = program("print(1)")
    status, out, _, documents = optbench(
        "--baseline", slow, "--optimized", fast, "--seed=7", "--title=Loop", "--max-time=200"
    )
    assert (status, [d["verdict"] for d in documents]) == (0, ["ACCEPT"])
    document = documents[0]
    schema.validate({**document})
    assert document["id"] == "command::Loop"
    assert len(document["pairs"]) >= 10
    plan = document["protocol"]["plan"][: document["looks"][-1]["n"]]
    assert [pair["order"] for pair in document["pairs"]] == plan
    assert abs(sum(plan[:10])) <= 1
    assert document["protocol"]["isolation"] == "command"
    assert document["protocol"]["loops"] == 1
    assert "PYTHONHASHSEED" in document["protocol"]["varied_per_pair"]
    assert document["equivalence"]["passed"] is True
    assert document["control"]["n"] >= 4
    assert document["memory"]["baseline"]["peak_bytes"] > 60 << 20
    assert document["memory"]["optimized"]["peak_bytes"] < 40 << 20
    assert document["metrics"]["memory"]["ratio"] > 2
    assert document["command"].startswith("optbench run ")
    assert str(Path(sys.executable).parent) not in json.dumps(document)
    assert "start-up" in [d["code"] for d in document["diagnostics"]]
    assert "ACCEPT Loop: time saved" in out
    assert "--seed=7" in Path("reports", "command-Loop.md").read_text()


def test_the_same_command_is_no_gain(optbench: Run) -> None:
    """A command against itself is never an ACCEPT of a speedup, and the gate fails."""
    status, _, _, documents = optbench(
        "--baseline=true", "--optimized=true", "--max-trials=10", "--min-speedup=30%"
    )
    assert status == 1
    assert documents[0]["verdict"] in ("REJECT", "INCONCLUSIVE")


@pytest.mark.parametrize(
    ("ending", "words"),
    [("sys.exit(3)", "ended with status 3"), ("os.kill(os.getpid(), 9)", "was ended by signal 9")],
)
def test_a_command_that_fails_is_no_arm(optbench: Run, ending: str, words: str) -> None:
    """A status other than 0, or a signal, ends measuring: INCONCLUSIVE, with what the command said."""
    bad = program(f"import os, sys; sys.stderr.write('no such luck'); sys.stderr.flush(); {ending}")
    status, out, _, documents = optbench("--baseline=true", "--optimized", bad)
    assert status == 1
    assert (documents[0]["verdict"], documents[0]["reasons"]) == ("INCONCLUSIVE", ["arm-raised"])
    assert f"{words}, it must end with 0; it said: no such luck" in out


def test_other_output_is_rejected(optbench: Run) -> None:
    """A command that writes something else is REJECTed with the place, unless output was declared free."""
    arguments = ("--baseline=echo a b", "--optimized=echo a c", "--goal=no-regression", "--max-slowdown=90%")
    status, out, _, documents = optbench(*arguments)
    assert status == 1
    assert (documents[0]["verdict"], documents[0]["reasons"]) == ("REJECT", ["not-equivalent"])
    assert r"stdout differs from byte 2 on: the baseline writes 'b\n', the other 'c\n'" in out
    _, _, _, documents = optbench(*arguments, "--no-equal-output")
    assert documents[0]["equivalence"]["checked"] is False
    assert documents[0]["pairs"]


def test_output_that_changes_later_is_seen(optbench: Run, tmp_path: Path) -> None:
    """A command that gives another answer in some timed run is REJECTed, though its first answers were right."""
    counting = "n = len(open('n').read()); open('n', 'a').write('x'); print(1 if n < 12 else 2)"
    (tmp_path / "n").write_text("")
    status, out, _, documents = optbench(
        "--baseline", program("print(1)"), "--optimized", program(counting), "--quick", "--max-time=60"
    )
    assert status == 1
    assert documents[0]["reasons"][0] == "not-equivalent"
    assert "a timed run of 'optimized' wrote something else than the baseline" in out


def test_output_of_chance_cannot_be_compared(optbench: Run) -> None:
    """A baseline whose own output differs from run to run is INCONCLUSIVE and names the option."""
    _, out, _, documents = optbench("--baseline=date +%N", "--optimized=date +%N")
    assert documents[0]["reasons"][0] == "equivalence-error"
    assert "compare speed alone with --no-equal-output" in out


def test_memory_too_small_to_be_told_is_not_within_its_margin(optbench: Run) -> None:
    """Where the baseline needs less than the floor of the measurement, a memory margin is open, not kept."""
    arguments = [
        "--baseline=sleep 0.05",
        "--optimized=true",
        "--trials=10",
        "--max-trials=10",
        "--title=Small",
    ]
    status, _, _, documents = optbench(*arguments, "--max-memory=10%", "--max-time=200")
    assert (status, documents[0]["verdict"]) == (1, "INCONCLUSIVE")
    # By design the A/A control finds the baseline different from itself in one run of a hundred.
    assert documents[0]["reasons"] in (["memory-open"], ["noisy-control"])
    assert documents[0]["metrics"]["memory"]["verdict"] == "open"
    (found,) = [d for d in documents[0]["diagnostics"] if d["code"] == "memory-floor"]
    assert found["message"].startswith("max_memory cannot be judged: the baseline needs less than ")


def test_setup_folder_and_shell(optbench: Run, tmp_path: Path) -> None:
    """The setup runs before every run, in --cwd, and with --shell pipes work."""
    (tmp_path / "work").mkdir()
    arguments = ["--cwd=work", "--shell", "--setup=echo x >> log; echo 5 > input", "--quick", "--max-time=60"]
    _, _, _, documents = optbench("--baseline=cat input | rev", "--optimized=rev < input", *arguments)
    assert documents[0]["equivalence"]["passed"] is True
    assert documents[0]["reasons"] == ["quick"]
    assert documents[0]["protocol"]["setup"] == "echo x >> log; echo 5 > input"
    stored = json.loads((tmp_path / "reports" / f"{documents[0]['slug']}.json").read_text())
    runs = sum(2 * len(pair["runs"]) for pair in stored["pairs"])
    assert len((tmp_path / "work" / "log").read_text().split()) >= runs >= 8


def test_templates_are_used_for_the_index_too(optbench: Run, tmp_path: Path) -> None:
    """A template of the user's replaces the shipped one on every page."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.md.j2").write_text("my own index\n")
    optbench("--baseline=false", "--optimized=true", "--templates=mine")
    assert (tmp_path / "reports" / "index.md").read_text() == "my own index\n"


def test_a_setup_that_fails_is_named(optbench: Run) -> None:
    """A setup that fails ends measuring and is named as the setup."""
    _, out, _, documents = optbench("--baseline=true", "--optimized=true", "--setup=false")
    assert documents[0]["reasons"] == ["arm-raised"]
    assert "setup of arm 'baseline' raised CommandFailed: false ended with status 1" in out


def test_several_candidates_share_one_baseline(optbench: Run) -> None:
    """Each candidate gets a decision of its own, corrected for their number."""
    _, _, _, documents = optbench(
        "--baseline=true", "--optimized=true", "--optimized=/bin/true", "--quick", "--max-time=60"
    )
    assert [d["title"] for d in documents] == ["true against true", "true against true (#2)"]
    _, _, err, _ = optbench("--baseline=true", "--optimized=true", "--optimized=true")
    assert "every --optimized must be another command, received 'true' twice" in err


def test_a_command_that_never_ends_is_ended(optbench: Run) -> None:
    """The time limit ends the command with all it started, also in another session; nothing stays behind."""
    marker = f"861.{os.getpid()}"
    _, out, _, documents = optbench(
        "--baseline=true", f"--optimized=sh -c 'setsid -f sleep {marker} & sleep {marker}'", "--max-time=0.2"
    )
    assert documents[0]["verdict"] == "INCONCLUSIVE"
    assert documents[0]["reasons"] == ["time-limit"]
    assert "the hard time limit of this benchmark" in out
    assert not _sleeping(marker)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_it_is_ended(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, kill and kill -9 leave no command running, whatever it started."""
    marker = f"{8600 + number.value}.{os.getpid()}"
    asking = subprocess.Popen(
        [sys.executable, "-c", "from pytest_optbench.cli import main; main()", "run", "--baseline=true",
         f"--optimized=sh -c 'sleep {marker} & setsid -f sleep {marker}; setsid -w sleep {marker}'"],
        cwd=tmp_path, stderr=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": ""},
    )  # fmt: skip
    try:
        _until(lambda: len(_sleeping(marker)) == 3)
        asking.send_signal(number)
        _, said = asking.communicate(timeout=HANG_S)
        _until(lambda: not _sleeping(marker))
    finally:
        asking.kill()
    assert asking.returncode == (-9 if number is signal.SIGKILL else 130)
    if number is not signal.SIGKILL:
        assert b"interrupted; nothing was decided and no command is left running" in said


def test_what_kill_9_leaves_is_removed_by_the_next_run(tmp_path: Path) -> None:
    """When the process that starts commands is killed as well, the next run removes the folder of both."""
    temporary, marker = tmp_path / "temporary", f"862.{os.getpid()}"
    temporary.mkdir()
    command = [sys.executable, "-c", "from pytest_optbench.cli import main; main()", "run", "--baseline=true"]
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONUNBUFFERED": ""}
    asking = subprocess.Popen([*command, f"--optimized=sleep {marker}"], cwd=tmp_path, env=environment)
    try:
        _until(lambda: len(_sleeping(marker)) == 1)
        asking.send_signal(signal.SIGSTOP)  # or it would see the end of the other and clear up
        for child in psutil.Process(asking.pid).children(recursive=True):
            child.kill()
    finally:
        asking.kill()
        asking.wait()
    assert len(list(temporary.iterdir())) == 1
    subprocess.run(
        [*command, "--optimized=false"], cwd=tmp_path, env=environment, timeout=HANG_S, check=False
    )
    assert list(temporary.iterdir()) == []


def test_a_history_is_kept_and_counted(optbench: Run, tmp_path: Path) -> None:
    """Decisions are added to the history, and a later run with a fresh report folder counts them as attempts."""
    arguments = [
        "--baseline=true",
        "--optimized=true",
        "--max-trials=10",
        "--min-speedup=60%",
        "--title=Same",
    ]
    optbench(*arguments, "--history=runs")
    first = json.loads((tmp_path / "reports" / "index.json").read_text())
    (tmp_path / "reports").rename(tmp_path / "first")
    status, _, err, (document,) = optbench(*arguments, f"--history={(tmp_path / 'runs').as_uri()}")
    assert status == 1
    assert document["attempt"] == 2
    assert [each["verdict"] for each in document["earlier"]] == [each["verdict"] for each in first]
    assert "--history=file://.../runs" in document["command"]
    assert "history" not in err
    records = read(locate("runs", tmp_path)).records
    assert [(record.id, record.attempt) for record in records] == [("command::Same", 1), ("command::Same", 2)]


def test_a_history_that_cannot_be_written_is_found_before_measuring(optbench: Run, tmp_path: Path) -> None:
    """Nothing is measured when the decision could not be kept; the message names this command's option."""
    (tmp_path / "runs").write_text("no folder")
    status, out, err, documents = optbench("--baseline=true", "--optimized=true", "--history=runs")
    assert (status, out, documents) == (2, "", [])
    assert err.startswith("optbench run: the history runs cannot be written: ")
    assert "with --history=URI\n" in err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a command must name a program, received ''"),
        ("  ", "a command must name a program"),
        ("a\0b", "a command must name a program"),
        ("'x", "balanced quotes"),
        ("cat x | wc", "with '|'; add --shell"),
        ("cat x > y", "with '>'; add --shell"),
        ("./nothing", "'./nothing' is not one; give its path, or add --shell"),
        ("nosuchprogram -x", "'nosuchprogram' is not one"),
        ("'' x", "'' is not one"),
    ],
)
def test_commands_that_cannot_be_run(tmp_path: Path, text: str, message: str) -> None:
    """A command that cannot be run as written is refused before anything runs, with the cure."""
    with pytest.raises(CommandError) as caught:
        Command.parse(text, tmp_path)
    assert message in str(caught.value)


def test_words_are_those_of_a_shell(tmp_path: Path) -> None:
    """Quotes group and are removed; operators inside quotes are words; nothing is expanded."""
    command = Command.parse("""echo 'a | b' "c  d" $HOME *""", tmp_path)
    assert command.words == ("echo", "a | b", "c  d", "$HOME", "*")
    assert Command.parse("cat a|b", tmp_path, shell=True).words == ("/bin/sh", "-c", "cat a|b")


def test_documents_show_no_folders(tmp_path: Path) -> None:
    """Absolute paths are cut to their last part; the digest changes with the file that is run."""
    script = tmp_path / "a.py"
    script.write_text("1")
    command = Command.parse(f"{sys.executable} {script} -x", tmp_path)
    assert command.shown == f"{Path(sys.executable).name} a.py -x"
    assert Command.parse(f"{sys.executable} {script}", tmp_path.parent).shown.endswith(
        f" {tmp_path.name}/a.py"
    )
    given = Command.parse(
        f"true --config={script} --other=/far/away/b.toml -c 'open(\"{Path.home()}/c\")'", tmp_path
    )
    assert given.shown == """true --config=a.py --other=b.toml -c 'open("~/c")'"""
    in_shell = Command.parse(f"true >{Path.home()}/log --config={script}", tmp_path, shell=True)
    assert in_shell.shown == "true >~/log --config=a.py"
    before = command.code(tmp_path)["sha256"]
    script.write_text("2")
    assert command.code(tmp_path)["sha256"] != before


def test_a_file_that_cannot_be_read_makes_the_code_unknown(tmp_path: Path) -> None:
    """No digest stands for a command whose file has no readable content; words too long for a path are just words."""
    unreadable = Command.parse(
        "true /proc/self/mem", tmp_path
    )  # a regular file whose first byte nobody can read
    assert unreadable.code(tmp_path)["sha256"] is None
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 2**26 + 1)
    assert Command.parse("true large", tmp_path).code(tmp_path)["sha256"] is None
    one, two = (
        Command.parse(f"true -c {'x' * 5000}{end}", tmp_path).code(tmp_path)["sha256"] for end in "12"
    )
    assert None is not one != two is not None


def test_wrong_usage(optbench: Run) -> None:
    """Options are checked before anything runs; trials below ten need --quick."""
    assert optbench("--baseline=true", "--optimized=true", "--trials=3")[0] == 2
    status, _, err, documents = optbench("--baseline=true", "--optimized=true", "--cwd=nowhere")
    assert (status, documents) == (2, [])
    assert "--cwd must be a folder, received 'nowhere'" in err
    assert optbench("--baseline=true")[0] == 2


def test_the_spawner_measures_one_run(tmp_path: Path) -> None:
    """One run: status, output, time, memory of the tree, processes left; the folder is gone afterwards."""
    command = Command.parse(
        program("import time; print('hi'); x = bytearray(40 << 20); time.sleep(0.5)"), tmp_path
    )
    with Spawner(tmp_path) as spawner:
        run = spawner.run(command, os.environ, HANG_S, sample=True)
        assert spawner.output(10) == b"hi\n"
        assert (run.status, run.size, run.left, run.timed_out) == (0, 3, 0, False)
        assert 0.5 <= run.wall_s < HANG_S
        assert run.peak_bytes > 40 << 20 > run.floor_bytes
        assert run.tree_bytes is not None
        assert run.tree_bytes > 40 << 20
        two = Command.parse("sleep 30 & echo x", tmp_path, shell=True)
        assert spawner.run(two, os.environ, HANG_S, sample=True).left == 1
        folder = spawner._folder
        assert spawner.run(Command.parse("sleep 30", tmp_path), os.environ, 0.1).timed_out
    assert not folder.exists()


def test_surroundings_vary_and_repeat(optbench: Run, tmp_path: Path) -> None:
    """Hash seed and padding differ between micro-pairs, are the same for both arms, and follow from the seed."""
    (tmp_path / "log.sh").write_text("echo $PYTHONHASHSEED ${#OPTBENCH_PADDING} >> log\n")
    seen = []
    for _ in range(2):
        optbench("--baseline=sh log.sh", "--optimized=sh ./log.sh", "--quick", "--seed=5", "--max-time=60")
        lines = (tmp_path / "log").read_text().splitlines()
        (tmp_path / "log").unlink()
        assert len(set(lines)) > len(lines) / 4
        assert max(lines.count(line) for line in set(lines)) >= 2
        seen.append(set(lines))
    assert len(seen[0] & seen[1]) >= 4


def _sleeping(marker: str) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["name", "cmdline"])
        if process.info["name"] == "sleep" and marker in (process.info["cmdline"] or [])
    ]


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HANG_S
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
