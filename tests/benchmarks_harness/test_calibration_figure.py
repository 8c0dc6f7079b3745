"""The comparison with other tools: rules are theirs, the plan is fair, the page follows from the records."""

from __future__ import annotations

import json
import random
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import calibration, calibration_page, workloads
from benchmarks.harness.asv_rounds import FACTORS, compare_with_asv, judge
from benchmarks.harness.calibration import GAINS, Task, compare, main, plan, questions
from benchmarks.harness.pyperf_runs import RULES, compare_with_pyperf, verdict_in
from benchmarks.harness.pytest_runs import Case, write_project
from benchmarks.harness.revision_runs import Suites, git, make_repository, revision_records

ITERATIONS = {"work00": ("arithmetic", 200), "work01": ("text", 100)}


def test_every_cell_gets_its_share_at_any_time() -> None:
    """Each tool, gain and situation has its full count, and is half done when half of the time is over."""
    tasks = plan({"asv": 40, "pyperf": 10}, random.Random(1))
    assert len(tasks) == (40 + 10) * len(GAINS) * 2
    cells = Counter((task.tool, task.gain, task.loaded) for task in tasks)
    half = Counter((task.tool, task.gain, task.loaded) for task in tasks[: len(tasks) // 2])
    for cell, count in cells.items():
        assert count == (40 if cell[0] == "asv" else 10)
        assert abs(half[cell] - count / 2) <= 2, cell


@pytest.mark.parametrize("gain", GAINS)
def test_the_gains_are_exact(gain: float) -> None:
    """The share of iterations left is exactly 1 - gain, for every kind of work."""
    made = questions(gain, 2e-4)
    assert [case.kind for case in made] == list(workloads.KINDS)
    assert all(100 * case.after == round(100 * (1 - gain)) * case.before for case in made)


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("Mean +- std dev: [a] 1.25 ms +- 0.01 ms -> [b] 1.44 ms +- 0.01 ms: 1.15x slower\n", "slower"),
        ("Mean +- std dev: [a] 1.44 ms +- 0.01 ms -> [b] 1.25 ms +- 0.01 ms: 1.15x faster\n", "faster"),
        ("Benchmark hidden because not significant (1): arithmetic\n", ""),
    ],
)
def test_what_pyperf_prints_is_understood(printed: str, said: str) -> None:
    """Faster, slower and "not significant" are told apart."""
    assert verdict_in(printed) == said


def test_another_wording_of_pyperf_is_no_silent_verdict() -> None:
    """An output that is not known stops the measurement."""
    with pytest.raises(RuntimeError, match="must name a difference or none, received 'mystery'"):
        verdict_in("mystery")


def test_asv_judges_by_its_own_rule() -> None:
    """Ten samples apart by 20 % differ under both factors, by 7 % under the smaller, overlapping ones under none."""
    pytest.importorskip("asv", reason="needs the extra peers")
    before = [1.0 + 0.001 * i for i in range(10)]
    number = {"before": 1, "after": 1}
    for scale, said in (
        (0.8, ["faster"] * 2),
        (1.25, ["slower"] * 2),
        (0.93, ["", "faster"]),
        (1.0, ["", ""]),
    ):
        samples = {"before": before, "after": [scale * value for value in before]}
        assert [judge(samples, number, factor) for factor in FACTORS.values()] == said


def test_asv_runs_two_rounds_of_each_revision(tmp_path: Path) -> None:
    """A workload a hundred times as long is seen by asv's sampling and rule."""
    pytest.importorskip("asv_runner", reason="needs the extra peers")
    case = Case("arithmetic", "arithmetic", 20_000, 200)
    write_project(tmp_path, [case])
    session = compare_with_asv(tmp_path, case)
    assert session.said == dict.fromkeys(FACTORS, "faster")
    assert session.wall_s > 4 * 0.1  # each round warms up for a tenth of a second


def test_pyperf_compares_two_files(tmp_path: Path) -> None:
    """A workload a hundred times as long is slower for pyperf, with and without a least speed."""
    pytest.importorskip("pyperf", reason="needs the extra peers")
    case = Case("arithmetic", "arithmetic", 200, 20_000)
    write_project(tmp_path, [case])
    assert compare_with_pyperf(tmp_path, case, processes=2).said == dict.fromkeys(RULES, "slower")


@pytest.mark.parametrize("tool", ["optbench 5%", "pytest-benchmark"])
def test_a_comparison_is_recorded(tool: str, tmp_path: Path) -> None:
    """Half of the work is seen as faster by every rule; the record holds what the page needs, as plain JSON."""
    case = Case("arithmetic", "arithmetic", 20_000, 10_000)
    record = compare(Task(tool, 0.08, True, 0), case, tmp_path, None)
    assert set(record["said"].values()) == {"faster"}
    assert (record["tool"], record["loaded"], record["wall_s"] > 0) == (tool, True, True)
    assert json.loads(json.dumps(record)) == record


def test_the_repository_has_two_commits_that_differ(tmp_path: Path) -> None:
    """One change does nothing but alter the source, the other makes one benchmark do 5 % more."""
    for slower, expected in ((None, "200"), ("work00", "210")):
        folder = tmp_path / str(slower)
        make_repository(folder, ITERATIONS, slower)
        log = subprocess.run(
            ["git", "-C", str(folder), "log", "--format=%s %ae"], capture_output=True, text=True, check=True
        )
        assert log.stdout.splitlines() == [
            "After optbench@example.invalid",
            "Before optbench@example.invalid",
        ]
        changed = (folder / "src" / "shop" / "work.py").read_text()
        assert f"('arithmetic', {expected})" in changed
        git(folder, "checkout", "--quiet", "HEAD~1")
        assert (folder / "src" / "shop" / "work.py").read_text() != changed
    with pytest.raises(RuntimeError, match="git checkout nowhere exited with 1"):
        git(tmp_path / "None", "checkout", "nowhere")


def test_suites_of_both_kinds_advance_together() -> None:
    """Each kind has its own count, in the situations asked for, and is half done when half of the time is over."""
    tasks = Suites(24, 12, 20, situations=(True,)).plan(random.Random(1))
    assert Counter(changed for changed, _, _ in tasks) == {False: 24, True: 12}
    assert {loaded for _, loaded, _ in tasks} == {True}
    assert abs(sum(changed for changed, _, _ in tasks[:18]) - 6) <= 1


def test_suites_are_kept_as_they_come_and_end_in_time() -> None:
    """Whoever keeps records gets them after every suite; a suite for which no time is left is not begun."""
    kept: list[int] = []
    suites = Suites(2, 0, 2, situations=(False,), rival_every=0)
    records = revision_records(suites, 0.0, random.Random(1), lambda records: kept.append(len(records)))
    assert kept == [1]
    assert (records[0]["tool"], records[0]["judged"]) == ("optbench", 2)
    assert records[0]["regressed"] == {"optbench": []}


def record(tool: str, gain: float, loaded: bool, said: dict[str, str]) -> dict[str, Any]:
    return {"tool": tool, "gain": gain, "loaded": loaded, "case": "text", "said": said, "wall_s": 2.0}


def files(folder: Path) -> None:
    """Write a file of comparisons and one of revisions as the command does."""
    records = []
    for loaded in (False, True):
        records += [record("optbench 5%", 0.0, loaded, {"optbench --min-speedup=5%": ""}) for _ in range(4)]
        records += [record("asv", 0.0, loaded, {"asv (factor 1.1)": "slower" if loaded else ""})]
        records += [record("optbench 5%", 0.08, loaded, {"optbench --min-speedup=5%": "faster"})]
        records += [record("asv", 0.08, loaded, {"asv (factor 1.1)": "slower"})]
    head = {"command": "python -m x --seed 1", "environment": {"date": "2026-11-22"}, "seconds": 12.0}
    interval = {"median": 0.92, "interval": [0.91, 0.93], "n": 10}
    gains = {"0.08": {"text": interval}}
    (folder / "comparisons.json").write_text(json.dumps({**head, "gains": gains, "records": records}))
    suites = [
        {
            "tool": "optbench",
            "changed": changed,
            "loaded": loaded,
            "wall_s": 9.0,
            "judged": 2,
            "regressed": {"optbench": found},
        }
        for loaded in (False, True)
        for changed, found in ((None, []), ("work01", ["work01"]))
    ]
    (folder / "revisions.json").write_text(json.dumps({**head, "benchmarks": 2, "records": suites}))


def test_the_page_counts_what_was_recorded(tmp_path: Path) -> None:
    """Shares are those of the records, idle and loaded apart, with exact intervals; the same files, the same page."""
    files(tmp_path)
    text = calibration_page.page(tmp_path)
    assert (
        "| `optbench --min-speedup=5%` | 0 % [0, 37] of 8 | 100 % [16, 100] of 2 | 0 % [0, 84] of 2 | 2.0 s |"
        in text
    )
    assert (
        "| `asv (factor 1.1)` | either | 0 % [0, 98] of 1 | 100 % [3, 100] of 1 | 50 % [1, 99] of 2 |" in text
    )
    assert "| 0.92 | text | 0.9200 [0.9100, 0.9300] |" in text
    assert "### One benchmark truly 5 % slower: it is called regressed" in text
    assert text.count("| `optbench` | 0 % [0, 98] of 1 | 0 % [0, 98] of 1 | 0 % [0, 84] of 2 |") == 2
    assert (
        text.count("| `optbench` | 100 % [3, 100] of 1 | 100 % [3, 100] of 1 | 100 % [16, 100] of 2 |") == 1
    )
    assert calibration_page.page(tmp_path) == text


def test_claims_at_the_threshold_are_told_apart_by_the_true_ratio(tmp_path: Path) -> None:
    """A rule asked for 5 % that sees a gain of 5.2 % is right: shares of each work stand beside its measured ratio."""
    rule = "optbench --min-speedup=5%"
    records = [
        {**record("optbench 5%", 0.05, loaded=False, said={rule: said}), "case": work}
        for work, said in (("text", "faster"), ("text", ""), ("array", ""))
    ]
    gains = {
        "0.05": {
            "text": {"median": 0.948, "interval": [0.947, 0.949]},
            "array": {"median": 0.95, "interval": [None, None]},
        }
    }
    head = {"command": "python -m x", "environment": {}, "seconds": 12.0}
    (tmp_path / "comparisons.json").write_text(json.dumps({**head, "gains": gains, "records": records}))
    text = calibration_page.page(tmp_path)
    assert f"| `{rule}` | text | 0.9480 [0.9470, 0.9490] | 50 % [1, 99] of 2 |" in text
    assert f"| `{rule}` | array | 0.9500 | 0 % [0, 98] of 1 |" in text


def test_a_page_of_one_part_holds_that_part(tmp_path: Path) -> None:
    """Without suites there is no section on revisions; without anything there is no page."""
    files(tmp_path)
    (tmp_path / "revisions.json").unlink()
    assert "Across revisions" not in calibration_page.page(tmp_path)
    (tmp_path / "comparisons.json").unlink()
    with pytest.raises(FileNotFoundError, match="found none; measure first with"):
        calibration_page.page(tmp_path)


def test_the_committed_page_is_that_of_the_committed_records() -> None:
    """What the documentation shows is what the files beside the figures say."""
    root = Path(__file__).parents[2]
    page = root / calibration.PAGE
    if not page.exists():
        pytest.skip("no calibration was measured yet")
    assert page.read_text(encoding="utf-8") == calibration_page.page(root / calibration.FOLDER)


def test_bad_arguments_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """No comparison at all is a usage error."""
    with pytest.raises(SystemExit):
        main(["--comparisons", "0"])
    assert "--comparisons must be at least 1" in capsys.readouterr().err
