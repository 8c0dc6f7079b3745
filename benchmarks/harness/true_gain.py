"""How often a true gain of 8 % is accepted and what that costs: one question per pytest session.

    python -m benchmarks.harness.true_gain [--decisions N] [--rival-pairs N] [--suites N] [--out FILE.md]

Claim: at least 97 % of decisions on a true gain of 8 % are ACCEPT, in a third of the time pytest-benchmark
needs for its two runs, or less. The gain is true by construction: the optimized arm does 0.92 of the
iterations of the same loop; a long interleaved calibration confirms it. Traps avoided: sharing pytest's
start-up among many benchmarks (here each decision pays for its own session, as when a developer asks about
one change; what it costs in a session of several questions is measured beside it), comparing with another tool
on another day.

About ten minutes at the defaults. Exit status 1 when a target is missed.
"""

from __future__ import annotations

import math
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.figure import Check, Figure, Table, command_line, parser, progress
from benchmarks.harness.intervals import Median, median, share
from benchmarks.harness.neighbour import SITUATIONS, neighbour
from benchmarks.harness.pytest_runs import (
    STATISTICS,
    Case,
    Run,
    compare_with_rival,
    decide,
    faster,
    write_project,
)
from benchmarks.harness.workloads import CALL_S, KINDS, arm, iterations_for

KEPT = 0.92
LEAST_ACCEPTED = 0.97
MOST_TIME = 1 / 3
MOST_DOUBT = 0.005
SUITE = 10


def cases(call_s: float = CALL_S) -> list[Case]:
    """Return one case per kind of work; after the change exactly `KEPT` of the iterations are left."""
    found = []
    for kind in KINDS:
        before = iterations_for(kind, call_s)
        after = round(KEPT * before)
        assert abs(after - KEPT * before) < 1e-6, (kind, before)
        found.append(Case(kind, kind, before, after))
    return found


def true_ratio(case: Case, pairs: int, rng: random.Random) -> Median:
    """Return the median ratio after / before of `pairs` neighbouring calls in random order."""
    arms = {"before": arm(case.kind, case.before), "after": arm(case.kind, case.after)}
    ratios = []
    for number in range(pairs + 5):
        took = {}
        for name in rng.sample(sorted(arms), 2):
            start = time.perf_counter()
            arms[name]()
            took[name] = time.perf_counter() - start
        if number >= 5:  # the first calls warm up
            ratios.append(took["after"] / took["before"])
    return median(ratios)


def measure(
    questions: Sequence[Case], decisions: int, rival_pairs: int, rng: random.Random
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return one record per decision and one per pair of rival runs, idle and loaded by turns."""
    tasks = [("ours", i) for i in range(decisions)]
    tasks += [("rival", i) for i in range(rival_pairs)]
    # Both tools spread evenly over the whole time, idle and loaded alternating within each.
    tasks.sort(key=lambda task: (task[1] + rng.random()) / (decisions if task[0] == "ours" else rival_pairs))
    ours: list[dict[str, Any]] = []
    rival: list[dict[str, Any]] = []
    for done, (tool, number) in enumerate(tasks):
        case = questions[number // 2 % len(questions)]
        loaded = number % 2 == 1
        with tempfile.TemporaryDirectory() as name, neighbour(loaded):
            folder = Path(name)
            write_project(folder, [case])
            if tool == "ours":
                run, (document,) = decide(folder)
                ours.append(_decision(document, run, case, loaded))
            else:
                session = compare_with_rival(folder)
                rival.append(
                    {
                        "case": case.name,
                        "loaded": loaded,
                        "ratios": session.ratios[case.name],
                        "wall_s": session.wall_s,
                        "test_s": session.test_s[case.name],
                    }
                )
        if done % 10 == 9:
            accepted = sum(r["verdict"] == "ACCEPT" for r in ours)
            progress(f"{done + 1}/{len(tasks)}: {accepted} of {len(ours)} accepted, {len(rival)} rival")
    return ours, rival


def measure_suites(
    questions: Sequence[Case], suites: int, rng: random.Random, size: int = SUITE
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return, tool by tool, the seconds per question of `suites` sessions of `size` questions each, idle."""
    asked = [questions[number % len(questions)] for number in range(size)]
    asked = [
        Case(f"{case.name}-{number}", case.kind, case.before, case.after) for number, case in enumerate(asked)
    ]
    ours: list[dict[str, Any]] = []
    rival: list[dict[str, Any]] = []
    for number in range(suites):
        for tool in rng.sample(("ours", "rival"), 2):
            with tempfile.TemporaryDirectory() as name:
                write_project(Path(name), asked)
                if tool == "ours":
                    run, documents = decide(Path(name))
                    verdicts = [document["verdict"] for document in documents]
                    ours.append({"wall_s": run.wall_s / size, "verdicts": verdicts})
                else:
                    rival.append({"wall_s": compare_with_rival(Path(name)).wall_s / size})
        progress(f"session of {size} questions {number + 1}/{suites}")
    return ours, rival


def _decision(document: dict[str, Any], run: Run, case: Case, loaded: bool) -> dict[str, Any]:
    return {
        "case": case.name,
        "loaded": loaded,
        "verdict": document["verdict"],
        "reasons": document["reasons"],
        "pairs": len(document["pairs"]),
        "micro_pairs": document["protocol"]["micro_pairs"],
        "loops": document["protocol"]["loops"],
        "ratio": document["ratio"]["estimate"],
        "wall_s": run.wall_s,
        "test_s": document["test_s"],
        "seconds": document["seconds"],
        "overhead": document["overhead"],
    }


def tables(
    ours: Sequence[dict[str, Any]],
    rival: Sequence[dict[str, Any]],
    questions: Sequence[Case],
    ratios: dict[str, Median],
) -> list[Table]:
    """Return shares, costs, where our time goes, and the proof that the gain is true."""
    where = [*SITUATIONS.items(), (None, "together")]
    seen = []
    for loaded, name in where:
        chosen = [r for r in ours if loaded in (None, r["loaded"])]
        pairs = [r["pairs"] for r in chosen] or [math.nan]
        accepted = share([r["verdict"] == "ACCEPT" for r in chosen])
        seen.append(("pytest --optbench", name, str(accepted), f"{sum(pairs) / len(pairs):.1f} pairs"))
    for statistic in STATISTICS if rival else ():
        for loaded, name in where:
            hits = [faster(r["ratios"][statistic]) for r in rival if loaded in (None, r["loaded"])]
            seen.append((f"pytest-benchmark {statistic}", name, str(share(hits)), "two runs"))
    costs = []
    for name, records in (("pytest --optbench", ours), ("pytest-benchmark, both runs", rival)):
        for loaded, situation in where:
            chosen = [r for r in records if loaded in (None, r["loaded"])]
            if chosen:
                session, test = (median([r[key] for r in chosen]).show() for key in ("wall_s", "test_s"))
                mean = sum(r["wall_s"] for r in chosen) / len(chosen)
                costs.append((name, situation, session, f"{mean:.2f} s", test, str(len(chosen))))
    missed = Counter(
        (*r["reasons"], SITUATIONS[r["loaded"]], r["case"]) for r in ours if r["verdict"] != "ACCEPT"
    )
    phases = {
        phase: median([r["overhead"][phase] for r in ours if not r["loaded"]]).show("s", 1, 3)
        for phase in ours[0]["overhead"]
    }
    phases["pytest and imports"] = median([r["wall_s"] - r["seconds"] for r in ours if not r["loaded"]]).show(
        "s", 1, 3
    )
    proof = [
        (
            case.kind,
            f"{case.after} of {case.before}",
            f"{case.after / case.before:g}",
            ratios[case.name].show("", 1, 4),
        )
        for case in questions
    ]
    return [
        Table(
            "Who sees the gain",
            ("tool", "machine", "accepted, or at least 5 % by that statistic", "cost"),
            seen,
            "Intervals are Clopper-Pearson, 95 %.",
        ),
        Table(
            "Median seconds per decision",
            ("tool", "machine", "session", "mean", "test", "n"),
            costs,
            "Session: wall time of the pytest process or processes, start-up included, and its mean. Test: as in "
            "pytest's JUnit file. Intervals between order statistics, 95 %.",
        ),
        Table(
            "Decisions that did not accept",
            ("reason, machine, work", "how many"),
            [(", ".join(what), str(count)) for what, count in missed.most_common()] or [("none", "0")],
        ),
        Table("Where a decision spends its time (idle, medians)", ("phase", "seconds"), list(phases.items())),
        Table(
            "The gain is what it is said to be",
            ("work", "iterations after the change", "true ratio", "median of interleaved calls"),
            proof,
        ),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write the figure; return 0 when the targets are met."""
    made = parser("true_gain", "Measure how often and how fast a true gain of 8 % is accepted.")
    made.add_argument("--decisions", type=int, default=150, help="decisions (default 150)")
    made.add_argument(
        "--rival-pairs",
        type=int,
        default=60,
        help="pairs of pytest-benchmark runs; 0 leaves it out (default 60)",
    )
    made.add_argument(
        "--calibration-pairs",
        type=int,
        default=1000,
        help="pairs of calls that confirm the gain (default 1000)",
    )
    made.add_argument(
        "--suites",
        type=int,
        default=5,
        help=f"sessions of {SUITE} questions per tool; 0 leaves them out (default 5)",
    )
    options = made.parse_args(argv)
    if (
        options.decisions < 2
        or options.rival_pairs < 0
        or options.calibration_pairs < 10
        or options.suites < 0
    ):
        made.error(
            "--decisions must be at least 2, --rival-pairs and --suites not negative, --calibration-pairs at "
            "least 10"
        )
    start = time.perf_counter()
    rng = random.Random(options.seed)
    questions = cases()
    ratios = {case.name: true_ratio(case, options.calibration_pairs, rng) for case in questions}
    ours, rival = measure(questions, options.decisions, options.rival_pairs, rng)
    several = measure_suites(questions, options.suites, rng)
    accepted = share([r["verdict"] == "ACCEPT" for r in ours])
    worst = max(ratios.values(), key=lambda ratio: abs(ratio.value - KEPT))
    checks = [
        Check(
            "true gain of 8 % accepted",
            f">= {100 * LEAST_ACCEPTED:g} %",
            str(accepted),
            accepted.value >= LEAST_ACCEPTED,
        ),
        Check(
            "the gain as calibrated, farthest kind of work",
            f"{KEPT} within {MOST_DOUBT}",
            worst.show("", 1, 4),
            abs(worst.value - KEPT) <= MOST_DOUBT,
        ),
    ]
    if rival:
        for key, what, bar in (("wall_s", "session", MOST_TIME), ("test_s", "test alone", None)):
            mine, theirs = (median([r[key] for r in records]).value for records in (ours, rival))
            checks.append(
                Check(
                    f"median seconds of the {what} against pytest-benchmark's two",
                    "<= 1/3" if bar else "-",
                    f"{mine:.2f} s against {theirs:.2f} s: {mine / theirs:.2f}",
                    mine / theirs <= bar if bar else None,
                )
            )
    if options.suites:
        mine, theirs = (median([r["wall_s"] for r in records]).value for records in several)
        held = share([verdict == "ACCEPT" for r in several[0] for verdict in r["verdicts"]])
        checks += [
            Check(
                f"median seconds per question of a session of {SUITE} against pytest-benchmark's two sessions",
                "<= 1/3",
                f"{mine:.2f} s against {theirs:.2f} s: {mine / theirs:.2f}",
                mine / theirs <= MOST_TIME,
            ),
            Check(
                f"accepted in sessions of {SUITE}, where all decisions share one error rate",
                "-",
                str(held),
                None,
            ),
        ]
    return Figure(
        title="A true gain of 8 %: seen how often, at what cost",
        what=(
            f"{len(ours)} decisions on a workload whose optimized arm does exactly {KEPT} of the iterations "
            f"({', '.join(KINDS)}; about {1000 * CALL_S:g} ms per call), each in a pytest session of its own at "
            f"default settings, every second one while a busy process holds the last CPU; spread between them "
            f"{len(rival)} pairs of pytest-benchmark runs at its defaults on the same workloads."
        ),
        command=command_line(made, options),
        seconds=time.perf_counter() - start,
        checks=checks,
        tables=tables(ours, rival, questions, ratios),
        data={
            "decisions": ours,
            "rival": rival,
            "suites": {"ours": several[0], "rival": several[1]},
            "calibration": {name: ratio.record() for name, ratio in ratios.items()},
        },
    ).write(options.out)


if __name__ == "__main__":
    sys.exit(main())
