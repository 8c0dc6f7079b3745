"""The command line: exit statuses, formats, files and messages, through the entry function."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import pty
import secrets
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from optengine import cli, cpus


def optengine(*words: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    status = cli.run([str(word) for word in words], out, err)
    return status, out.getvalue(), err.getvalue()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a.txt").write_text("x")
    return tmp_path / "tree"


def validate(tree: Path, rules: str, *more: object) -> tuple[int, str, str]:
    return optengine(
        "validate", tree, "--rules", f"cli_rules:{rules}", "--mode", "sequential", "--no-progress", *more
    )


def test_a_clean_tree_gives_0(tree: Path) -> None:
    """Without findings the exit status is 0 and the table counts what passed."""
    status, out, err = validate(tree, "CLEAN")
    assert (status, err) == (0, "")
    assert out.startswith("tree: 1 rules: 1 PASS\n")


@pytest.mark.parametrize(
    ("level", "expected"), [(None, 1), ("INFO", 1), ("medium", 1), ("HIGH", 0), ("CRITICAL", 0)]
)
def test_findings_at_or_above_the_level_give_1(tree: Path, level: str | None, expected: int) -> None:
    """A MEDIUM finding fails the run up to --fail-on MEDIUM and by default."""
    status, out, _ = validate(tree, "MIXED", *([] if level is None else ["--fail-on", level]))
    assert status == expected
    assert "FAIL     MEDIUM   BAD" in out


def test_a_run_that_checked_nothing_is_no_success(tree: Path) -> None:
    """A rule that forgets its return is skipped with the reason, and with no other rule the exit status is 2."""
    status, out, err = validate(tree, "FORGOTTEN", "--all")
    assert status == 2
    assert "the rule returned None: it does not apply" in out
    assert (
        err
        == "optengine validate: at least one rule must apply; every rule was skipped. See their messages.\n"
    )


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("CYCLE", "must not form a circle; found A -> B -> A"),
        ("MISSING", "A -> NONE ends at an id that is not registered"),
        ("twice", "must be registered once; received 'A' again"),
        ("NOTHING", "'cli_rules:NOTHING' is None"),
        ("EMPTY", "at least one rule must be selected; none was"),
    ],
)
def test_a_rule_set_that_cannot_run_gives_2(tree: Path, rules: str, message: str) -> None:
    """A broken rule set is told from findings by its exit status, with the reason on the error stream."""
    status, out, err = validate(tree, rules)
    assert (status, out) == (2, "")
    assert message in err


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("cli_rules:leave", "the code it runs must not end the program; it left with 0"),
        ("script_that_exits:RULES", "importing 'script_that_exits' raised SystemExit: 0"),
    ],
)
def test_a_rule_set_that_exits_with_0_is_not_clean(
    tree: Path, rules: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code that calls sys.exit(0) while the rule set is made cannot pass for a clean run."""
    (tree.parent / "script_that_exits.py").write_text("raise SystemExit(0)\n")
    monkeypatch.syspath_prepend(tree.parent)
    status, out, err = optengine("validate", tree, "--rules", rules)
    assert (status, out) == (2, "")
    assert message in err


@pytest.mark.parametrize("mode", ["sequential", "processes"])
def test_a_builder_that_exits_with_0_is_an_error_of_its_rule(tree: Path, mode: str) -> None:
    """In every mode the rule that needs what a builder could not make is an ERROR, and the exit status is 1."""
    words = ("--rules", "cli_rules:EXITS", "--mode", mode, "--workers", 2, "--no-progress")
    status, out, err = optengine("validate", tree, *words, "--format", "json")
    assert (status, err) == (1, "")
    assert '"ERROR"' in out
    assert "The builder of shared input 'leaves' raised SystemExit: 0" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "required: COMMAND"),
        (("validate",), "required: ROOT, --rules"),
        (("validate", ".", "--rules", "x", "--mode", "warp"), "invalid choice: 'warp'"),
        (
            ("validate", ".", "--rules", "x", "--fail-on", "BAD"),
            "must be one of CRITICAL, HIGH, MEDIUM, LOW, INFO",
        ),
        (("validate", "nowhere-at-all", "--rules", "cli_rules:CLEAN"), "must be a folder"),
        (("validate", ".", "--rules", "no_such_module:X"), "importing 'no_such_module' raised"),
        (("validate", ".", "--rules", "cli_rules:CLEAN", "--workers", "0"), "at least 1 or None; received 0"),
        (("validate", ".", "--rules", "cli_rules:CLEAN", "--tag", "zz"), "A selected tag must exist"),
        (("validate", ".", "--rules", "cli_rules:CLEAN", "--changed-since", "HEAD"), "pass cache_dir too"),
        (("rules-bench", "--workers", "0,x"), "--workers must be numbers above 0"),
        (("rules-bench", "--runs", "0"), "--runs and --scale must be above 0; received 0"),
    ],
)
def test_usage_errors_give_2(words: tuple[str, ...], message: str) -> None:
    """Whatever cannot be understood or done is exit status 2 with the reason."""
    status, _, err = optengine(*words)
    assert status == 2
    assert message in err


def test_help_names_the_commands() -> None:
    """--help lists the commands and ends with 0; --version tells the version."""
    status, out, _ = optengine("--help")
    assert status == 0
    assert "validate" in out
    assert "rules-bench" in out
    assert optengine("--version")[1].startswith("optengine ")
    assert "--changed-since" in optengine("validate", "--help")[1]


def test_every_format_is_written_to_a_file(tree: Path, tmp_path: Path) -> None:
    """--out writes the whole report in each format and says so; the exit status stays that of the
    findings."""
    for name in ("table", "json", "markdown", "sarif", "junit"):
        target = tmp_path / "reports" / f"report.{name}"
        status, out, _ = validate(tree, "MIXED", "--format", name, "--out", target)
        assert status == 1
        assert out == f"1 PASS, 1 FAIL; report written to {target}\n"
        text = target.read_text(encoding="utf-8")
        if name in ("json", "sarif"):
            json.loads(text)
        elif name == "junit":
            assert ElementTree.fromstring(text).get("tests") == "2"
        else:
            assert "BAD" in text
    assert sorted(path.name for path in (tmp_path / "reports").iterdir())[0] == "report.json"


def test_a_link_or_device_is_written_to(tree: Path, tmp_path: Path) -> None:
    """--out does not replace what is no ordinary file: the standard output stays, and a link stays a link."""
    command = [sys.executable, "-m", "optengine", "validate", str(tree), "--rules", "cli_rules:CLEAN"]
    done = subprocess.run(
        [*command, "--mode", "sequential", "--format", "json", "--out", "/dev/stdout"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    report, _, said = done.stdout.rpartition("}")
    assert json.loads(f"{report}}}")["counts"]["PASS"] == 1
    assert "report written to /dev/stdout" in said
    assert Path("/dev/stdout").is_symlink()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    validate(tree, "CLEAN", "--out", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text().startswith("tree: 1 rules")


def test_any_text_reaches_any_stream(tree: Path) -> None:
    """A stream that cannot hold a letter gets it written out instead of ending the program."""
    bytes_out = io.BytesIO()
    with io.TextIOWrapper(bytes_out, encoding="ascii") as out:
        words = (
            "validate",
            str(tree),
            "--rules",
            "cli_rules:LETTERS",
            "--mode",
            "sequential",
            "--no-progress",
        )
        assert cli.run(words, out, io.StringIO()) == 1
        out.flush()
        text = bytes_out.getvalue().decode("ascii")
    assert "FAIL     MEDIUM   LETTERS" in text
    assert "\\xe9\\u2026 \\udcff" in text


def test_progress_is_shown_on_a_terminal_only_when_wanted(tree: Path) -> None:
    """On a terminal a bar counts the rules; with --no-progress nothing is written there."""
    here = Path(__file__).parent
    command = [sys.executable, "-m", "optengine", "validate", str(tree), "--rules", "cli_rules:MIXED"]
    for more, expected in (([], ["2/2", "1 failed"]), (["--no-progress"], [])):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        done = subprocess.run(
            [*command, "--mode", "sequential", *more],
            cwd=here,
            stdout=subprocess.PIPE,
            stderr=theirs,
            timeout=120,
            check=False,
        )
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # how a terminal says that nobody is left at its other end
            while part := os.read(ours, 4096):
                shown += part
        os.close(ours)
        assert done.returncode == 1
        assert bool(shown) == bool(expected)
        assert [one for one in expected if one not in shown.decode()] == []


def marked(mark: str) -> list[int]:
    """Living processes that inherited *mark* in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            if state not in "ZX" and mark.encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


@pytest.mark.parametrize("mode", ["sequential", "threads", "auto", "processes"])
def test_ctrl_c_ends_the_command_at_once(tree: Path, mode: str) -> None:
    """While a rule without a limit hangs, Ctrl-C ends the command with status 130, and nothing of it is left."""
    begun, mark = tree.parent / "begun", secrets.token_hex(8)
    command = [sys.executable, "-m", "optengine", "validate", str(tree), "--rules", "cli_rules:HANGS"]
    with subprocess.Popen(
        [*command, "--mode", mode, "--workers", "2", "--timeout", "0"],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OPTENGINE_TEST_BEGUN": str(begun), "OPTENGINE_TEST_MARK": mark},
    ) as run:
        deadline = time.monotonic() + 240
        while not begun.exists():
            assert run.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        try:
            out, err = run.communicate(timeout=240)
        finally:
            run.kill()
    assert (run.returncode, out) == (130, "")
    assert err == "optengine validate: interrupted\n"
    deadline = time.monotonic() + 120
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert marked(mark) == []


def test_a_report_that_cannot_be_written_gives_2(tree: Path) -> None:
    """A report below a file cannot be written, which is an error and not a pass."""
    status, _, err = validate(tree, "CLEAN", "--out", tree / "a.txt" / "report")
    assert status == 2
    assert "a.txt" in err


def test_the_cache_is_used_between_runs(tree: Path, tmp_path: Path) -> None:
    """With --cache the second run takes its result from the store."""
    for expected in (0, 1):
        _, out, _ = validate(tree, "CLEAN", "--cache", tmp_path / "cache")
        assert f"{expected} from the cache" in out


def test_rules_are_selected_by_options(tree: Path) -> None:
    """--select, --group, --tag and --min-severity narrow the run."""
    for words in (("--select", "OK"), ("--group", "g"), ("--tag", "t"), ("--min-severity", "HIGH")):
        status, out, _ = validate(tree, "CLEAN", *words)
        assert (status, "1 rules" in out) == (0, True)
    assert "1 rules" in validate(tree, "MIXED", "--select", "BAD")[1]


def test_the_installed_command_works(tree: Path) -> None:
    """The command runs as a program, finds rules in the current folder, and uses worker processes."""
    here = Path(__file__).parent
    command = [sys.executable, "-m", "optengine.cli", "validate", str(tree), "--rules", "cli_rules:MIXED"]
    done = subprocess.run(
        [*command, "--mode", "processes", "--workers", "2", "--fail-on", "HIGH"],
        cwd=here,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "processes, 2 worker(s)" in done.stdout


@pytest.mark.usefixtures("untraced")
def test_the_benchmark_writes_every_run(tmp_path: Path) -> None:
    """A small benchmark compares verdicts and writes medians, batches and overheads beside the claimed
    figures."""
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(20):
        (tree / f"m{number}.py").write_text(
            "import os\n\n\ndef f(x):\n    return os.path.join(x) if x else None\n" * 9
        )
    target = tmp_path / "full.json"
    words = ("--tree", tree, "--scale", "0.01", "--workers", "2")
    status, out, err = optengine("rules-bench", "--runs", "1", "--output", target, *words)
    assert (status, err) == (0, "")
    found = json.loads(target.read_text())
    assert (found["heavy"]["rules"], len(found["heavy"]["batches"])) == (384, 9)
    assert sum(found["heavy"]["batches"]) == 384
    assert found["claimed"]["processes_s"] == 2.8
    assert set(found["heavy"]["summary"]) == {"sequential", "threads", "processes"}
    assert len(found["heavy"]["per_batch_s"]["processes"]) == 9
    assert found["incremental"]["rules_run"] == {"cold": [96], "unchanged": [0], "one file changed": [1]}
    # Which one auto chose rests on times of this very run; what it should choose is for tests with known ones.
    assert set(found["tiny"]["auto_chose"]) <= {"sequential", "sequential+processes"}
    assert found["tiny"]["auto_chose"]
    assert "grouping is" in out
    scaled = tmp_path / "scaling.json"
    more = ("--runs", "1", "--output", scaled, *words[:-1], "2,5")
    status, out, _ = optengine("rules-bench", "--mode", "scaling", *more)
    assert status == 0
    rows = json.loads(scaled.read_text())["rows"]
    assert [(row["workers"], row["more_than_cpus"]) for row in rows] == [
        (2, cpus.usable_cpus() < 2),
        (5, cpus.usable_cpus() < 5),
    ]
    assert ("scaling: 5 workers (more than the " in out) == (cpus.usable_cpus() < 5)


def test_a_benchmark_that_is_ended_leaves_no_folder(tmp_path: Path) -> None:
    """On SIGTERM the benchmark dies of that signal, and its temporary folder is gone."""
    tree, temporary = tmp_path / "tree", tmp_path / "temporary"
    tree.mkdir()
    temporary.mkdir()
    for number in range(200):
        (tree / f"m{number}.py").write_text("def f(x):\n    return x.y(x) if x else None\n" * 40)
    words = ["rules-bench", "--tree", str(tree), "--scale", "0.01", "--workers", "1", "--runs", "1"]
    with subprocess.Popen(
        [sys.executable, "-m", "optengine", *words],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(temporary)},
    ) as run:
        deadline = time.monotonic() + 240
        while not any(temporary.glob("optengine-rules-bench-*/cache0/*")):
            assert run.poll() is None, "it ended before it had a folder"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        run.send_signal(signal.SIGTERM)
        assert run.wait(240) == -signal.SIGTERM
    assert list(temporary.iterdir()) == []


@pytest.mark.usefixtures("untraced")
def test_the_endurance_run_counts_every_result(tree: Path, tmp_path: Path) -> None:
    """The endurance mode runs 384 rules with a crash and a hang and finds every result."""
    target = tmp_path / "endurance.json"
    status, out, err = optengine(
        "rules-bench",
        "--mode",
        "endurance",
        "--runs",
        "1",
        "--workers",
        "2",
        "--tree",
        tree,
        "--output",
        target,
    )
    assert (status, err) == (0, "")
    assert json.loads(target.read_text())["counts"] == {
        "PASS": 374,
        "FAIL": 0,
        "SKIP": 8,
        "ERROR": 0,
        "TIMEOUT": 1,
        "CRASH": 1,
    }
    assert "384 results each time" in out
