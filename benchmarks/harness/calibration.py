"""Error rates of this harness and of other tools' rules, on one machine, on the same workloads, in the same minutes.

    python -m benchmarks.harness.calibration [--comparisons N] [--pyperf N] [--minutes M]
    python -m benchmarks.harness.calibration --revisions N    # a git repository with --optbench-base
    python -m benchmarks.harness.calibration --page-only      # the page again from the JSON files

Cells: no change, a true gain of 5 % and one of 8 %, each idle and while a busy process holds the last CPU. In every
cell each tool gets the stated number of comparisons, all of them spread evenly over the whole time. Traps
avoided: another day or another machine for another tool; a tool's rule restated instead of run (pytest-benchmark's
exit status, `pyperf compare_to` and asv's own functions decide); a gain assumed instead of confirmed; cells
without an interval. `--minutes` ends it early, with every tool and cell at about the same share of its count; files and
page are written after every suite and every few comparisons, so what was measured when it is interrupted stays.

Needs the extra `peers`. At the defaults about three hours, most of them pyperf's.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import calibration_page
from benchmarks.harness.asv_rounds import compare_with_asv
from benchmarks.harness.figure import command_line, environment, progress
from benchmarks.harness.neighbour import neighbour
from benchmarks.harness.pyperf_runs import compare_with_pyperf
from benchmarks.harness.pytest_runs import (
    STATISTICS,
    Case,
    compare_with_rival,
    decide,
    faster,
    slower,
    write_project,
)
from benchmarks.harness.revision_runs import Suites, revision_records
from benchmarks.harness.true_gain import true_ratio
from benchmarks.harness.workloads import CALL_S, KINDS, iterations_for

FOLDER = Path("reports/figures/calibration")
PAGE = Path("reports/figures/calibration.md")
GAINS = (0.0, 0.05, 0.08)
_SITUATIONS = {"idle": (False,), "loaded": (True,), "both": (False, True)}
THRESHOLDS = ("5%", "2%")
"""Minimum speedups our own decisions are asked for: the default, and one below both gains."""
PEERS = ("asv", "pyperf", "pytest-benchmark")
_SUITES = {"revisions", "slower", "benchmarks", "situations", "rival_every"}
_OTHER = {*_SUITES, "page_only"}


@dataclass(frozen=True)
class Task:
    """One comparison: which tool, what gain, whether the other CPU is busy, and its number in its cell."""

    tool: str
    gain: float
    loaded: bool
    number: int


def plan(counts: dict[str, int], rng: random.Random) -> list[Task]:
    """Return every comparison in an order that is as far in each cell as in any other, at any time."""
    tasks = [
        (Task(tool, gain, loaded, number), (number + rng.random()) / count)
        for tool, count in counts.items()
        for gain in GAINS
        for loaded in (False, True)
        for number in range(count)
    ]
    return [task for task, _ in sorted(tasks, key=lambda entry: entry[1])]


def questions(gain: float, call_s: float = CALL_S) -> list[Case]:
    """Return one case per kind of work; after the change exactly 1 - gain of the iterations are left."""
    found = []
    for kind in KINDS:
        before = max(100, 100 * round(iterations_for(kind, call_s) / 100))
        found.append(Case(kind, kind, before, before - round(100 * gain) * before // 100))
    return found


def compare(task: Task, case: Case, folder: Path, processes: int | None) -> dict[str, Any]:
    """Return what the tool's rules said of the case, by rule "faster", "slower" or "", and its wall seconds."""
    write_project(folder, [case])
    with neighbour(task.loaded):
        said, wall_s, more = _TOOLS[task.tool](folder, case, processes)
    return {
        "tool": task.tool,
        "gain": task.gain,
        "loaded": task.loaded,
        "case": case.name,
        "said": said,
        "wall_s": round(wall_s, 4),
        **more,
    }


def _ours(threshold: str) -> Callable[[Path, Case, int | None], tuple[dict[str, str], float, dict[str, Any]]]:
    def measured(
        folder: Path, _case: Case, _processes: int | None
    ) -> tuple[dict[str, str], float, dict[str, Any]]:
        run, (document,) = decide(folder, [f"--optbench-min-speedup={threshold}"])
        claim = "faster" if document["verdict"] == "ACCEPT" else ""
        claim = "slower" if "slower" in document["reasons"] else claim
        more = {
            "verdict": document["verdict"],
            "reasons": document["reasons"],
            "pairs": len(document["pairs"]),
        }
        return {f"optbench --min-speedup={threshold}": claim}, run.wall_s, more

    return measured


def _pytest_benchmark(
    folder: Path, case: Case, _processes: int | None
) -> tuple[dict[str, str], float, dict[str, Any]]:
    session = compare_with_rival(folder)
    ratios = session.ratios[case.name]
    said = {
        f"pytest-benchmark {statistic}:5%": "faster"
        if faster(ratios[statistic])
        else "slower"
        if slower(ratios[statistic])
        else ""
        for statistic in STATISTICS
    }
    return said, session.wall_s, {"ratios": ratios}


def _pyperf(folder: Path, case: Case, processes: int | None) -> tuple[dict[str, str], float, dict[str, Any]]:
    session = compare_with_pyperf(folder, case, processes)
    return {f"pyperf {rule}": word for rule, word in session.said.items()}, session.wall_s, {}


def _asv(folder: Path, case: Case, _processes: int | None) -> tuple[dict[str, str], float, dict[str, Any]]:
    session = compare_with_asv(folder, case)
    return session.said, session.wall_s, {}


_TOOLS = {
    **{f"optbench {threshold}": _ours(threshold) for threshold in THRESHOLDS},
    "pytest-benchmark": _pytest_benchmark,
    "pyperf": _pyperf,
    "asv": _asv,
}


def measure(
    tasks: Sequence[Task],
    cases: dict[float, list[Case]],
    minutes: float,
    processes: int | None,
    keep: Callable[[Sequence[dict[str, Any]]], None],
) -> list[dict[str, Any]]:
    """Return one record per comparison made before the time was over; at least the first.

    ``keep`` receives all there are after every few.
    """
    records: list[dict[str, Any]] = []
    end = time.monotonic() + 60 * minutes
    for done, task in enumerate(tasks):
        if done and time.monotonic() > end:
            progress(f"time is over after {done} of {len(tasks)} comparisons")
            break
        case = cases[task.gain][task.number % len(cases[task.gain])]
        with tempfile.TemporaryDirectory() as name:
            records.append(compare(task, case, Path(name), processes))
        if done % 20 == 19:
            keep(records)
            claims = Counter(
                rule for r in records if not r["gain"] for rule, word in r["said"].items() if word
            )
            progress(f"{done + 1}/{len(tasks)}; false claims so far: {dict(claims)}")
    return records


def facts() -> dict[str, str]:
    """Return what it ran on, the compared tools' versions included."""
    found = environment()
    peers = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in PEERS if name not in found["packages"]
    )
    return found | {"packages": f"{found['packages']}, {peers}"}


def _require_peers() -> None:
    """Raise `SystemExit` naming the extra when a tool to compare with is not installed."""
    installed = {one.name for one in importlib.metadata.distributions()}
    missing = [name for name in (*PEERS, "asv_runner") if not {name, name.replace("_", "-")} & installed]
    if missing:
        raise SystemExit(f"{', '.join(missing)} must be installed; pip install 'pytest-optbench[peers]'")


def _write(name: str, record: dict[str, Any]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    complete = FOLDER / f"{name}.part"
    complete.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    complete.replace(FOLDER / name)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what was asked for, write the JSON file and the page; return 0."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.harness.calibration", description="Measure error rates of decision rules."
    )
    made.add_argument("--comparisons", type=int, default=60, help="per cell and tool but pyperf (default 60)")
    made.add_argument(
        "--pyperf", type=int, default=20, help="per cell by pyperf, 25 s each; 0: none (default 20)"
    )
    made.add_argument(
        "--pyperf-processes", type=int, default=None, help="fewer than pyperf's 20, to try it out"
    )
    made.add_argument("--minutes", type=float, default=240.0, help="end early after so long (default 240)")
    made.add_argument(
        "--gain-pairs", type=int, default=1000, help="pairs of calls that confirm each gain (1000)"
    )
    made.add_argument(
        "--revisions",
        type=int,
        default=0,
        help="suites across git revisions instead, whose code does the same, per situation",
    )
    made.add_argument("--slower", type=int, default=None, help="suites with a slower benchmark (as many)")
    made.add_argument(
        "--situations", choices=list(_SITUATIONS), default="both", help="of those suites (default both)"
    )
    made.add_argument(
        "--rival-every",
        type=int,
        default=1,
        help="pytest-benchmark judges every n-th suite; 0: none (default 1)",
    )
    made.add_argument("--benchmarks", type=int, default=20, help="benchmarks in such a suite (default 20)")
    made.add_argument("--page-only", action="store_true", help="write the page again, measure nothing")
    made.add_argument("--seed", type=int, default=1, help="seed of the order of runs (default 1)")
    options = made.parse_args(argv)
    if (
        options.comparisons < 1
        or options.pyperf < 0
        or min(options.revisions, options.slower or 0, options.rival_every) < 0
        or options.gain_pairs < 10
    ):
        made.error(
            "--comparisons must be at least 1, --gain-pairs at least 10, --pyperf, --revisions, --slower and "
            "--rival-every not below 0"
        )
    if not options.page_only:
        _require_peers()
    start, rng = time.perf_counter(), random.Random(options.seed)
    used = {*_SUITES, "minutes", "seed"} if options.revisions else set(vars(options)) - _OTHER
    chosen = {name: value for name, value in vars(options).items() if name in used and value is not None}
    command = command_line(made, argparse.Namespace(**chosen))
    if options.revisions:
        suites = Suites(
            options.revisions,
            options.revisions if options.slower is None else options.slower,
            options.benchmarks,
            _SITUATIONS[options.situations],
            options.rival_every,
        )
        head: dict[str, Any] = {"benchmarks": suites.benchmarks}
        name = "revisions.json"
    elif not options.page_only:
        cases = {gain: questions(gain) for gain in GAINS}
        head = {
            "gains": {
                f"{gain:g}": {
                    case.kind: true_ratio(case, options.gain_pairs, rng).record() for case in cases[gain]
                }
                for gain in GAINS
            }
        }
        name = "comparisons.json"

    def keep(records: Sequence[dict[str, Any]]) -> None:
        _write(
            name,
            {
                "command": command,
                "environment": facts(),
                "seconds": _since(start),
                **head,
                "records": records,
            },
        )
        PAGE.write_text(calibration_page.page(FOLDER), encoding="utf-8")

    if options.revisions:
        keep(revision_records(suites, options.minutes, rng, keep))
    elif not options.page_only:
        counts = {tool: options.pyperf if tool == "pyperf" else options.comparisons for tool in _TOOLS}
        counts = {tool: count for tool, count in counts.items() if count}
        keep(measure(plan(counts, rng), cases, options.minutes, options.pyperf_processes, keep))
    text = calibration_page.page(FOLDER)
    PAGE.write_text(text, encoding="utf-8")
    print(text)
    return 0


def _since(start: float) -> float:
    return round(time.perf_counter() - start, 1)


if __name__ == "__main__":
    sys.exit(main())
