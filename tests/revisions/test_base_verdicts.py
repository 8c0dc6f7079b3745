"""Whole runs with verdicts: suites for pytest-benchmark, unmodified, against a git revision."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from repositories import Repo
from runs import run

WORK = """
def slower(n=20000): return sum(i for i in range(n))
def faster(n=20000): return sum(i for i in range(n))
def tolerated(n=20000): return sum(i for i in range(n))
"""
CHANGED = """
def slower(n=20000): return sum(i for i in range(4 * n)) * 0 + sum(i for i in range(n))
def faster(n=20000): return sum(range(n))
def tolerated(n=20000): return sum(i for i in range(n)) + 0 * sum(i for i in range(n // 10))
"""
TESTS = """
    import pytest
    from pkg import work

    def test_slower(benchmark):
        assert benchmark(work.slower) > 0

    def test_faster(benchmark):
        assert benchmark.pedantic(work.faster, rounds=3, iterations=2) > 0

    @pytest.mark.optbench(max_slowdown="90%", title="Slower as agreed", group="agreed")
    def test_tolerated(benchmark):
        benchmark(work.tolerated)

    def test_ordinary():
        assert work.faster(3) == 3
"""


def prepared(repo: Repo) -> None:
    repo.file("src/pkg/__init__.py", "")
    repo.file("src/pkg/work.py", WORK)
    repo.file("tests/test_speed.py", TESTS)
    repo.commit("base")
    repo.file("src/pkg/work.py", CHANGED)


def test_a_regression_fails_and_a_margin_of_its_own_is_kept(
    repo: Repo, tmp_path: Path, own_temporary_folder: Path
) -> None:
    """A slower benchmark is rejected, a faster one and one within its own margin are accepted; all outlets say so."""
    prepared(repo)
    before = repo.state()
    step = tmp_path / "step.md"
    done = run(
        repo, "--optbench-max-trials=40", f"--junitxml={tmp_path / 'junit.xml'}", "-v",
        GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(step),
    )  # fmt: skip
    assert done.code == 1, done.output
    assert "working tree against HEAD" in done.output
    assert "3 benchmarks, 10 to 40 pairs of processes: about " in done.output
    assert "1 failed, 3 passed" in done.output
    slower, faster, tolerated = (done.document(f"test_{name}") for name in ("slower", "faster", "tolerated"))
    assert (slower["verdict"], slower["reasons"]) == ("REJECT", ["slower"])
    assert faster["verdict"] == tolerated["verdict"] == "ACCEPT"
    assert slower["goal"] == "no-regression"
    assert (tolerated["title"], tolerated["group"], tolerated["margin"]) == (
        "Slower as agreed",
        "agreed",
        1 / 1.9,
    )
    assert slower["protocol"]["isolation"] == "process"
    assert len(set(slower["protocol"]["hash_seeds"])) >= 10
    code = slower["code"]
    assert code["baseline"]["commit"] == repo.git("rev-parse", "HEAD").strip()
    assert (code["baseline"]["dirty"], code["optimized"]["dirty"]) == (False, True)
    assert code["baseline"]["sha256"] != code["optimized"]["sha256"]
    assert code["optimized"]["files"] == 2
    assert (code["optimized"]["file"], code["optimized"]["line"]) == ("tests/test_speed.py", 5)
    summary = done.summary
    assert (summary["verdict"], summary["goal"]) == ("REJECT", "no-regression")
    assert summary["counts"] == {"ACCEPT": 2, "REJECT": 1, "INCONCLUSIVE": 0}
    assert {row["id"].rpartition("::")[2] for row in summary["benchmarks"]} == {
        "test_slower", "test_faster", "test_tolerated",
    }  # fmt: skip
    text = (done.reports / "summary.md").read_text()
    assert text.startswith("## optbench: REJECT\n")
    assert "| REJECT | test\\_slower |" in text
    assert "::error file=tests/test_speed.py,line=5,title=REJECT%3A test_slower::" in done.output
    assert "## optbench" in step.read_text()
    cases = {case.get("name"): case for case in ET.parse(tmp_path / "junit.xml").iter("testcase")}
    assert set(cases) == {"test_slower", "test_faster", "test_tolerated", "test_ordinary"}
    assert [name for name, case in cases.items() if case.find("failure") is not None] == ["test_slower"]
    assert "REJECT test_slower" in str(cases["test_slower"].find("failure").get("message"))  # type: ignore[union-attr]
    values = {p.get("name"): p.get("value") for p in cases["test_faster"].iter("property")}
    assert values["optbench_verdict"] == "ACCEPT"
    assert repo.state() == {**before, "status": repo.state()["status"]}
    assert list(own_temporary_folder.glob("optbench-*")) == []


def test_a_speedup_can_be_asked_for(repo: Repo) -> None:
    """With the goal speedup a gain is accepted after Holm's correction."""
    prepared(repo)
    done = run(
        repo, "--optbench-goal=speedup", "--optbench-min-speedup=10%", "-k", "faster",
        "--optbench-max-trials=40",
    )  # fmt: skip
    assert done.code == 0, done.output
    assert done.document("test_faster")["verdict"] == "ACCEPT"
    assert done.document("test_faster")["p_adjusted"] <= 0.025
    assert done.summary["goal"] == "speedup"


def test_results_of_declared_benchmarks_must_agree(repo: Repo) -> None:
    """Under optbench.measure another result is REJECT; under the benchmark fixture it is a warning."""
    repo.file("src/pkg/work.py", "def run():\n    return sum(range(2000))\n")
    repo.file(
        "tests/test_speed.py",
        """
        import pytest
        import pkg

        def test_measured(optbench):
            optbench.measure(pkg.run, max_slowdown="50%", title="Declared", config={"n": 2000})

        def test_arms(optbench):
            def counted():
                optbench.record("rows", 7)
                return pkg.run() and sum(range(3000))

            optbench.compare(baseline=lambda: sum(range(3000)), optimized=counted)

        def test_fixture(benchmark):
            benchmark.extra_info["rows"] = 7
            benchmark(pkg.run)
        """,
    )
    repo.commit("base")
    repo.file("src/pkg/work.py", "def run():\n    return sum(range(2000)) + 1\n")
    done = run(repo, "--optbench-quick", "--optbench-max-trials=4", "--optbench-gate=lenient")
    assert done.code == 1, done.output
    declared = done.document("test_measured")
    assert (declared["verdict"], declared["reasons"][0]) == ("REJECT", "not-equivalent")
    assert (declared["title"], declared["config"], declared["margin"]) == ("Declared", {"n": 2000}, 1 / 1.5)
    assert len(declared["pairs"]) == 1  # a wrong answer needs no further pair
    fixture = done.document("test_fixture")
    assert (fixture["verdict"], fixture["reasons"]) == ("INCONCLUSIVE", ["quick"])
    assert [d["level"] for d in fixture["diagnostics"] if d["code"] == "results-differ"] == ["warn"]
    assert fixture["config"] == {"rows": 7}
    assert {done.document(f"test_arms::{arm}")["title"] for arm in ("baseline", "optimized")} == {
        "test_arms: baseline", "test_arms: optimized",
    }  # fmt: skip
    assert done.document("test_arms::baseline")["metrics"] == {}
    assert "rows" in done.document("test_arms::optimized")["metrics"]
    assert "1 failed, 2 passed" in done.output
    assert "INCONCLUSIVE test_fixture" in done.output  # the lenient gate warns


def test_declared_results_that_cannot_be_compared_are_never_accepted(repo: Repo) -> None:
    """A result that cannot travel between the processes leaves it open whether both revisions agree."""
    repo.file("src/pkg/work.py", "def run():\n    return sum(range(9000))\n")
    repo.file(
        "tests/test_speed.py",
        """
        import pkg.work

        def test_measured(optbench):
            optbench.measure(lambda: (pkg.work.run(), lambda: 1))
        """,
    )
    repo.commit("base")
    repo.file("src/pkg/work.py", "def run():\n    return sum(range(3000))\n")
    done = run(repo, "--optbench-max-trials=40")
    assert done.code == 1, done.output
    document = done.document("test_measured")
    assert (document["verdict"], document["reasons"][0]) == ("INCONCLUSIVE", "equivalence-error")
    assert "the result cannot be pickled: " in document["equivalence"]["message"]
