"""Run the engine's measurements one after another and keep what they print as pages of ``reports/figures/engine``.

    python -m benchmarks.engine.publish [NAME ...]

Without names all are run, about an hour on two CPUs; nothing else should run meanwhile. Each page holds the command,
the machine in general terms, the output as it was printed, and the exit status; JSON goes beside it where the
measurement writes some. Exit status 1 when one of them missed a target.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.harness.figure import environment, progress

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "reports/figures/engine"
JSON: Final = "{json}"
PLOT: Final = "{plot}"

# Title, and the command after "python"; {json} is where its numbers go, {plot} its picture.
MEASUREMENTS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "dispatch": (
        "Dispatch against seven other pools",
        ("benchmarks/engine/dispatch.py", "--json", JSON),
    ),
    "sharing": (
        "A frame of a million rows, shared in four ways",
        ("benchmarks/engine/sharing.py", "--json", JSON),
    ),
    "bundle_delivery": (
        "Delivering a data bundle to workers",
        ("benchmarks/engine/bundle_delivery.py", "--json", JSON),
    ),
    "eta": ("How far the estimated end of a batch is off", ("benchmarks/engine/eta.py", "--json", JSON)),
    "injection": ("10,000 tasks with random faults", ("benchmarks/engine/injection.py",)),
    "rules_full": (
        "The rule validator: modes, grouping, overhead, incremental runs",
        ("-m", "optengine", "rules-bench", "--mode", "full", "--runs", "2", "--output", JSON),
    ),
    "rules_scaling": (
        "The rule validator with 1, 2, 4 and 8 workers",
        (
            *("-m", "optengine", "rules-bench", "--mode", "scaling"),
            *("--workers", "1,2,4,8", "--runs", "3", "--output", JSON),
        ),
    ),
    "rules_endurance": (
        "The rule validator, 100 runs with a crashing and a hanging rule",
        ("-m", "optengine", "rules-bench", "--mode", "endurance", "--runs", "100", "--output", JSON),
    ),
    "optimizer_overhead": (
        "What one trial costs the driver",
        ("benchmarks/engine/optimizer_overhead.py", "--ray", "--json", JSON),
    ),
    "optimizer_scaling": (
        "Scaling of the optimizer over workers",
        (
            "benchmarks/engine/optimizer_scaling.py",
            *("--workers", "1,2", "--rounds", "4", "--json", JSON, "--plot", PLOT),
        ),
    ),
    "optimizer_quality": (
        "Searches against random search at equal budget",
        ("benchmarks/engine/optimizer_quality.py", "--seeds", "20", "--json", JSON),
    ),
}


def publish(name: str) -> int:
    """Run one measurement, write its page and return its exit status."""
    title, arguments = MEASUREMENTS[name]
    FOLDER.mkdir(parents=True, exist_ok=True)
    numbers = (FOLDER / f"{name}.json").relative_to(ROOT).as_posix()
    picture = numbers.replace(".json", ".svg")
    command = [argument.replace(JSON, numbers).replace(PLOT, picture) for argument in arguments]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        env=dict(os.environ),
    )
    facts = environment()
    lines = [
        f"# {title}",
        "",
        f"- command: `python {' '.join(command)}`",
        *(f"- {fact}: {value}" for fact, value in facts.items()),
        f"- seconds: {time.perf_counter() - began:.0f}",
        f"- exit status: {done.returncode}",
        "",
        done.stdout.strip(),
        "",
        *([f"![{title}]({name}.svg)", ""] if PLOT in arguments else []),
    ]
    (FOLDER / f"{name}.md").write_text("\n".join(lines), encoding="utf-8")
    return done.returncode


def main(argv: Sequence[str] | None = None) -> int:
    """Publish what is named, or everything; return 1 when a measurement failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engine.publish", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASUREMENTS)} (default: all)"
    )
    options = parser.parse_args(argv)
    unknown = sorted(set(options.names) - set(MEASUREMENTS))
    if unknown:
        parser.error(f"no such measurement: {', '.join(unknown)}; choose of {', '.join(MEASUREMENTS)}")
    failed = []
    for name in options.names or MEASUREMENTS:
        status = publish(name)
        progress(f"{name}: exit status {status}")
        if status:
            failed.append(name)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
