from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_files import benchmark_file, pyperf_file

from pytest_optbench.history.location import locate
from pytest_optbench.history.read import read
from pytest_optbench.store import schema

Run = Callable[..., tuple[int, str, str]]
Written = Callable[[], list[dict[str, Any]]]


def values(mean: float, n: int = 12, seed: int = 1) -> list[float]:
    return [float(v) for v in mean * np.exp(np.random.default_rng(seed).normal(0, 0.02, n))]


def runs(mean: float, n: int = 12, seed: int = 1) -> list[list[float]]:
    return [[v, v * 1.001] for v in values(mean, n, seed)]


PAIRS = [
    "pytest_benchmark_3.2.3", "pytest_benchmark_3.4.1", "pytest_benchmark_4.0.0", "pytest_benchmark_5.1.0",
    "pyperf_format5", "pyperf_format6", "pyperf_1.6.1", "pyperf_2.0.0", "pyperf_2.10.0",
    "hyperfine_1.0", "hyperfine_1.8", "hyperfine_1.15.0", "hyperfine_1.19",
]  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS)
def test_real_files_of_the_same_code_are_never_decided(
    optbench: Run, written: Written, samples: Path, pair: str
) -> None:
    """Two recordings of one code by any tool: INCONCLUSIVE, labelled unpaired everywhere, valid documents."""
    status, out, err = optbench("compare", samples / f"{pair}_old.json", samples / f"{pair}_new.json")
    assert (status, err) == (1, "")
    assert out.startswith(f"unpaired: {pair}_old.json")
    assert "only ACCEPT passes the strict gate" in out
    documents = written()
    assert documents
    for document in documents:
        schema.validate(document)
        assert document["verdict"] == "INCONCLUSIVE"
        assert "unpaired" in document["reasons"]
        assert ": unpaired, time saved " in document["summary"]
        assert (document["protocol"]["design"], document["protocol"]["isolation"]) == ("unpaired", "none")
        assert document["pairs"] == []
        assert document["summary"] in out
        report = Path("reports", f"{document['slug']}.md").read_text()
        assert "Unpaired: the two sides were recorded at different times" in report
        assert "Nothing was measured" not in report
    assert "| unpaired |" in Path("reports", "index.md").read_text()


def test_a_history_keeps_comparisons(optbench: Run, written: Written, tmp_path: Path) -> None:
    """Comparisons of files are added to the history and stand in the trail of the next one."""
    old = pyperf_file(tmp_path / "old.json", {"a": runs(1.0)})
    new = pyperf_file(tmp_path / "new.json", {"a": runs(1.0, seed=2)})
    for folder in ("one", "reports"):
        _, _, err = optbench("compare", old, new, "--history=kept", f"--report-dir={folder}")
        assert err == ""
    (document,) = written()
    assert [each["verdict"] for each in document["earlier"]] == ["INCONCLUSIVE"]
    assert [each.id for each in read(locate("kept")).records] == ["compare::a"] * 2
    Path("broken").write_text("no folder")
    status, out, err = optbench("compare", old, new, "--history=broken")
    assert (status, out) == (2, "")
    assert err.startswith("optbench compare: the history broken cannot be written: ")


def test_gates(optbench: Run, tmp_path: Path) -> None:
    """Strict passes nothing, lenient fails on REJECT alone, off never fails."""
    old = pyperf_file(tmp_path / "old.json", {"a": runs(1.0)})
    same = pyperf_file(tmp_path / "same.json", {"a": runs(1.0, seed=2)})
    slow = pyperf_file(tmp_path / "slow.json", {"a": runs(3.0, seed=2)})
    assert [optbench("compare", old, same, f"--gate={g}")[0] for g in ("strict", "lenient", "off")] == [
        1,
        0,
        0,
    ]
    assert [optbench("compare", old, slow, f"--gate={g}")[0] for g in ("strict", "lenient", "off")] == [
        1,
        1,
        0,
    ]


def test_reject_says_what_it_allowed_for(optbench: Run, written: Written, tmp_path: Path) -> None:
    """A REJECT names its reasons; --drift sets what the machine may have done, and less drift rejects sooner."""
    old = pyperf_file(tmp_path / "old.json", {"a": runs(1.0)})
    new = pyperf_file(tmp_path / "new.json", {"a": runs(1.5, seed=2)})
    optbench("compare", old, new)
    assert written()[0]["verdict"] == "INCONCLUSIVE"
    _, out, _ = optbench("compare", old, new, "--drift=10%")
    document = written()[0]
    assert (document["verdict"], document["reasons"]) == ("REJECT", ["slower", "unpaired"])
    assert "a change of the machine by 1.100x could not explain" in document["diagnostics"][0]["message"]
    asked = "--goal=no-regression --max-slowdown=5% --alpha=0.05 --drift=10%"
    assert document["command"] == f"optbench compare old.json new.json {asked}"
    assert "REJECT a: unpaired" in out


def test_one_process_is_said(optbench: Run, written: Written, tmp_path: Path) -> None:
    """Rounds of pytest-benchmark are called what they are, in criteria, diagnostics and summary."""
    old = benchmark_file(tmp_path / "old.json", {"t.py::a": values(1.0, 40)})
    new = benchmark_file(tmp_path / "new.json", {"t.py::a": values(0.1, 40, 2)})
    assert optbench("compare", old, new, "--goal=speedup")[0] == 1
    document = written()[0]
    assert document["reasons"] == ["unpaired", "one-process"]
    assert document["unpaired"]["suggests"] == "the goal is met"
    assert document["unpaired"]["unit"] == "round of one process"
    assert "40 and 40 rounds of one process each" in document["summary"]
    assert "one-process" in [d["code"] for d in document["diagnostics"]]
    assert [c["passed"] for c in document["criteria"]][:2] == [False, False]


def test_missing_benchmarks_fail_the_gate(optbench: Run, tmp_path: Path) -> None:
    """What is on one side only is listed and fails every gate but off."""
    old = pyperf_file(tmp_path / "old.json", {"a": runs(1.0), "gone": runs(1.0)})
    new = pyperf_file(tmp_path / "new.json", {"a": runs(1.0, seed=2), "fresh": runs(1.0)})
    status, _, err = optbench("compare", old, new, "--gate=lenient")
    assert status == 1
    assert err == "optbench compare: only in old.json: gone\noptbench compare: only in new.json: fresh\n"
    assert optbench("compare", old, new, "--gate=off")[0] == 0
    status, _, err = optbench("compare", old, new, "--gate=lenient", "--select=a")
    assert (status, err) == (0, "")


def test_nothing_in_common_is_an_error(optbench: Run, tmp_path: Path) -> None:
    """No shared benchmark, or none selected, is an error that names what each file holds."""
    old = pyperf_file(tmp_path / "old.json", {"a": runs(1.0)})
    new = pyperf_file(tmp_path / "new.json", {"b": runs(1.0)})
    status, out, err = optbench("compare", old, new, "--gate=off")
    assert (status, out) == (1, "")
    assert (
        "in common, found none: old.json holds 'a', new.json holds 'b'; name the ones to compare with --match"
        in err
    )
    both = pyperf_file(tmp_path / "both.json", {"a": runs(1.0), "b": runs(1.0)})
    assert "a benchmark selected by 'zzz' in common" in optbench("compare", old, both, "--select=zzz")[2]
    assert not Path("reports").exists()


def test_match_names_pairs(optbench: Run, written: Written, samples: Path) -> None:
    """Two commands of one file are compared when named; a name that is not there is an error."""
    file = samples / "hyperfine_1.15.0_params.json"
    names = ["python3 -S -c 'print(10)'", "python3 -S -c 'print(20)'"]
    assert optbench("compare", file, file, "--match", *names, "--gate=off")[0] == 0
    assert [d["title"] for d in written()] == [" -> ".join(names)]
    status, _, err = optbench("compare", file, file, "--match", names[0], "nothing")
    assert status == 1
    assert "must hold the benchmark 'nothing', found \"python3" in err


def test_one_file_twice_and_two_tools(optbench: Run, samples: Path) -> None:
    """A file compared with itself, or with another tool's, is an error with the cure."""
    one = samples / "pyperf_2.10.0_old.json"
    assert "must be two recordings, found the same content twice" in optbench("compare", one, one)[2]
    err = optbench("compare", one, samples / "hyperfine_1.15.0_old.json")[2]
    assert "both files must be of one tool, found pyperf_2.10.0_old.json of pyperf" in err


def test_other_machines_are_never_rejected(optbench: Run, written: Written, tmp_path: Path) -> None:
    """Files of two machines say which property differs; not even ten times slower is a REJECT."""
    old = pyperf_file(tmp_path / "old.json", {"a": runs(1.0)})
    new = pyperf_file(tmp_path / "new.json", {"a": runs(10.0)}, cpu_model_name="Another CPU")
    optbench("compare", old, new)
    document = written()[0]
    assert (document["verdict"], document["reasons"][0]) == ("INCONCLUSIVE", "different-machines")
    assert "cpu A CPU and Another CPU" in json.dumps(document["diagnostics"])


def test_failed_runs_forbid_everything(
    optbench: Run, written: Written, samples: Path, tmp_path: Path
) -> None:
    """hyperfine times of a command that failed are nothing to compare."""
    old = json.loads((samples / "hyperfine_1.15.0_failed.json").read_text())
    old["results"][0]["exit_codes"] = [0] * 10
    (tmp_path / "good.json").write_text(json.dumps(old))
    optbench("compare", tmp_path / "good.json", samples / "hyperfine_1.15.0_failed.json")
    document = written()[0]
    assert document["reasons"][0] == "arm-raised"
    assert "10 runs ended with a status other than 0" in json.dumps(document["diagnostics"])


def test_summaries_say_so(optbench: Run, written: Written, samples: Path) -> None:
    """Files without values are judged from their summaries, and every document says so."""
    old = samples / "pytest_benchmark_4.0.0_without_data.json"
    optbench("compare", old, samples / "pytest_benchmark_4.0.0_new.json")
    for document in written():
        assert "summary-only" in document["reasons"]
        assert document["tests"]["distribution_free"]["p"] is None
        assert document["ratio"]["ci_low"] is not None
        assert document["unpaired"]["unit"] == "none, summary only"


def test_own_documents_show_the_machine_by_the_unchanged_baseline(
    optbench: Run, written: Written, samples: Path, tmp_path: Path
) -> None:
    """Between two decisions with one baseline, the baseline's change is the control; a machine that moved is named."""
    golden = json.loads((samples.parents[1] / "golden" / "decision_v1_accept.json").read_text())
    golden["code"]["baseline"]["sha256"] = "a" * 64
    later = json.loads(json.dumps(golden))
    for pair in later["pairs"]:
        pair["baseline_s"] *= 1.3
        pair["optimized_s"] *= 1.3
    for name, document in (("old.json", golden), ("new.json", later)):
        (tmp_path / name).write_text(json.dumps(document))
    optbench("compare", tmp_path / "old.json", tmp_path / "new.json")
    document = written()[0]
    assert "noisy-control" in document["reasons"]
    assert document["control"]["ratio"] == pytest.approx(1 / 1.3)
    assert "that much is not the code's doing" in json.dumps(document["diagnostics"])


def test_github_is_told(
    optbench: Run, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under GitHub Actions annotations are printed and the step summary is written, both say unpaired."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    _, out, _ = optbench("compare", samples / "pyperf_2.10.0_old.json", samples / "pyperf_2.10.0_new.json")
    assert "::warning title=INCONCLUSIVE%3A sort::INCONCLUSIVE sort: unpaired" in out
    assert "| unpaired |" in (tmp_path / "summary.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gate=maybe"], "--gate: must be one of strict, lenient, off, received 'maybe'"),
        (["--max-slowdown=-3%"], "--max-slowdown: a slowdown margin must be above 0 %"),
        (["--drift=0"], "--drift: a slowdown margin must be above 0 %"),
        (["--alpha=7"], "--alpha: must be an error rate"),
    ],
)
def test_wrong_usage(optbench: Run, samples: Path, arguments: list[str], message: str) -> None:
    """A wrong option is exit status 2 and names the option without pytest's prefix."""
    one, two = samples / "pyperf_2.10.0_old.json", samples / "pyperf_2.10.0_new.json"
    status, _, err = optbench("compare", one, two, *arguments)
    assert status == 2
    assert message in err


def test_select_by_part_and_by_pattern(optbench: Run, written: Written, samples: Path) -> None:
    """--select keeps names that contain a text, brackets and all, or that match a pattern whole."""
    files = [samples / f"pytest_benchmark_5.1.0_{side}.json" for side in ("old", "new")]
    optbench("compare", *files, "--select=sum[100]", "--report-dir=reports")
    assert [d["title"] for d in written()] == ["test_b.py::test_sum[100]"]
    optbench("compare", *files, "--select=*sort", "--report-dir=other")
    index = json.loads(Path("other", "index.json").read_text())
    assert [d["title"] for d in index] == ["test_b.py::test_sort"]


def test_the_plot_shows_the_values_of_both_files(optbench: Run, written: Written, tmp_path: Path) -> None:
    """The picture holds one mark per value and says that they are unpaired; rendering again gives the same files."""
    old = pyperf_file(tmp_path / "old.json", {"a": runs(1.0)})
    new = pyperf_file(tmp_path / "new.json", {"a": runs(1.2, seed=2)})
    optbench("compare", old, new)
    stem = Path("reports", written()[0]["slug"])
    picture = stem.with_suffix(".svg").read_text()
    assert "Unpaired: each value of both files" in picture
    assert picture.count("against the median of the baseline</title>") == 24
    before = stem.with_suffix(".md").read_bytes()
    stem.with_suffix(".md").unlink()
    assert optbench("report", "reports")[0] == 0
    assert stem.with_suffix(".md").read_bytes() == before
    assert stem.with_suffix(".svg").read_text() == picture
