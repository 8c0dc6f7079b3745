"""pyperf before and after a change, as its users run it: one file of many processes each, then compare_to.

The benchmark is a `Runner.bench_func` script at pyperf's defaults (20 processes of 3 values, each of at least
100 ms); whether the difference counts is what the real `pyperf compare_to` prints.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.pytest_runs import Case, run_python

RULES = {"compare_to": (), "compare_to --min-speed=5": ("--min-speed=5",)}
"""The rules by name, with the options of `pyperf compare_to` that ask for them."""

_SCRIPT = """
import json
from pathlib import Path

import pyperf
import workloads

here = Path(__file__).parent
version = (here / "version.txt").read_text()
case, = json.loads((here / "cases.json").read_text())
runner = pyperf.Runner()
runner.bench_func(case["name"], workloads.arm(case["kind"], case[version]))
"""


@dataclass(frozen=True)
class PyperfSession:
    """What each rule said, "faster", "slower" or "" for no difference, and the seconds of both runs."""

    said: dict[str, str]
    wall_s: float


def compare_with_pyperf(folder: Path, case: Case, processes: int | None = None) -> PyperfSession:
    """Return pyperf's verdicts on one case; `folder` comes from `pytest_runs.write_project`.

    processes: fewer than the default 20, for trying out. Raises `RuntimeError` when a run fails.
    """
    (folder / "pyperf_case.py").write_text(_SCRIPT, encoding="utf-8")
    fewer = [f"--processes={processes}"] if processes else []
    wall = 0.0
    for version in ("before", "after"):
        (folder / "version.txt").write_text(version, encoding="utf-8")
        (folder / f"pyperf-{version}.json").unlink(missing_ok=True)
        run = run_python(folder, ["pyperf_case.py", "--quiet", *fewer, "-o", f"pyperf-{version}.json"])
        if run.status != 0:
            raise RuntimeError(f"pyperf exited with {run.status} on {case.name}: {run.errors}")
        wall += run.wall_s
    return PyperfSession({rule: _verdict(folder, options) for rule, options in RULES.items()}, wall)


def _verdict(folder: Path, options: tuple[str, ...]) -> str:
    command = [
        sys.executable,
        "-m",
        "pyperf",
        "compare_to",
        *options,
        "pyperf-before.json",
        "pyperf-after.json",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return verdict_in(done.stdout)


def verdict_in(printed: str) -> str:
    """Return what `pyperf compare_to` said of its only benchmark.

    Raises `RuntimeError` for an output it does not know, so that a new wording cannot pass as "no difference".
    """
    for word in ("faster", "slower"):
        if f"x {word}" in printed:
            return word
    if "not significant" in printed or "no change" in printed:
        return ""
    raise RuntimeError(f"pyperf compare_to must name a difference or none, received {printed!r}")
