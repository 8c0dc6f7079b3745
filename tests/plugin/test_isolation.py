"""``isolation="process"`` from the user's side: real children, and the documents they leave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil
import pytest
from plugin_bench import ARMS, FASTER, UNCHANGED, Bench

from pytest_optbench.measure.address_space import drawn_address_space

untraced = pytest.mark.usefixtures("untraced")

# Plugins of this environment make starting slow and are not what most of these tests are about.
LEAN = ("-p", "pytest_optbench.plugin", "-p", "no:cacheprovider")


@pytest.fixture
def lean(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> Bench:
    """A test folder where pytest loads no plugin by itself."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return bench


def isolated(bench: Bench, *args: str, quick: bool = True) -> pytest.RunResult:
    """Run with process isolation; quick where the verdict is not the subject."""
    options = ("--optbench-isolation=process", *(("--optbench-quick",) if quick else ()))
    return bench.run(*LEAN, *options, *args)


def full(bench: Bench) -> dict[str, Any]:
    """Return the only decision with everything in it, as its own file holds it."""
    (path,) = (each for each in bench.reports() if each.suffix == ".json" and each.stem != "index")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def children() -> set[int]:
    return {each.pid for each in psutil.Process().children(recursive=True)}


@untraced
def test_a_true_gain_is_accepted_and_all_that_varied_is_recorded(lean: Bench) -> None:
    """A gain of a factor is accepted at ten pairs; the document tells isolation, seeds, paddings and loops."""
    lean.file(FASTER)
    assert isolated(lean, quick=False).ret == 0
    document = full(lean)
    protocol = document["protocol"]
    assert (document["verdict"], protocol["isolation"]) == ("ACCEPT", "process")
    n = len(document["pairs"])
    assert n >= 10
    assert len(set(protocol["hash_seeds"])) == n
    assert len(protocol["padding"]) == n
    with drawn_address_space(0) as told:
        allowed = bool(told)
    assert len(protocol["places"]) == n
    assert len(set(protocol["places"])) == (n if allowed else 1)
    assert (None in protocol["places"]) == (not allowed)
    assert all(0 <= each < 4096 for both in protocol["padding"] for each in both)
    assert protocol["loops"] > 1
    assert all(len(pair["runs"]) == protocol["micro_pairs"] for pair in document["pairs"])
    assert [len(pair["control"]) for pair in document["pairs"]] == [0, 1] * (n // 2)  # of two processes each
    assert document["control"]["n"] == n // 2
    assert document["equivalence"]["checked"]
    assert "after timing" in document["equivalence"]["how"]
    assert f"median of {n} processes" in document["memory"]["how"]
    assert document["memory"]["baseline"]["peak_bytes"] > 5_000_000
    assert [pair["order"] for pair in document["pairs"]] == protocol["plan"][:n]


@untraced
def test_identical_arms_are_not_accepted(lean: Bench) -> None:
    """The very same code on both sides is no speedup."""
    lean.file(UNCHANGED)
    assert isolated(lean, quick=False).ret == 1
    document = lean.only()
    assert document["verdict"] in ("REJECT", "INCONCLUSIVE")
    assert not {"arm-raised", "invalid-measurement"} & set(document["reasons"])


SHAPES = (
    ARMS
    + """
import asyncio
import pytest

async def slow_async():
    return slow()

async def fast_async():
    return fast()

@pytest.fixture(scope="module")
def numbers():
    return list(range(3000))

@pytest.mark.optbench(isolation="process")
class TestShapes:
    @pytest.mark.parametrize("n", [2])
    def test_parametrised(self, optbench, numbers, n, tmp_path):
        (tmp_path / "file").write_text("x")
        optbench.compare(baseline=lambda: sum(i for i in numbers * n), optimized=lambda: sum(numbers * n))

    def test_async(self, optbench):
        optbench.compare(baseline=slow_async, optimized=fast_async)

def test_setup_and_candidates(optbench):
    optbench.compare(
        baseline=lambda items: sum(i for i in items),
        optimized={"builtin": sum, "loop": lambda items: sum(i for i in items)},
        setup=lambda: list(range(3000)),
        isolation="process",
    )
"""
)


def test_every_shape_of_test_is_measured(lean: Bench) -> None:
    """Classes, parameters, fixtures of any scope, async arms, setup, several candidates; by marker and call."""
    lean.file(SHAPES)
    lean.run(*LEAN, "--optbench-quick")
    documents = {document["id"].partition("::")[2]: document for document in lean.index()}
    assert set(documents) == {
        "TestShapes::test_parametrised[2]", "TestShapes::test_async",
        "test_setup_and_candidates::builtin", "test_setup_and_candidates::loop",
    }  # fmt: skip
    for document in documents.values():
        assert document["reasons"] == ["quick"]
        assert document["protocol"]["isolation"] == "process"
        assert len(document["pairs"]) == 4
    assert documents["TestShapes::test_async"]["protocol"]["async"] is True
    builtin, loop = (documents[f"test_setup_and_candidates::{name}"] for name in ("builtin", "loop"))
    assert builtin["ratio"]["estimate"] > 1.5
    times = [[pair["baseline_s"] for pair in document["pairs"]] for document in (builtin, loop)]
    assert times[0] == times[1]  # one child of the baseline for all candidates


def in_child(what: str) -> str:
    """Return a test whose optimized arm does ``what`` in children, and works in the test's own process."""
    return (
        f"import os, signal, time\n{ARMS}\n"
        "def odd():\n"
        f"    if 'OPTBENCH_PADDING' in os.environ:\n        {what}\n"
        "    return slow()\n"
        "def test_odd(optbench):\n    optbench.compare(baseline=slow, optimized=odd)\n"
    )


@pytest.mark.parametrize(
    ("what", "reason", "says"),
    [
        ("raise KeyError('only here')", "arm-raised", "KeyError: 'only here'"),
        ("import pytest; pytest.skip('only here')", "arm-raised", "raised Skipped: only here"),
        ("os._exit(9)", "invalid-measurement", "exit status 9"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "invalid-measurement", "killed by SIGKILL"),
        ("time.sleep(600)", "time-limit", "gave no answer in time and was ended: after 4 s"),
    ],
)
def test_a_child_that_fails_is_inconclusive(lean: Bench, what: str, reason: str, says: str) -> None:
    """An arm that raises, leaves, is killed or hangs in its process ends INCONCLUSIVE, with what it said."""
    before = children()  # of tests that ran here earlier
    lean.file(in_child(what))
    result = isolated(lean, "--optbench-max-time=2", quick=False)
    assert result.ret == 1
    document = lean.only()
    assert document["verdict"] == "INCONCLUSIVE"
    assert document["reasons"][0] == reason
    (finding,) = (found for found in document["diagnostics"] if found["code"] == reason)
    assert finding["message"].startswith("optimized: the ")
    assert says in finding["message"]
    assert children() - before == set()


def test_wrong_results_are_rejected_before_any_process_starts(lean: Bench) -> None:
    """Arms that differ are rejected as they are inline."""
    lean.body("optbench.compare(baseline=slow, optimized=wrong)")
    assert isolated(lean, quick=False).ret == 1
    assert (lean.only()["verdict"], lean.only()["reasons"]) == ("REJECT", ["not-equivalent"])
    assert lean.only()["pairs"] == []


def project(folder: Path) -> None:
    """Write a project whose tests need its ini file, plugin, conftest option and folder."""
    (folder / "conf").mkdir()
    (folder / "conf" / "bench.ini").write_text(
        "[pytest]\npython_files = bench_*.py\naddopts = --strict-markers\nmarkers = special: mine\n"
    )
    (folder / "plug").mkdir()
    (folder / "plug" / "my_plugin.py").write_text(
        "import pytest\n@pytest.fixture\ndef from_plugin():\n    return 4000\n"
    )
    (folder / "suite" / "deep").mkdir(parents=True)
    (folder / "suite" / "conftest.py").write_text(
        "import pytest\n"
        "def pytest_addoption(parser):\n    parser.addoption('--size', type=int, default=0)\n"
        "@pytest.fixture\ndef size(request):\n    return request.config.getoption('--size')\n"
    )
    (folder / "suite" / "deep" / "bench_it.py").write_text(
        "import pytest\n"
        "@pytest.mark.special\n"
        "def test_it(optbench, size, from_plugin, pytestconfig):\n"
        "    assert size == 4000 == from_plugin\n"
        "    assert pytestconfig.getini('python_files') == ['bench_*.py']\n"
        "    optbench.compare(baseline=lambda: sum(range(size)), optimized=lambda: sum(range(size)))\n"
    )


def test_children_know_what_the_run_was_given(lean: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Children see the run's -c, --rootdir, -p, -o, own options and selection, started from a subfolder too."""
    project(lean.folder)
    monkeypatch.setenv("PYTHONPATH", str(lean.folder / "plug"))
    (lean.folder / "elsewhere").mkdir()
    monkeypatch.chdir(lean.folder / "elsewhere")
    lean.pytester.chdir()
    monkeypatch.chdir(lean.folder / "suite")
    isolated(
        lean, "-c", "../conf/bench.ini", "--rootdir=..", "-p", "my_plugin", "-o", "console_output_style=count",
        "--size", "4000", "-k", "test_it", "deep",
    )  # fmt: skip
    document = lean.only()
    assert document["id"] == "suite/deep/bench_it.py::test_it"
    assert document["reasons"] == ["quick"]
    assert len(document["pairs"]) == 4


@untraced
def test_what_the_run_writes_is_not_written_by_children(bench: Bench) -> None:
    """JUnit, xdist, last-failed and coverage options of the run act once, in the run; all plugins are loaded."""
    bench.file(ARMS + "\ndef test_claim(optbench):\n    optbench.compare(baseline=slow, optimized=slow)\n")
    (bench.folder / "pytest.ini").write_text(
        "[pytest]\naddopts = --junitxml=out.xml -n1 --lf\nasyncio_default_fixture_loop_scope = function\n"
    )
    bench.run("--optbench-isolation=process", "--optbench-quick")
    document = bench.only()
    assert document["reasons"] == ["quick"]
    assert len(document["pairs"]) == 4
    assert (bench.folder / "out.xml").read_text().count("<testcase") == 1
    cache = json.loads((bench.folder / ".pytest_cache" / "v" / "cache" / "lastfailed").read_text())
    assert cache == {"test_bench.py::test_claim": True}


@untraced
def test_memory_of_processes_is_judged(lean: Bench) -> None:
    """With a memory margin the peak of the processes counts, and far more of it is not accepted."""
    lean.body(
        "optbench.compare(baseline=slow, optimized=lambda: len(bytearray(60_000_000)) and fast(), max_memory='10%')"
    )
    isolated(lean)
    document: dict[str, Any] = lean.only()
    memory = document["metrics"]["memory"]
    assert memory["n"] == len(document["pairs"])
    assert memory["optimized"] - memory["baseline"] > 40_000_000
    assert memory["verdict"] in ("worse", "open")
