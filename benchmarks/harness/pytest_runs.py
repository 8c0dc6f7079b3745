"""Fresh pytest processes in a folder of generated tests, as a user starts them.

Of all installed plugins only the ones named are on; the rest would blur the comparison. What changes between
two runs is data (`cases.json`, `version.txt`), never a module that could be served from an old cache.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from benchmarks.harness import workloads

OURS = "optbench"
RIVAL = "benchmark"
STATISTICS = ("min", "mean", "median")
MARGIN = 0.05
# Without cached byte code a checkout would be compiled anew each time, an installed package would not.
FOREIGN = ("PYTEST_", "PYTHON", "COV", "GITHUB_")
"""How variables start that the surroundings may set and a measured process must not have."""

_OURS = """
import json
from pathlib import Path

import pytest
import workloads

CASES = json.loads(Path(__file__).with_name("cases.json").read_text())

@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case(case, optbench):
    optbench.compare(
        baseline=workloads.arm(case["kind"], case["before"]),
        optimized=workloads.arm(case["kind"], case["after"]),
    )
"""
_RIVAL = """
import json
from pathlib import Path

import pytest
import workloads

HERE = Path(__file__).parent
CASES = json.loads((HERE / "cases.json").read_text())
VERSION = (HERE / "version.txt").read_text()

@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case(case, benchmark):
    benchmark(workloads.arm(case["kind"], case[VERSION]))
"""


@dataclass(frozen=True)
class Case:
    """One comparison: the work, and its iterations before and after the change."""

    name: str
    kind: str
    before: int
    after: int


@dataclass(frozen=True)
class Run:
    """One pytest process: exit status, wall and processor seconds from start to end, standard error."""

    status: int
    wall_s: float
    cpu_s: float
    errors: str


def blocked(allowed: Sequence[str]) -> list[str]:
    """Return the options that keep every installed plugin but the `allowed` ones from loading."""
    names = {entry.name for entry in importlib.metadata.entry_points(group="pytest11")}
    return [part for name in sorted(names - set(allowed)) for part in ("-p", f"no:{name}")]


def run_pytest(folder: Path, arguments: Sequence[str], allowed: Sequence[str]) -> Run:
    """Return how one `python -m pytest` in `folder` went, with only the `allowed` plugins on."""
    return run_python(folder, ["-m", "pytest", "-q", *blocked(allowed), *arguments])


def run_python(folder: Path, arguments: Sequence[str]) -> Run:
    """Return how one fresh interpreter in `folder` went, free of what the surroundings set for Python."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    command = [sys.executable, *arguments]
    with (folder / "stderr.txt").open("w+", encoding="utf-8") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=errors
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        return Run(process.returncode, wall, usage.ru_utime + usage.ru_stime, errors.read())


def write_project(folder: Path, cases: Sequence[Case]) -> None:
    """Write the two test files, one per tool, over the same cases."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(workloads.__file__, folder / "workloads.py")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / "cases.json").write_text(json.dumps([asdict(case) for case in cases]), encoding="utf-8")
    (folder / "test_ours.py").write_text(_OURS, encoding="utf-8")
    (folder / "test_rival.py").write_text(_RIVAL, encoding="utf-8")


def decide(folder: Path, options: Sequence[str] = ()) -> tuple[Run, list[dict[str, Any]]]:
    """Return one session of `pytest --optbench`, by default at its defaults, and its decision documents.

    Every document gets `test_s`, the seconds pytest gives for its test. Raises `RuntimeError` when a
    document is missing.
    """
    shutil.rmtree(folder / "reports", ignore_errors=True)
    run = run_pytest(folder, ["--optbench", *options, "--junitxml=ours.xml", "test_ours.py"], [OURS])
    cases = [case["name"] for case in json.loads((folder / "cases.json").read_text(encoding="utf-8"))]
    index = folder / "reports" / "index.json"
    found = json.loads(index.read_text(encoding="utf-8")) if index.exists() else []
    documents = {document["id"].rpartition("[")[2][:-1]: document for document in found}
    if sorted(documents) != sorted(cases) or run.status not in (0, 1):
        raise RuntimeError(f"pytest --optbench left {sorted(documents)} of {cases}: {run.errors}")
    seconds = _test_seconds(folder / "ours.xml")
    return run, [documents[name] | {"test_s": seconds[name], "case": name} for name in cases]


@dataclass(frozen=True)
class RivalSession:
    """pytest-benchmark before and after a change.

    `ratios` maps case name and statistic to after / before; `test_s` case name to the seconds of both
    tests; `failed` says whether the real `--benchmark-compare-fail` failed the second run.
    """

    before: Run
    after: Run
    ratios: dict[str, dict[str, float]]
    test_s: dict[str, float]
    failed: bool

    @property
    def wall_s(self) -> float:
        """Seconds of both runs, pytest's own share included."""
        return self.before.wall_s + self.after.wall_s


def compare_with_rival(folder: Path) -> RivalSession:
    """Return what pytest-benchmark measures at its defaults in two runs, saved and compared.

    Raises `RuntimeError` when a run failed for another reason than its comparison, or when its exit status is not the
    one that the rule as read here from its files gives.
    """
    shutil.rmtree(folder / ".benchmarks", ignore_errors=True)
    # One option with three values: given three times, only the last would count.
    fail = ["--benchmark-compare-fail", *(f"{statistic}:{100 * MARGIN:g}%" for statistic in STATISTICS)]
    compare = ["--benchmark-compare=0001", *fail, "--benchmark-json=after.json"]
    runs, seconds = [], []
    for version, options in (("before", ["--benchmark-save=before"]), ("after", compare)):
        (folder / "version.txt").write_text(version, encoding="utf-8")
        runs.append(run_pytest(folder, [*options, "--junitxml=rival.xml", "test_rival.py"], [RIVAL]))
        seconds.append(_test_seconds(folder / "rival.xml"))
    saved = list((folder / ".benchmarks").glob("*/0001_before.json"))
    failed = "Performance has regressed" in runs[1].errors
    if len(saved) != 1 or runs[0].status != 0 or runs[1].status != int(failed):
        raise RuntimeError(f"pytest-benchmark exited with {[run.status for run in runs]}: {runs[1].errors}")
    before, after = (_statistics(path) for path in (saved[0], folder / "after.json"))
    ratios = {
        name: {statistic: after[name][statistic] / before[name][statistic] for statistic in STATISTICS}
        for name in after
    }
    if failed != any(slower(ratio) for found in ratios.values() for ratio in found.values()):
        raise RuntimeError(
            f"pytest-benchmark's exit ({failed=}) must follow from its files, received {ratios}"
        )
    return RivalSession(
        runs[0], runs[1], ratios, {name: seconds[0][name] + seconds[1][name] for name in ratios}, failed
    )


def slower(ratio: float) -> bool:
    """Whether pytest-benchmark's rule fails a benchmark: more than the margin above the base."""
    return ratio - 1 > MARGIN


def faster(ratio: float) -> bool:
    """Whether the same rule, read the other way, sees at least the margin saved."""
    return 1 - ratio >= MARGIN


def _statistics(path: Path) -> dict[str, dict[str, float]]:
    found = json.loads(path.read_text(encoding="utf-8"))["benchmarks"]
    return {entry["name"].rpartition("[")[2][:-1]: entry["stats"] for entry in found}


def _test_seconds(path: Path) -> dict[str, float]:
    """Return the seconds of each test by case name, from a JUnit file this program's own pytest wrote."""
    cases = ElementTree.parse(path).iter("testcase")
    return {case.get("name", "").rpartition("[")[2][:-1]: float(case.get("time", "nan")) for case in cases}
