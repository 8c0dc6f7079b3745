"""How often a change that changes nothing is accepted: A/A decisions on this machine, idle and loaded.

    python -m benchmarks.harness.false_accepts [--decisions N] [--rival-pairs N] [--out FILE.md]

Claim: at most 1 % of decisions on identical code are ACCEPT, also while another process keeps the other CPU
busy. Beside it, interleaved in time and on the same workloads, pytest-benchmark is run as its users run it:
one run saved, a second one compared with `--benchmark-compare-fail=STAT:5%`. Traps avoided: a quiet machine
chosen for one tool and not the other, a session's own correction for many benchmarks hiding false accepts
(each decision counts as it would alone), retries (every session has an empty report folder).

About ten minutes at the defaults. Exit status 1 when the target is missed.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.figure import Check, Figure, Table, command_line, parser, progress
from benchmarks.harness.intervals import median, share
from benchmarks.harness.neighbour import SITUATIONS, neighbour
from benchmarks.harness.pytest_runs import (
    MARGIN,
    STATISTICS,
    Case,
    compare_with_rival,
    decide,
    faster,
    slower,
    write_project,
)
from benchmarks.harness.workloads import CALL_S, KINDS, iterations_for

MOST_FALSE = 0.01


@dataclass(frozen=True)
class Plan:
    """One block: a session of decisions and a pair of rival runs, with or without a busy neighbour."""

    loaded: bool
    decisions: int
    rival_pairs: int


def plan(decisions: int, per_session: int, rival_pairs: int, rng: random.Random) -> list[Plan]:
    """Return blocks in pairs of one idle and one loaded, in random order; half of everything is loaded."""
    couples = max(1, round(decisions / per_session / 2))
    blocks: list[Plan] = []
    for decided, compared in zip(
        _parts(decisions, 2 * couples), _parts(rival_pairs, 2 * couples), strict=True
    ):
        blocks.append(Plan(len(blocks) % 2 == 1, decided, compared))
    ordered: list[Plan] = []
    for i in range(0, len(blocks), 2):
        ordered += rng.sample(blocks[i : i + 2], 2)
    return ordered


def _parts(total: int, parts: int) -> list[int]:
    return [total * (i + 1) // parts - total * i // parts for i in range(parts)]


def cases(number: int, first: int, iterations: dict[str, int]) -> list[Case]:
    """Return `number` A/A cases, kinds of work in turn, starting with the kind numbered `first`."""
    kinds = list(iterations)
    chosen = [kinds[(first + i) % len(kinds)] for i in range(number)]
    return [Case(f"{kind}-{i}", kind, iterations[kind], iterations[kind]) for i, kind in enumerate(chosen)]


def measure(blocks: Sequence[Plan], rng: random.Random) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return one record per decision and one per benchmark pytest-benchmark compared."""
    iterations = {kind: iterations_for(kind, CALL_S) for kind in KINDS}
    ours: list[dict[str, Any]] = []
    rival: list[dict[str, Any]] = []
    for number, block in enumerate(blocks):
        with tempfile.TemporaryDirectory() as name, neighbour(block.loaded):
            folder = Path(name)
            for tool in rng.sample(("ours", "rival"), 2):
                if tool == "ours":
                    ours += _decisions(folder / tool, block, len(ours), iterations)
                else:
                    rival += _rival(folder / tool, block, len(rival), iterations)
        verdicts = ", ".join(f"{n} {word}" for word, n in Counter(r["verdict"] for r in ours).items())
        progress(
            f"block {number + 1}/{len(blocks)} ({SITUATIONS[block.loaded]}): {verdicts}; {len(rival)} rival"
        )
    return ours, rival


def _decisions(folder: Path, block: Plan, done: int, iterations: dict[str, int]) -> list[dict[str, Any]]:
    if not block.decisions:
        return []
    write_project(folder, cases(block.decisions, done, iterations))
    run, documents = decide(folder)
    return [
        {
            "case": document["case"],
            "loaded": block.loaded,
            # What the decision is alone: the correction over its session can only take ACCEPT away.
            "verdict": "ACCEPT" if document["reasons"] == ["multiplicity"] else document["verdict"],
            "verdict_in_session": document["verdict"],
            "reasons": document["reasons"],
            "pairs": len(document["pairs"]),
            "ratio": document["ratio"]["estimate"],
            "test_s": document["test_s"],
            "wall_s": run.wall_s / block.decisions,
        }
        for document in documents
    ]


def _rival(folder: Path, block: Plan, done: int, iterations: dict[str, int]) -> list[dict[str, Any]]:
    if not block.rival_pairs:
        return []
    write_project(folder, cases(block.rival_pairs, done, iterations))
    session = compare_with_rival(folder)
    return [
        {
            "case": name,
            "loaded": block.loaded,
            "ratios": ratios,
            "session": done,
            "session_failed": session.failed,
            "test_s": session.test_s[name],
            "wall_s": session.wall_s / block.rival_pairs,
        }
        for name, ratios in session.ratios.items()
    ]


def tables(ours: Sequence[dict[str, Any]], rival: Sequence[dict[str, Any]]) -> list[Table]:
    """Return the verdicts, pytest-benchmark's claims and the costs."""
    where = [*SITUATIONS.items(), (None, "together")]
    verdicts = []
    for loaded, name in where:
        chosen = [r for r in ours if loaded in (None, r["loaded"])]
        words = [sum(r["verdict"] == word for r in chosen) for word in ("REJECT", "INCONCLUSIVE")]
        accepted = share([r["verdict"] == "ACCEPT" for r in chosen])
        pairs = sum(r["pairs"] for r in chosen) / max(1, len(chosen))
        verdicts.append((name, str(accepted), *map(str, words), f"{pairs:.1f}"))
    found = [
        Table(
            "Decisions of pytest --optbench",
            ("machine", "ACCEPT", "REJECT", "INCONCLUSIVE", "mean pairs"),
            verdicts,
            "Each verdict as it is alone, before the correction over its session; intervals are "
            "Clopper-Pearson, 95 %.",
        )
    ]
    if not rival:
        return found
    claims = []
    for statistic in STATISTICS:
        for loaded, name in where:
            seen = [r["ratios"][statistic] for r in rival if loaded in (None, r["loaded"])]
            ups, downs = share([faster(r) for r in seen]), share([slower(r) for r in seen])
            either = share([faster(r) or slower(r) for r in seen])
            claims.append((f"{statistic}:{100 * MARGIN:g}%", name, str(ups), str(downs), str(either)))
    failed = share(list({r["session"]: r["session_failed"] for r in rival}.values()))
    found.append(
        Table(
            "pytest-benchmark, two runs of the same code",
            ("rule", "machine", "at least 5 % faster", "more than 5 % slower", "either"),
            claims,
            f"The real `--benchmark-compare-fail`, with all three rules, failed {failed} of the second runs; "
            "every exit status agreed with the rule as read here from the two files. The second run follows "
            "the first at once, which flatters: in use they lie minutes or days apart.",
        )
    )
    costs = [
        (
            name,
            median([r["wall_s"] for r in records]).show(),
            median([r["test_s"] for r in records]).show(),
            str(len(records)),
        )
        for name, records in (("pytest --optbench", ours), ("pytest-benchmark, both runs", rival))
    ]
    found.append(
        Table(
            "Median seconds per decision",
            ("tool", "of the session", "of the test", "n"),
            costs,
            "Of the session: wall time from start to end of the process divided by its decisions, so sessions "
            "of many share pytest's start-up. Of the test: as in pytest's JUnit file.",
        )
    )
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write the figure; return 0 when the target is met."""
    made = parser("false_accepts", "Measure how often identical code is accepted as faster.")
    made.add_argument("--decisions", type=int, default=200, help="A/A decisions (default 200)")
    made.add_argument("--per-session", type=int, default=10, help="decisions per pytest run (default 10)")
    made.add_argument(
        "--rival-pairs",
        type=int,
        default=100,
        help="pairs of pytest-benchmark runs; 0 leaves it out (default 100)",
    )
    options = made.parse_args(argv)
    if options.decisions < 2 or options.per_session < 1 or options.rival_pairs < 0:
        made.error("--decisions must be at least 2, --per-session at least 1, --rival-pairs not negative")
    start = time.perf_counter()
    rng = random.Random(options.seed)
    blocks = plan(options.decisions, options.per_session, options.rival_pairs, rng)
    ours, rival = measure(blocks, rng)
    accepted = share([r["verdict"] == "ACCEPT" for r in ours])
    checks = [
        Check(
            "identical code accepted",
            f"<= {100 * MOST_FALSE:g} %",
            str(accepted),
            accepted.value <= MOST_FALSE,
        )
    ]
    for statistic in STATISTICS if rival else ():
        claimed = share([faster(r["ratios"][statistic]) for r in rival])
        checks.append(Check(f"pytest-benchmark {statistic}: at least 5 % faster", "-", str(claimed), None))
    return Figure(
        title="False accepts: decisions on identical code",
        what=(
            f"{len(ours)} comparisons of a workload with itself ({', '.join(KINDS)}; about "
            f"{1000 * CALL_S:g} ms per call) in {len(blocks)} pytest sessions at default settings, half of them "
            f"while a busy process holds the last CPU; between them {len(rival)} of the same workloads compared by "
            "two runs of pytest-benchmark at its defaults, in the same minutes under the same load."
        ),
        command=command_line(made, options),
        seconds=time.perf_counter() - start,
        checks=checks,
        tables=tables(ours, rival),
        data={"decisions": ours, "rival": rival},
    ).write(options.out)


if __name__ == "__main__":
    sys.exit(main())
