"""False regressions and found ones over recorded suites whose labels are drawn again.

    python -m benchmarks.harness.calibration_permuted --record 25 --pairs 20 --minutes 20
    python -m benchmarks.harness.calibration_permuted [--from FILE] [--relabellings 100]

The first command adds suites to the file until it has as many, and may be stopped at any time. The second decides on
them, which takes minutes where measuring as many suites would take days, and can be repeated by anybody who has
the file. How labels are drawn and what decides is told in `relabelled`, what is recorded in `recorded_suites`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import calibration_page
from benchmarks.harness.calibration import FOLDER, PAGE
from benchmarks.harness.figure import command_line, environment, progress
from benchmarks.harness.permuted_page import permuted
from benchmarks.harness.recorded_suites import RecordedSuite, read, record
from benchmarks.harness.relabelled import Rule, Suite, coins, tally

FILE = FOLDER / "suites.jsonl"
RESULT = FOLDER / "permuted.json"
SLOWER = 1.05
RULES = (Rule(0.03, 10, 40), Rule(0.03, 10, 10), Rule(0.02, 10, 40))
"""The margin of the figure under the default plan and at ten pairs only; a smaller one shows how far off it is."""


def counts(numbered: tuple[int, Suite], relabellings: int, seed: int) -> list[dict[str, Any]]:
    """Return what was counted in one suite, rule by rule: as it was recorded, and with its labels drawn again."""
    number, suite = numbered
    pairs = min(map(len, suite.values()))
    found = []
    for rule in RULES:
        rng = random.Random(f"{seed} {number}")  # the same labels for every rule
        flips = coins(pairs, relabellings, rng)
        found.append(
            {
                "recorded": tally(suite, [(False,) * pairs], rule, SLOWER, rng).record(),
                "relabelled": tally(suite, flips, rule, SLOWER, rng).record(),
            }
        )
    return found


def side_difference(suite: Suite) -> float:
    """Return the mean log ratio of a suite: what its sides differ by although nothing was changed."""
    return statistics.fmean(pair.log_ratio for pairs in suite.values() for pair in pairs)


def study(suites: Sequence[RecordedSuite], relabellings: int, seed: int) -> dict[str, Any]:
    """Return everything the page says of the suites, as plain JSON values."""
    judge = partial(counts, relabellings=relabellings, seed=seed)
    by_suite: list[list[dict[str, Any]]] = []
    with multiprocessing.get_context("spawn").Pool(min(len(suites), multiprocessing.cpu_count())) as pool:
        for each in pool.imap(judge, enumerate(each.suite for each in suites)):
            by_suite.append(each)
            progress(f"{len(by_suite)}/{len(suites)} suites judged")
    return {
        "slower": SLOWER,
        "pairs": suites[0].pairs,
        "benchmarks": len(suites[0].suite),
        "loaded": sum(each.loaded for each in suites),
        "suite_s": [each.seconds for each in suites],
        "recorded on": sorted({f"{each.facts['date']}, {each.facts['packages']}" for each in suites}),
        "sides": [side_difference(each.suite) for each in suites],
        "rules": [{**asdict(rule), "suites": [each[i] for each in by_suite]} for i, rule in enumerate(RULES)],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Record, or decide on what was recorded and write JSON file and page; return 0."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.harness.calibration_permuted",
        description="Count decisions over recorded suites whose labels are drawn again.",
    )
    made.add_argument("--from", dest="file", type=Path, default=FILE, metavar="FILE", help=f"default {FILE}")
    made.add_argument("--record", type=int, default=0, metavar="N", help="record until the file has N suites")
    made.add_argument("--pairs", type=int, default=20, help="pairs of every benchmark (default 20)")
    made.add_argument("--benchmarks", type=int, default=20, help="benchmarks of a suite (default 20)")
    made.add_argument("--idle", action="store_true", help="record without a process on the other CPU")
    made.add_argument("--minutes", type=float, default=60.0, help="end recording after so long (default 60)")
    made.add_argument("--relabellings", type=int, default=100, metavar="R", help="per suite (default 100)")
    made.add_argument("--seed", type=int, default=1, help="seed of the labels (default 1)")
    options = made.parse_args(argv)
    if options.record < 0 or options.pairs < 10 or min(options.benchmarks, options.relabellings) < 1:
        made.error(
            "--pairs must be at least 10, --benchmarks and --relabellings at least 1, --record not below 0"
        )
    if options.record:
        done = record(
            options.file, options.record, options.pairs, options.benchmarks, not options.idle, options.minutes
        )
        progress(f"{options.file.name} has {done} suites; decide on them with {made.prog}")
        return 0
    suites = read(options.file) if options.file.exists() else []
    if not suites:
        made.error(f"{options.file.name} must hold recorded suites, found none; record some with --record N")
    began = time.perf_counter()
    found = study(suites, options.relabellings, options.seed)
    chosen = argparse.Namespace(relabellings=options.relabellings, seed=options.seed)
    result = {
        "command": command_line(made, chosen),
        "environment": environment(),
        "seconds": round(time.perf_counter() - began, 1),
        **found,
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(calibration_page.page(FOLDER), encoding="utf-8")
    print(permuted(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
