"""asv before and after a change: its sampling and its rule, without its environments.

`asv continuous` installs both revisions into environments; what it then does is repeated here with asv's
own code, since none of it touches the rule: two rounds, the second in reverse order, every round of a
revision in a fresh process (`asv_runner.benchmarks.time.TimeBenchmark`), `number` of the first round kept
for the second, samples of both rounds pooled (`asv_runner.statistics.compute_stats`), and the comparison of
`asv compare`: Mann-Whitney with p < 0.002 where the samples allow it, else separate 99 % intervals, and a
ratio beyond the factor.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.pytest_runs import Case, run_python

ROUNDS = 2
FACTORS = {"asv (factor 1.1)": 1.1, "asv --factor=1.05": 1.05}
"""The rules by name; 1.1 is asv's default."""

_SCRIPT = """
import json
import sys
from pathlib import Path

import workloads
from asv_runner.benchmarks.time import TimeBenchmark

here = Path(__file__).parent
case, = json.loads((here / "cases.json").read_text())
work = workloads.arm(case["kind"], case[sys.argv[1]])
benchmark = TimeBenchmark("time_case", work, [])
benchmark.do_setup()
benchmark.number = int(sys.argv[2])
(here / "asv.json").write_text(json.dumps(benchmark.run()))
"""


@dataclass(frozen=True)
class AsvSession:
    """What each rule said, "faster", "slower" or "" for no difference, and the seconds of all rounds."""

    said: dict[str, str]
    wall_s: float


def compare_with_asv(folder: Path, case: Case) -> AsvSession:
    """Return asv's verdicts on one case; `folder` comes from `pytest_runs.write_project`.

    Raises `RuntimeError` when a round fails.
    """
    (folder / "asv_case.py").write_text(_SCRIPT, encoding="utf-8")
    samples: dict[str, list[float]] = {"before": [], "after": []}
    number = {"before": 0, "after": 0}  # 0: asv settles it
    wall = 0.0
    for round_number in range(ROUNDS, 0, -1):
        # asv goes through the revisions backwards in rounds of even number, and counts rounds down.
        versions = ("after", "before") if round_number % 2 == 0 else ("before", "after")
        for version in versions:
            run = run_python(folder, ["asv_case.py", version, str(number[version])])
            if run.status != 0:
                raise RuntimeError(f"asv_runner exited with {run.status} on {case.name}: {run.errors}")
            found = json.loads((folder / "asv.json").read_text(encoding="utf-8"))
            samples[version] += found["samples"]
            number[version] = found["number"]
            wall += run.wall_s
    return AsvSession({rule: judge(samples, number, factor) for rule, factor in FACTORS.items()}, wall)


def judge(samples: dict[str, list[float]], number: dict[str, int], factor: float) -> str:
    """Return what asv's own comparison says of pooled samples "before" and "after", in seconds per call."""
    try:
        from asv.commands.compare import _is_result_better
        from asv_runner.statistics import compute_stats
    except ImportError as error:
        raise RuntimeError(
            "asv must be installed to apply its rule; pip install 'pytest-optbench[peers]'"
        ) from error
    results: dict[str, tuple[float, Any]] = {}
    for version in ("before", "after"):
        median, stats = compute_stats(samples[version], number[version])
        results[version] = median, (stats, samples[version])
    before, after = results["before"], results["after"]
    if _is_result_better(after[0], before[0], after[1], before[1], factor):
        return "faster"
    if _is_result_better(before[0], after[0], before[1], after[1], factor):
        return "slower"
    return ""
