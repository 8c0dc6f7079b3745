"""What the plugin costs a pytest run that measures nothing: start-up with and without it, by turns.

    python -m benchmarks.harness.idle_cost [--rounds N] [--out FILE.md]

Claim: a run of one test with only this plugin installed takes less than 10 ms longer than one without.
Beside it pytest-benchmark, in the same rounds. Traps avoided: runs of one kind in a row (a machine that slows
down would blame whoever comes last), other installed plugins, byte code compiled on the first run.

About a minute at the defaults. Exit status 1 when the target is missed.
"""

from __future__ import annotations

import random
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.figure import Check, Figure, Table, command_line, parser, progress
from benchmarks.harness.intervals import Median, median
from benchmarks.harness.pytest_runs import OURS, RIVAL, Run, run_pytest, run_python

MOST_S = 0.010
NONE = "no plugin"
VARIANTS = {NONE: [], "pytest-optbench": [OURS], "pytest-benchmark": [RIVAL]}
PACKAGES = {"pytest-optbench": "pytest_optbench", "pytest-benchmark": "pytest_benchmark"}
_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \|\s+(\S+)")


def write_test(folder: Path) -> None:
    """Write a folder with one test that does nothing."""
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / "test_nothing.py").write_text("def test_nothing():\n    pass\n", encoding="utf-8")


def start(folder: Path, variant: str) -> Run:
    """Return one fresh pytest run with only the plugin of `variant`; raises `RuntimeError` if it fails."""
    run = run_pytest(folder, ["-p", "no:cacheprovider", "test_nothing.py"], VARIANTS[variant])
    if run.status != 0:
        raise RuntimeError(f"pytest with {variant} exited with {run.status}: {run.errors}")
    return run


def alternate(folder: Path, rounds: int, rng: random.Random) -> dict[str, list[Run]]:
    """Return `rounds` runs of each variant; each round runs all of them in random order."""
    runs: dict[str, list[Run]] = {variant: [] for variant in VARIANTS}
    for variant in VARIANTS:  # the first of each reads files no cache of the system holds yet
        start(folder, variant)
    for number in range(rounds):
        for variant in rng.sample(sorted(VARIANTS), len(VARIANTS)):
            runs[variant].append(start(folder, variant))
        if number % 10 == 9:
            progress(f"round {number + 1}/{rounds}")
    return runs


def imports(folder: Path, variant: str, repeats: int) -> dict[str, dict[str, float]]:
    """Return microseconds of importing a variant's own modules once pytest is there: fastest of `repeats`.

    `own` is the module's own code, `with_new` includes whatever it was the first to import. Imported by a
    plain statement, since the interpreter does not time what pytest loads through entry points.
    """
    package = PACKAGES[variant]
    statement = f"import pytest, {package}.plugin"
    seen: dict[str, dict[str, float]] = {}
    for _ in range(repeats):
        run = run_python(folder, ["-X", "importtime", "-c", statement])
        if run.status != 0:
            raise RuntimeError(f"{statement!r} failed: {run.errors}")
        for line in run.errors.splitlines():
            match = _IMPORT.match(line)
            if match and match[3].split(".")[0] == package:
                best = seen.setdefault(match[3], {"own": float("inf"), "with_new": float("inf")})
                best["own"] = min(best["own"], float(match[1]))
                best["with_new"] = min(best["with_new"], float(match[2]))
    return seen


def extra(runs: dict[str, list[Run]], variant: str, measure: str) -> Median:
    """Return the median over rounds of the seconds `variant` took longer than no plugin."""
    pairs = zip(runs[variant], runs[NONE], strict=True)
    return median([getattr(run, measure) - getattr(bare, measure) for run, bare in pairs])


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write the figure; return 0 when the target is met."""
    made = parser("idle_cost", "Measure what the plugin costs a pytest run that measures nothing.")
    made.add_argument("--rounds", type=int, default=30, help="runs of each variant (default 30)")
    options = made.parse_args(argv)
    if options.rounds < 1:
        made.error(f"--rounds must be at least 1, received {options.rounds}")
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_test(folder)
        runs = alternate(folder, options.rounds, random.Random(options.seed))
        loaded = {variant: imports(folder, variant, min(5, options.rounds)) for variant in PACKAGES}
    longer = {variant: extra(runs, variant, "wall_s") for variant in PACKAGES}
    mine = longer["pytest-optbench"]
    rows = []
    for variant in VARIANTS:
        cells = [median([getattr(run, key) for run in runs[variant]]) for key in ("wall_s", "cpu_s")]
        differences = (
            [extra(runs, variant, key).show("ms", 1e3, 1) for key in ("wall_s", "cpu_s")]
            if variant != NONE
            else ["-", "-"]
        )
        rows.append((variant, *[cell.show("ms", 1e3, 0) for cell in cells], *differences))
    modules = [
        (variant, module, f"{times['own'] / 1e3:.2f}", f"{times['with_new'] / 1e3:.2f}")
        for variant, seen in loaded.items()
        for module, times in sorted(seen.items(), key=lambda entry: -entry[1]["own"])
    ]
    return Figure(
        title="Idle cost: a pytest run that measures nothing",
        what=(
            f"`python -m pytest -q` on a folder with one empty test, {options.rounds} rounds of fresh processes; "
            "each round runs every variant once in random order, all other installed plugins off. Differences "
            "are within rounds; intervals between order statistics, 95 %."
        ),
        command=command_line(made, options),
        seconds=time.perf_counter() - began,
        checks=[
            Check(
                "wall time over a run without the plugin, median",
                f"< {1e3 * MOST_S:g} ms",
                mine.show("ms", 1e3, 1),
                mine.value < MOST_S,
            ),
            Check("the same for pytest-benchmark", "-", longer["pytest-benchmark"].show("ms", 1e3, 1), None),
        ],
        tables=[
            Table(
                "Start-up",
                ("variant", "wall", "processor", "wall over no plugin", "processor over no plugin"),
                rows,
            ),
            Table(
                "Imports (`python -X importtime -c 'import pytest, ...plugin'`, ms, fastest of a few)",
                ("plugin", "module", "itself", "with what it was first to import"),
                modules,
            ),
        ],
        data={
            "runs": {
                variant: [{"wall_s": run.wall_s, "cpu_s": run.cpu_s} for run in done]
                for variant, done in runs.items()
            },
            "imports_us": loaded,
        },
    ).write(options.out)


if __name__ == "__main__":
    sys.exit(main())
