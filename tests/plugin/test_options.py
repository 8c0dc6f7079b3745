"""Options are parsed strictly, combined in a fixed order, and a wrong one stops the run with its cure."""

from __future__ import annotations

import json

import pytest
from plugin_bench import FASTER, Bench

from pytest_optbench.core.goal import KINDS
from pytest_optbench.options import (
    GOALS,
    OptionError,
    Settings,
    benchmark_settings,
    parse_cpus,
    parse_slowdown,
    parse_time_saved,
)
from pytest_optbench.subject import goal_of


@pytest.mark.parametrize(
    ("text", "saved"),
    [
        ("5%", 0.05),
        ("0.05", 0.05),
        (0.05, 0.05),
        ("1.25x", 0.2),
        ("2X", 0.5),
        ("0", 0.0),
        ("74.97 %", 0.7497),
    ],
)
def test_a_speedup_is_time_saved_or_a_ratio(text: object, saved: float) -> None:
    """Percent and fraction mean time saved; a number with x means baseline / optimized."""
    assert parse_time_saved(text) == pytest.approx(saved)


@pytest.mark.parametrize("text", ["fast", "5", "100%", "-5%", "0.9x", "nan", "inf", "", "x", "%", "0x", None])
def test_a_nonsense_speedup_is_refused(text: object) -> None:
    """The message repeats what was received and shows the three accepted forms."""
    with pytest.raises(OptionError, match=r"received .*write 5% or 0.05"):
        parse_time_saved(text)


@pytest.mark.parametrize(
    ("text", "extra"), [("5%", 0.05), ("0.05", 0.05), ("1.05x", 0.05), ("100%", 1.0), ("1", 1.0), ("2x", 1.0)]
)
def test_a_slowdown_is_extra_time_or_a_ratio(text: str, extra: float) -> None:
    """Percent and fraction mean extra time; a number with x is optimized / baseline."""
    assert parse_slowdown(text) == pytest.approx(extra)


@pytest.mark.parametrize("text", ["0", "-1%", "0.9x", "500%", "101%", "2.01x", "slow", "5%%", "5x%"])
def test_a_nonsense_slowdown_is_refused(text: str) -> None:
    """A margin of nothing or of more than double time is refused."""
    with pytest.raises(OptionError, match="received"):
        parse_slowdown(text)


@pytest.mark.parametrize(
    ("goal", "spelling", "margin"),
    [
        ("no-regression", "max_slowdown", "100%"),
        ("no-regression", "max_slowdown", "0.001%"),
        ("speedup", "min_speedup", "0"),
        ("speedup", "min_speedup", "99.9%"),
    ],
)
def test_every_margin_the_options_take_is_one_a_goal_has(goal: str, spelling: str, margin: str) -> None:
    """What an option accepts never fails later, when the question is put; both know the same questions."""
    assert GOALS == KINDS
    settings = benchmark_settings(Settings(), frozenset(), {"goal": goal, spelling: margin}, {})
    assert goal_of(settings).margin == getattr(settings, spelling)


def test_a_slowdown_of_100_percent_can_be_judged(bench: Bench) -> None:
    """The largest margin the options take leads to a verdict, one more to an error that says the range."""
    bench.file(FASTER)
    asked = "--optbench-goal=no-regression"
    assert bench.run_here(asked, "--optbench-max-slowdown=100%").ret == pytest.ExitCode.OK
    assert (bench.only()["verdict"], bench.only()["margin"]) == ("ACCEPT", 0.5)
    result = bench.plain_here(asked, "--optbench-max-slowdown=101%")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--optbench-max-slowdown: *above 0 % and at most 100 %, received '101%'*"])


def test_cpus_must_be_usable() -> None:
    """A list may name single CPUs and ranges, but only those the process may use."""
    assert parse_cpus("0") == (0,)
    with pytest.raises(OptionError, match="this process may use"):
        parse_cpus("0,4095")
    with pytest.raises(OptionError, match="CPU numbers such as"):
        parse_cpus("all")


def test_precedence_is_command_line_then_ini_then_marker_then_call() -> None:
    """What the run fixed cannot be changed by a test; a marker beats the call."""
    run = Settings(enabled=True, trials=12, min_speedup=0.2)
    fixed = frozenset({"enabled", "trials"})
    settings = benchmark_settings(run, fixed, {"trials": 20, "alpha": 0.01}, {"alpha": 0.1, "gate": "off"})
    assert (settings.trials, settings.alpha, settings.gate) == (12, 0.01, "off")
    assert settings.min_speedup == 0.05


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["--optbench-quick", "--optbench-trials=3"],
            "--optbench-trials: a quick run needs at least 4 pairs*3*",
        ),
        (["--optbench-base="], "--optbench-base: must not be empty, received ''"),
        (["--optbench-max-memory="], "--optbench-max-memory: a margin must be a number, received ''"),
        (["--optbench-trials=9"], "at least 10 pairs are needed*received 9*--optbench-quick"),
        (["--optbench-trials=ten"], "--optbench-trials*whole number*'ten'"),
        (["--optbench-max-trials=5"], "--optbench-max-trials*at least --optbench-trials (10), received 5"),
        (["--optbench-min-speedup=fast"], "--optbench-min-speedup*'fast'*write 5%"),
        (["--optbench-gate=soft"], "--optbench-gate*strict, lenient, off*'soft'"),
        (["--optbench-goal=win"], "--optbench-goal*speedup, no-regression*'win'"),
        (["--optbench-alpha=2"], "--optbench-alpha*above 0 and at most 0.5*'2'"),
        (["--optbench-max-time=0"], "--optbench-max-time*positive number of seconds*'0'"),
        (["--optbench-cpus=9999"], "--optbench-cpus*may use*'9999'"),
        (["--optbench-seed=-1"], "--optbench-seed*at least 0, received -1"),
        (
            ["--optbench-build=make"],
            "--optbench-build prepares the trees*add --optbench-base=REV, or leave it out",
        ),
        (
            ["--optbench-trials=50", "--optbench-max-trials=40"],
            "--optbench-max-trials: must be at least --optbench-trials (50), received 40",
        ),
        (["--optbench-history=nope://x"], "--optbench-history*nope://x*name a folder"),
    ],
)
def test_a_wrong_option_is_a_usage_error(bench: Bench, args: list[str], message: str) -> None:
    """The run stops before any test with exit status 4 and names option, value and cure."""
    bench.file(FASTER)
    result = bench.run_here(*args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{message}*"])


def test_more_trials_than_the_usual_maximum_are_made(bench: Bench) -> None:
    """A first look beyond the default maximum moves the maximum: as many pairs as were asked for."""
    bench.file(FASTER)
    result = bench.run_here("--optbench-trials=50", "--optbench-gate=off")
    result.stdout.fnmatch_lines(["optbench: 50 to 50 pairs, *"])
    (path,) = (each for each in bench.reports() if each.suffix == ".json" and each.stem != "index")
    document = json.loads(path.read_text())
    assert (len(document["pairs"]), document["protocol"]["looks"]) == (50, [50])


def test_a_build_command_of_an_ini_file_waits_for_a_base(bench: Bench) -> None:
    """The ini key is for the runs that have a base: another run does not refuse it."""
    bench.file(FASTER)
    bench.pytester.makeini("[pytest]\noptbench_build = make\n")
    assert bench.run_here("--optbench-quick", "--optbench-gate=off").ret == 0


def test_ini_keys_bear_the_options_names(bench: Bench) -> None:
    """Every option has an ini key with underscores; the command line wins over it."""
    bench.file(
        "[pytest]\noptbench = true\noptbench_min_speedup = 1%\noptbench_report_dir = out\n", "pytest.ini"
    )
    bench.file(FASTER)
    assert bench.plain_here("--optbench-min-speedup=1.2x").ret == 0
    assert bench.only("out")["margin"] == pytest.approx(1.2)
    assert bench.plain_here().ret == 0
    assert bench.only("out")["margin"] == pytest.approx(1 / 0.99)


def test_a_wrong_ini_value_names_its_key(bench: Bench) -> None:
    """A bad value in the ini file is a usage error although --optbench is off."""
    bench.file("[pytest]\noptbench_trials = 3\n", "pytest.ini")
    bench.file("def test_other():\n    pass\n")
    result = bench.plain_here()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*at least 10 pairs*"])


def test_marker_keys_describe_the_benchmark(bench: Bench) -> None:
    """Title, group, rank, expected gain, notes and margins come from the marker."""
    bench.file(
        FASTER.replace(
            "def test_gain",
            "import pytest\n@pytest.mark.optbench(title='Closed form', group='sums', rank=3, expected='90%', "
            "min_speedup='1.5x', notes='n', risks=['r'])\ndef test_gain",
        )
    )
    assert bench.run_here().ret == 0
    document = bench.only()
    assert [document[k] for k in ("title", "group", "rank", "expected", "notes", "risks")] == [
        "Closed form", "sums", 3, 0.9, "n", ["r"],
    ]  # fmt: skip
    assert document["margin"] == pytest.approx(1.5)


def test_a_title_says_which_parameters(bench: Bench) -> None:
    """Parametrised tests share a marker, so the title names the case."""
    bench.file(
        FASTER.replace(
            "def test_gain(optbench)",
            "import pytest\n@pytest.mark.parametrize('n', [1, 2])\n@pytest.mark.optbench(title='Sum')\n"
            "def test_gain(optbench, n)",
        )
    )
    assert bench.run_here("--optbench-quick", "--optbench-gate=off").ret == 0
    assert [d["title"] for d in bench.index()] == ["Sum [1]", "Sum [2]"]


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("speedup='5%'", "*@pytest.mark.optbench knows the keys *title*min_speedup*received 'speedup'*"),
        ("report_dir='x'", "*knows the keys*received 'report_dir'*"),
        ("'title'", "*takes keywords only*"),
        ("trials=3", "*at least 10 pairs*received 3*"),
        ("expected='soon'", "*expected: *'soon'*"),
    ],
)
def test_a_wrong_marker_fails_the_test_by_name(bench: Bench, marker: str, message: str) -> None:
    """An unknown or nonsensical marker key is an error of that test, without a traceback."""
    bench.file(
        FASTER.replace("def test_gain", f"import pytest\n@pytest.mark.optbench({marker})\ndef test_gain")
    )
    result = bench.run_here()
    assert result.ret != 0
    result.stdout.fnmatch_lines([message])
    assert "Traceback" not in result.stdout.str()
