"""Prove the decision rule: every acceptance bar, measured on the shipped code, as a markdown table.

    python -m benchmarks.statistics.simulate [--replications N] [--trace-seconds S] [--out FILE.md]

Claim: the rule accepts nothing that is not at least 5 % faster more often than its error rate says, under
every kind of noise it is meant for, and still needs few pairs. The trap it avoids: judging the statistics by
a second implementation made for the simulation. Exit status 1 if a bar fails. Runs on one core for about two
minutes plus the trace.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy

from benchmarks.statistics import bars, trace, trace_bars
from benchmarks.statistics.bar import Bar
from benchmarks.statistics.noise_models import BY_NAME, MODELS

SHOWN = (-0.05, 0.0, 0.03, 0.049, 0.06, 0.08, 0.10, 0.20)


def measured_bars(replications: int, seed: int, slots: np.ndarray | None) -> tuple[bars.Study, list[Bar]]:
    """Return the study of the sequential rule and every bar; without a trace its bars are left out."""
    result = bars.study(replications, seed)
    rows = [
        *bars.false_accept(result),
        *bars.coverage(result, replications, seed),
        *bars.power(result, replications, seed),
        *bars.pairs_used(result),
        *bars.refusals(seed),
        *bars.no_regression(replications, seed),
        *bars.attempts(result),
        *bars.speed(seed),
        *bars.agreement(seed),
        *bars.control_alarms(min(replications, 1000), seed),
    ]
    if slots is not None:
        rows += trace_bars.on_trace(slots, min(replications, 4000), seed)
    return result, sorted(rows, key=lambda row: (row.number == "-", row.number.zfill(2)))


def limits(result: bars.Study) -> list[str]:
    """Return one line per kind of noise the rule cannot handle."""
    lines = []
    for name in (name for name in result.outcomes if BY_NAME[name].is_limit):
        outcome = result.outcomes[name]
        none, three, close = (100 * outcome[s].accept_rate for s in (0.0, 0.03, 0.049))
        lines.append(
            f"- **{name}** ({BY_NAME[name].description}): accepts {none:.1f}% at no effect, {three:.1f}% at "
            f"3%, {close:.1f}% at 4.9%; the interval covers the truth in "
            f"{100 * outcome[0.049].coverage:.0f}% to {100 * outcome[0.0].coverage:.0f}% of sessions "
            "instead of 95%."
        )
    return lines


def markdown(result: bars.Study, rows: Sequence[Bar], facts: dict[str, str], slots: np.ndarray | None) -> str:
    """Return the report."""
    mark = {True: "pass", False: "**FAIL**", None: "n/a"}
    lines = ["# Error rates of the decision rule, simulated", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    lines += ["", "## Bars", "", "| bar | what | required | achieved | |", "|---|---|---|---|---|"]
    lines += [f"| {r.number} | {r.name} | {r.required} | {r.achieved} | {mark[r.passed]} |" for r in rows]
    lines += [
        "",
        "## ACCEPT rate @ mean pairs, by true time saved",
        "",
        "The last column is the coverage of the interval at the stop for true 0, 4.9, 8 and 20 %.",
        "",
        "| model | " + " | ".join(f"{100 * s:g}%" for s in SHOWN) + " | coverage |",
        "|---" * (len(SHOWN) + 2) + "|",
    ]
    for model in MODELS:
        outcome = result.outcomes[model.name]
        cells = [f"{100 * outcome[s].accept_rate:.1f}@{outcome[s].mean_pairs:.1f}" for s in SHOWN]
        covered = "/".join(f"{100 * outcome[s].coverage:.1f}" for s in (0.0, 0.049, 0.08, 0.20))
        name = f"*{model.name}* (limit)" if model.is_limit else model.name
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {covered} |")
    lines += ["", "## What no statistics of pairs can repair", "", *limits(result), ""]
    lines += [
        "Such a bias is the same in every pair of a session, so more pairs only make the interval narrower "
        "around the wrong value. Fresh processes per pair, a varied environment and a second session help.",
        "",
        "## Noise models",
        "",
        *[f"- {model.name}: {model.description}" for model in MODELS],
        "",
    ]
    if slots is not None:
        lines += [
            f"Sessions on the trace overlap; it holds about {len(slots) // 400} separate ones of 10 trials "
            "with 20 micro-pairs, so read its rates as indicative.",
            "",
        ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the simulation; return 0 when every bar holds."""
    parser = argparse.ArgumentParser(description="Measure the acceptance bars of the decision rule.")
    parser.add_argument("--replications", type=int, default=8000, help="sessions per model (default 8000)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the simulation (default 1)")
    parser.add_argument(
        "--trace-seconds", type=float, default=60.0, help="length of the real trace; 0 leaves it out"
    )
    parser.add_argument("--out", type=Path, help="also write the report to this file")
    options = parser.parse_args(argv)
    if options.replications < 100:
        parser.error(f"--replications must be at least 100, got {options.replications}")
    start = time.perf_counter()
    slots = trace.record(options.trace_seconds) if options.trace_seconds > 0 else None
    result, rows = measured_bars(options.replications, options.seed, slots)
    facts = {
        "ran on": f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, "
        f"{os.cpu_count()} CPUs, {platform.system()}",
        "sessions per model": f"{options.replications}, seed {options.seed}",
        "plan": "looks at 10, 15, 20, 30, 40 pairs, threshold 5% time saved, error 0.05 two-sided",
    }
    if slots is not None:
        spread = float(np.std(slots))
        facts["trace"] = (
            f"{len(slots)} slots of {1e3 * float(np.exp(np.median(slots))):.2f} ms of identical work, "
            f"sd of log time {100 * spread:.1f}%"
        )
    facts["seconds"] = f"{time.perf_counter() - start:.0f}"
    report = markdown(result, rows, facts, slots)
    print(report)
    if options.out is not None:
        options.out.write_text(report, encoding="utf-8")
    return 1 if any(row.passed is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
