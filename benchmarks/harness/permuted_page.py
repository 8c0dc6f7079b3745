"""The section on recorded suites whose labels are drawn again. Pure: the same JSON file gives the same section."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.harness.figure import Table
from benchmarks.harness.intervals import LEVEL, Share, clustered, median

Record = Mapping[str, Any]

_WHAT = """Every suite below was measured across two commits that do the same, with all its pairs, and kept in
`reports/figures/calibration/suites.jsonl`. Which process of a pair is called the base is then drawn again by a
coin, one per pair for all its benchmarks, and the code that ships decides anew, look by look. Nothing was changed,
so every regression it calls is false. In each of these suites it also judges one drawn benchmark whose new side is
multiplied by {slower:g}, a true slowdown."""
_LIMITS = """What this does not show. The {suites} recorded suites are the independent cases: all labellings of a suite
share the state of the machine in its minute. The interval of a share is a bootstrap over suites; where no suite had
a false regression it has no width and proves no more than the exact interval of "suites with any" beside it.
Swapping labels hides what truly differs between the sides (the base lies in a worktree, and its process starts
first); the last table shows how much that is as recorded, and the suites of the section above keep their labels.
The slowdown is the same factor in every run; a real one varies. The product would go on measuring benchmarks that
are still open after the recorded pairs; here they count as not found."""


def permuted(record: Record) -> str:
    """Return the section."""
    suites = len(record["suite_s"])
    loaded = {0: "idle", suites: "the other CPU loaded"}.get(
        record["loaded"], f"the other CPU loaded in {record['loaded']}"
    )
    rules = record["rules"]
    tables = [
        Table(
            "Nothing changed: a suite calls a regression",
            ("margin, pairs", "as recorded", "labels drawn again", "suites with any", "after pairs"),
            [_false(rule) for rule in rules],
        ),
        Table(
            f"One benchmark truly {100 * (record['slower'] - 1):g} % slower: it is called regressed",
            ("margin, pairs", "labels drawn again", f"still open after {record['pairs']} pairs"),
            [_found(rule) for rule in rules],
        ),
        Table(
            "How unchanged benchmarks end, labels drawn again",
            ("margin, pairs", "ACCEPT", "REJECT", "INCONCLUSIVE", f"open after {record['pairs']} pairs"),
            [_endings(rule) for rule in rules],
        ),
        Table(
            "What the two sides differ by, as recorded",
            ("suites", "new side slower by"),
            [(str(suites), _difference(record["sides"]))],
        ),
    ]
    facts = "\n".join(f"- {name}: {value}" for name, value in record["environment"].items())
    return "\n".join(
        [
            "## Across revisions, labels drawn again",
            "",
            _WHAT.format(slower=record["slower"]),
            "",
            f"{suites} suite{'' if suites == 1 else 's'} of {record['benchmarks']} benchmarks and "
            f"{record['pairs']} pairs, {loaded}, "
            f"{median(record['suite_s']).show(digits=0)} each; recorded {'; '.join(record['recorded on'])}.",
            "",
            f"```text\n{record['command']}\n```\n\n{facts}\n- seconds: {record['seconds']:.0f}\n",
            *(f"#{table.markdown()}" for table in tables),
            _LIMITS.format(suites=suites),
        ]
    )


def _name(rule: Record) -> str:
    pairs = f"{rule['first']}" + (f" to {rule['last']}" if rule["last"] != rule["first"] else "")
    return f"{100 * rule['margin']:g} %, {pairs}"


def _false(rule: Record) -> tuple[str, ...]:
    recorded = [each["recorded"] for each in rule["suites"]]
    drawn = [each["relabelled"] for each in rule["suites"]]
    looks = sum((Counter(each["looks"]) for each in drawn), Counter())
    after = ", ".join(f"{pairs}: {looks[pairs]}" for pairs in sorted(looks, key=int))
    return (
        _name(rule),
        _exact(sum(each["regressed"] for each in recorded), len(recorded)),
        _share(drawn, "regressed", "suites"),
        _exact(sum(bool(each["regressed"]) for each in drawn), len(drawn)),
        after or "never",
    )


def _found(rule: Record) -> tuple[str, ...]:
    drawn = [each["relabelled"] for each in rule["suites"]]
    return _name(rule), _share(drawn, "found", "planted"), _share(drawn, "undecided", "planted")


def _endings(rule: Record) -> tuple[str, ...]:
    drawn = sum((Counter(each["relabelled"]["endings"]) for each in rule["suites"]), Counter())
    total = sum(drawn.values())
    verdicts = ("ACCEPT", "REJECT", "INCONCLUSIVE", "OPEN")
    return _name(rule), *(f"{100 * drawn[verdict] / total:.2f} %" for verdict in verdicts)


def _exact(hits: int, of: int) -> str:
    low, high = Share(hits, of).interval
    return f"{hits} of {of} [{100 * low:.0f}, {100 * high:.0f}] %"


def _share(tallies: Sequence[Record], hits: str, cases: str) -> str:
    found = clustered([each[hits] for each in tallies], [each[cases] for each in tallies])
    total = sum(each[cases] for each in tallies)
    return f"{100 * found.value:.2f} % [{100 * found.low:.2f}, {100 * found.high:.2f}] of {total}"


def _difference(sides: Sequence[float]) -> str:
    mean = float(np.mean(sides))
    if len(sides) < 2:
        return f"{100 * math.expm1(mean):+.2f} %"
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(sides) - 1) * np.std(sides, ddof=1) / math.sqrt(len(sides)))
    low, high = (100 * math.expm1(end) for end in (mean - half, mean + half))
    return f"{100 * math.expm1(mean):+.2f} % [{low:+.2f}, {high:+.2f}]"
