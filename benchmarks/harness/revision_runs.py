"""A small git repository with a suite for pytest-benchmark's fixture, judged across its last two commits.

The suite is what its users have: parametrised tests of a package, nothing of this plugin in it. The last commit
either changes the source without changing what it does, or makes one benchmark do 5 % more iterations. Beside
`pytest --optbench --optbench-base=HEAD~1`, pytest-benchmark compares the same two commits as its users do: the
base is checked out and saved, the new commit is checked out and compared.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import workloads
from benchmarks.harness.figure import progress
from benchmarks.harness.neighbour import neighbour
from benchmarks.harness.pytest_runs import OURS, RIVAL, run_pytest
from benchmarks.harness.workloads import CALL_S, KINDS, iterations_for

MARGIN = "3%"
SLOWER = 1.05
STATISTICS = ("min", "mean", "median")

_SUITE = """
import pytest
from shop import work

@pytest.mark.parametrize("name", sorted(work.ITERATIONS))
def test_work(benchmark, name):
    benchmark(work.run, name)
"""
_PACKAGE = """
from shop import workloads

ITERATIONS = {iterations}

def run(name):
    kind, iterations = ITERATIONS[name]
    return workloads.KINDS[kind](iterations)
"""


def iterations_of(benchmarks: int) -> dict[str, tuple[str, int]]:
    """Return the kind and the iterations of every benchmark of a suite; each takes about a millisecond."""
    lengths = {kind: 100 * max(1, round(iterations_for(kind, CALL_S) / 100)) for kind in KINDS}
    kinds = list(KINDS)
    return {f"work{i:02}": (kinds[i % len(kinds)], lengths[kinds[i % len(kinds)]]) for i in range(benchmarks)}


def make_repository(folder: Path, iterations: dict[str, tuple[str, int]], slower: str | None) -> None:
    """Write a repository of two commits; the second makes `slower` do 5 % more, or changes nothing that runs."""
    package = folder / "src" / "shop"
    package.mkdir(parents=True)
    (folder / "tests").mkdir()
    shutil.copy(workloads.__file__, package / "workloads.py")
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "work.py").write_text(_PACKAGE.format(iterations=iterations), encoding="utf-8")
    (folder / "tests" / "test_shop.py").write_text(_SUITE, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\npythonpath = src\ntestpaths = tests\n", encoding="utf-8")
    (folder / ".gitignore").write_text(
        "__pycache__/\nreports/\n.benchmarks/\n*.xml\nstderr.txt\nafter.json\n", encoding="utf-8"
    )
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=Before")
    changed = dict(iterations)
    if slower is not None:
        kind, count = changed[slower]
        changed[slower] = kind, round(SLOWER * count)
    text = _PACKAGE.format(iterations=changed) + "\n# The second version.\n"
    (package / "work.py").write_text(text, encoding="utf-8")
    git(folder, "commit", "--quiet", "--all", "--message=After")


def git(folder: Path, *arguments: str) -> None:
    """Run git as a user without any configuration of this machine. Raises `RuntimeError` when it fails."""
    identity = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "optbench"), ("EMAIL", "optbench@example.invalid"))
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment = inherited | identity | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"git {' '.join(arguments)} exited with {done.returncode}: {done.stderr}")


@dataclass(frozen=True)
class Suites:
    """Which suites are judged.

    ``unchanged`` of them per situation do the same in both commits and ``changed`` have one benchmark that does 5 %
    more; ``situations`` says whether the other CPU is busy; pytest-benchmark judges every ``rival_every``-th one
    (0: none) beside this plugin.
    """

    unchanged: int
    changed: int
    benchmarks: int
    situations: tuple[bool, ...] = (False, True)
    rival_every: int = 1

    def plan(self, rng: random.Random) -> list[tuple[bool, bool, int]]:
        """Return (changed, loaded, number) of every suite, each kind as far as any other at any time."""
        tasks = [
            ((changed, loaded, number), (number + rng.random()) / count)
            for changed, count in ((False, self.unchanged), (True, self.changed))
            for loaded in self.situations
            for number in range(count)
        ]
        return [task for task, _ in sorted(tasks, key=lambda entry: entry[1])]


def revision_records(
    suites: Suites, minutes: float, rng: random.Random, keep: Callable[[Sequence[dict[str, Any]]], None]
) -> list[dict[str, Any]]:
    """Return one record per suite and tool; ``keep`` receives all there are after every suite.

    A suite that would last beyond ``minutes``, judged by the longest one so far, is not begun.
    """
    tasks = suites.plan(rng)
    iterations = iterations_of(suites.benchmarks)
    records: list[dict[str, Any]] = []
    end, longest = time.monotonic() + 60 * minutes, 0.0
    for done, (changed, loaded, number) in enumerate(tasks):
        began = time.monotonic()
        if done and began + longest > end:
            progress(f"time is over after {done} of {len(tasks)} suites")
            break
        slower = rng.choice(sorted(iterations)) if changed else None
        both = suites.rival_every and number % suites.rival_every == 0
        for tool in rng.sample(("optbench", "pytest-benchmark"), 2) if both else ("optbench",):
            with tempfile.TemporaryDirectory() as name, neighbour(loaded):
                folder = Path(name) / "repository"
                make_repository(folder, iterations, slower)
                found = _ours(folder) if tool == "optbench" else _rival(folder)
            records.append({"tool": tool, "changed": slower, "loaded": loaded, **found})
        longest = max(longest, time.monotonic() - began)
        keep(records)
        progress(f"{done + 1}/{len(tasks)} suites")
    return records


def _ours(folder: Path) -> dict[str, Any]:
    """Return which benchmarks ended how under the no-regression gate, and the seconds of the run."""
    options = ["--optbench", "--optbench-base=HEAD~1", f"--optbench-max-slowdown={MARGIN}"]
    run = run_pytest(folder, [*options, "--optbench-gate=lenient"], [OURS])
    index = folder / "reports" / "index.json"
    if run.status not in (0, 1) or not index.exists():
        raise RuntimeError(
            f"pytest --optbench-base exited with {run.status} and left no decisions: {run.errors}"
        )
    documents = json.loads(index.read_text(encoding="utf-8"))
    verdicts = {document["id"].rpartition("[")[2].rstrip("]"): document["verdict"] for document in documents}
    reasons = {document["id"].rpartition("[")[2].rstrip("]"): document["reasons"] for document in documents}
    pairs = max(len(document["pairs"]) for document in documents)
    regressed = {"optbench": sorted(name for name, verdict in verdicts.items() if verdict == "REJECT")}
    more = {"verdicts": verdicts, "reasons": reasons, "pairs": pairs}
    return {"regressed": regressed, "judged": len(verdicts), "wall_s": round(run.wall_s, 3), **more}


def _rival(folder: Path) -> dict[str, Any]:
    """Return which benchmarks pytest-benchmark's rule calls regressed, by statistic, and the seconds of both runs."""
    fail = ["--benchmark-compare-fail", *(f"{statistic}:{MARGIN}" for statistic in STATISTICS)]
    git(folder, "checkout", "--quiet", "HEAD~1")
    before = run_pytest(folder, ["--benchmark-save=before"], [RIVAL])
    git(folder, "checkout", "--quiet", "-")
    after = run_pytest(folder, ["--benchmark-compare=0001", *fail, "--benchmark-json=after.json"], [RIVAL])
    (saved,) = (folder / ".benchmarks").glob("*/0001_before.json")
    failed = "Performance has regressed" in after.errors
    if before.status != 0 or after.status != int(failed):
        raise RuntimeError(f"pytest-benchmark exited with {before.status} and {after.status}: {after.errors}")
    base, new = (
        {
            entry["name"].rpartition("[")[2][:-1]: entry["stats"]
            for entry in json.loads(path.read_text())["benchmarks"]
        }
        for path in (saved, folder / "after.json")
    )
    margin = float(MARGIN.rstrip("%")) / 100
    regressed = {
        f"pytest-benchmark {statistic}:{MARGIN}": sorted(
            name for name in new if new[name][statistic] / base[name][statistic] - 1 > margin
        )
        for statistic in STATISTICS
    }
    if any(regressed.values()) != failed:
        raise RuntimeError(f"the rule read from the files ({regressed}) must agree with the exit ({failed})")
    return {"regressed": regressed, "judged": len(new), "wall_s": round(before.wall_s + after.wall_s, 3)}
