"""The harness's figures: the arithmetic they rest on, and each command once in its smallest form."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # appended, so that an installed package is never hidden by the checkout

from benchmarks.harness import workloads  # noqa: E402
from benchmarks.harness.false_accepts import cases, plan  # noqa: E402
from benchmarks.harness.figure import Check, Figure, Table  # noqa: E402
from benchmarks.harness.intervals import Share, median  # noqa: E402
from benchmarks.harness.neighbour import busy_neighbour  # noqa: E402
from benchmarks.harness.pytest_runs import blocked, faster, slower  # noqa: E402
from benchmarks.harness.true_gain import cases as gains  # noqa: E402
from benchmarks.harness.true_gain import measure_suites  # noqa: E402

pytestmark = pytest.mark.usefixtures("untraced")


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(2, 10, 0.02521073, 0.55609546), (0, 200, 0.0, 0.01827534), (200, 200, 0.98172466, 1.0)],
)
def test_shares_have_exact_intervals(hits: int, n: int, low: float, high: float) -> None:
    """The interval of a share is the Clopper-Pearson one, closed at 0 and at 1."""
    assert Share(hits, n).interval == pytest.approx((low, high), abs=1e-7)


def test_a_share_of_nothing_is_unknown() -> None:
    """Without any case there is no share, and the text says so."""
    assert math.isnan(Share(0, 0).value)
    assert str(Share(0, 0)) == "none measured"
    assert str(Share(2, 10)) == "2 of 10 = 20.0 % [2.5, 55.6]"


def test_medians_lie_between_order_statistics() -> None:
    """Ten values: from the second to the ninth; six: from the first to the last; five cannot tell."""
    ten, six, five = (median([float(i) for i in range(1, n + 1)]) for n in (10, 6, 5))
    assert (ten.value, ten.low, ten.high) == (5.5, 2.0, 9.0)
    assert (six.low, six.high) == (1.0, 6.0)
    assert five.record() == {"median": 3.0, "interval": [None, None], "n": 5}
    assert ten.show("ms", 1e3, 0) == "5500 ms [2000, 9000]"
    assert five.show() == "3.00 s"


def test_the_rule_of_the_other_tool_goes_both_ways() -> None:
    """More than 5 % above the base is slower, at least 5 % of the base saved is faster, between is neither."""
    assert [slower(ratio) for ratio in (1.04, 1.06)] == [False, True]
    assert [faster(ratio) for ratio in (0.96, 0.94)] == [False, True]


@pytest.mark.parametrize(("decisions", "rivals"), [(200, 100), (2, 1), (7, 0)])
def test_half_of_everything_is_loaded(decisions: int, rivals: int) -> None:
    """Blocks come in pairs of one idle and one loaded, nothing is lost, and the order is random."""
    blocks = plan(decisions, 10, rivals, random.Random(1))
    assert sum(block.decisions for block in blocks) == decisions
    assert sum(block.rival_pairs for block in blocks) == rivals
    assert all(blocks[i].loaded != blocks[i + 1].loaded for i in range(0, len(blocks), 2))
    loaded = sum(block.decisions for block in blocks if block.loaded)
    assert abs(2 * loaded - decisions) <= 2
    if len(blocks) > 6:
        assert len({blocks[i].loaded for i in range(0, len(blocks), 2)}) == 2


def test_kinds_of_work_take_turns() -> None:
    """Successive sessions go on with the next kind; both arms of a case are the same work."""
    iterations = {"arithmetic": 100, "text": 200, "array": 300}
    made = [*cases(4, 0, iterations), *cases(2, 4, iterations)]
    assert Counter(case.kind for case in made) == {"arithmetic": 2, "text": 2, "array": 2}
    assert all(case.before == case.after == iterations[case.kind] for case in made)
    assert len({case.name for case in made[:4]}) == 4


def test_the_gain_is_exact() -> None:
    """The optimized arm does exactly 0.92 of the iterations, for every kind of work."""
    made = gains(2e-4)
    assert [case.kind for case in made] == list(workloads.KINDS)
    assert all(case.after * 100 == case.before * 92 for case in made)


def test_only_the_named_plugin_stays_on() -> None:
    """Every installed plugin but the named one is blocked by its own name."""
    names = blocked(["optbench"])[1::2]
    assert "no:benchmark" in names
    assert "no:optbench" not in names


def test_the_neighbour_is_busy_and_goes() -> None:
    """During the body a child process uses a CPU; afterwards it is gone."""
    before = set(psutil.Process().children())
    with busy_neighbour():
        (child,) = set(psutil.Process().children()) - before
        began, used = time.monotonic(), child.cpu_times().user
        while child.cpu_times().user <= used:
            assert time.monotonic() - began < 240, "the neighbour does nothing"
            time.sleep(0.05)
        if hasattr(os, "sched_getaffinity"):
            assert child.cpu_affinity() == [max(os.sched_getaffinity(0))]
    assert not child.is_running()


@pytest.mark.parametrize(("passed", "status"), [(True, 0), (None, 0), (False, 1)])
def test_a_missed_target_is_an_exit_status(
    passed: bool | None, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The markdown and the JSON beside it hold the check; only a missed one gives 1."""
    check = Check("share", "<= 1 %", "a | b", passed)
    figure = Figure("Title", "What.", "python -m x", 1.0, [check], [Table("T", ("h",), [("c",)])], {"n": 3})
    assert figure.write(tmp_path / "new" / "figure.md") == status
    text = (tmp_path / "new" / "figure.md").read_text()
    assert text.strip() == capsys.readouterr().out.strip()
    assert "| share | <= 1 % | a \\| b |" in text
    written = json.loads((tmp_path / "new" / "figure.json").read_text())
    assert (written["passed"], written["n"]) == (passed is not False, 3)


def figure(name: str, folder: Path, *options: str) -> tuple[str, dict[str, Any]]:
    """Run a command as its docstring says; return the markdown and the record."""
    out = folder / "figure.md"
    command = [sys.executable, "-m", f"benchmarks.harness.{name}", *options, "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=560)
    assert out.exists(), done.stderr
    text, record = out.read_text(), json.loads(out.with_suffix(".json").read_text())
    assert done.returncode == int(not record["passed"])
    assert f"python -m benchmarks.harness.{name} --seed 1 " in text
    for private in (str(folder), str(Path.home()), str(ROOT)):
        assert private not in text + json.dumps(record)
    return text, record


def test_false_accepts(tmp_path: Path) -> None:
    """A/A decisions and runs of the other tool are made, one idle and one loaded, and reported."""
    text, record = figure("false_accepts", tmp_path, "--decisions=2", "--rival-pairs=1")
    assert sorted(decision["loaded"] for decision in record["decisions"]) == [False, True]
    assert all(decision["pairs"] >= 10 for decision in record["decisions"])
    (rival,) = record["rival"]
    assert set(rival["ratios"]) == {"min", "mean", "median"}
    assert "| identical code accepted | <= 1 % |" in text


def test_true_gain(tmp_path: Path) -> None:
    """Decisions on a true gain are made and timed beside the two runs of the other tool."""
    few = ("--decisions=2", "--rival-pairs=1", "--calibration-pairs=10", "--suites=0")
    text, record = figure("true_gain", tmp_path, *few)
    assert [decision["loaded"] for decision in record["decisions"]] == [False, True]
    for decision in record["decisions"]:
        assert 0 < decision["seconds"] < decision["wall_s"]
    assert record["rival"][0]["wall_s"] > record["rival"][0]["test_s"] > 0
    assert "| true gain of 8 % accepted | >= 97 % |" in text


def test_sessions_of_several_questions() -> None:
    """Both tools answer all questions of a session; what each cost is the session's share."""
    ours, rival = measure_suites(gains(1e-4), 1, random.Random(1), size=2)
    assert [len(session["verdicts"]) for session in ours] == [2]
    assert ours[0]["wall_s"] > 0
    assert rival[0]["wall_s"] > 0


def test_idle_cost(tmp_path: Path) -> None:
    """Every variant runs once per round, and the plugin's own imports are named."""
    text, record = figure("idle_cost", tmp_path, "--rounds=1")
    assert {variant: len(runs) for variant, runs in record["runs"].items()} == {
        "no plugin": 1,
        "pytest-optbench": 1,
        "pytest-benchmark": 1,
    }
    assert "pytest_optbench.plugin" in record["imports_us"]["pytest-optbench"]
    assert "| wall time over a run without the plugin, median | < 10 ms |" in text


def test_bad_arguments_are_refused(tmp_path: Path) -> None:
    """A number of decisions that cannot be halved is a usage error, and nothing is written."""
    command = [sys.executable, "-m", "benchmarks.harness.false_accepts", "--decisions=1"]
    done = subprocess.run(
        [*command, f"--out={tmp_path / 'f.md'}"], cwd=ROOT, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 2
    assert "--decisions must be at least 2" in done.stderr
    assert not (tmp_path / "f.md").exists()
