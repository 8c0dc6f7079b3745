"""The page on error rates from the recorded comparisons. Pure: the same JSON files give the same page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.figure import Table
from benchmarks.harness.intervals import Share, median, share
from benchmarks.harness.neighbour import SITUATIONS
from benchmarks.harness.permuted_page import permuted

Record = dict[str, Any]
THRESHOLD = 0.05
"""The least gain that most rules were asked for: whether a claim at it is true hangs on the last digits."""

_HEAD = """# Calibration: error rates beside other tools

How often does a rule claim a difference that is not there, and how often does it see one that is? This page
was written by a command that asked all tools the same questions, on one machine, on the same workloads, in
the same minutes: no change at all, or a true one of known size; idle, or while another process kept the
other CPU busy, as the columns say. Every share has its 95 % interval (Clopper-Pearson).
"""
_RULES = Table(
    "Who was asked what",
    ("rule", "what it claims, and how it was asked"),
    [
        (
            "`optbench --min-speedup=5%`",
            "`faster`: ACCEPT, at least 5 % faster; `slower`: the interval lies below 1x. `pytest --optbench`",
        ),
        ("`optbench --min-speedup=2%`", "the same with the threshold of somebody who hopes for less"),
        (
            "`pytest-benchmark min:5%`, `mean:5%`, `median:5%`",
            "a run saved, a second one compared by `--benchmark-compare-fail`, defaults; the rule read both ways",
        ),
        (
            "`pyperf compare_to`",
            "what it prints for two files of 20 processes each: Student's t test, without or with a least speed",
        ),
        (
            "`asv`",
            "`asv compare` after two interleaved rounds, by asv's own functions: Mann-Whitney with p < 0.002 "
            "where there are samples enough, and a ratio beyond the factor",
        ),
    ],
    "The second run of pytest-benchmark and of pyperf follows the first at once, which flatters: in use they lie "
    "minutes or days apart. asv installs a revision at each switch; that is left out, which flatters too.",
)


def page(folder: Path) -> str:
    """Return the page of the JSON files in `folder`: comparisons, revisions, relabelled suites, what there is of them.

    Raises:
        FileNotFoundError: there is none.
    """
    parts = [_HEAD]
    sections = {"comparisons.json": comparisons, "revisions.json": revisions, "permuted.json": permuted}
    for name, section in sections.items():
        if (folder / name).exists():
            parts.append(section(json.loads((folder / name).read_text(encoding="utf-8"))))
    if len(parts) == 1:
        raise FileNotFoundError(
            f"{folder} must hold {', '.join(sections)} or some of them, found none; "
            "measure first with python -m benchmarks.harness.calibration"
        )
    return "\n".join(part.strip() + "\n" for part in parts)


def comparisons(record: Record) -> str:
    """Return the sections on single comparisons: the question, three tables, what proves the gains."""
    records = record["records"]
    tables = [
        _summary(records),
        Table(
            "The same code on both sides",
            ("rule", "claims", "idle", "other CPU loaded", "together"),
            _rows(records, 0.0, ("faster", "slower", "either")),
            "Every claim here is false.",
        ),
    ]
    for gain in sorted({entry["gain"] for entry in records} - {0.0}):
        tables.append(
            Table(
                f"A true gain of {100 * gain:g} %",
                ("rule", "claims", "idle", "other CPU loaded", "together"),
                _rows(records, gain, ("faster", "slower")),
                _note(gain),
            )
        )
        if gain == THRESHOLD:
            tables.append(_by_work(records, gain, record["gains"][f"{gain:g}"]))
    costs = Table(
        "Median seconds of one comparison",
        ("tool", "idle", "other CPU loaded", "comparisons"),
        _costs(records),
        "Processes from start to end, start-up included.",
    )
    proof = Table(
        "The gains are what they are said to be",
        ("true ratio", "work", "median ratio of interleaved calls"),
        [
            (f"{1 - float(gain):g}", kind, _ratio(found))
            for gain, kinds in record["gains"].items()
            for kind, found in kinds.items()
        ],
        "After the change exactly this share of the iterations of the same loop is left.",
    )
    return "\n".join(
        [_provenance(record), _RULES.markdown(), *(table.markdown() for table in (*tables, costs, proof))]
    )


def _summary(records: Sequence[Record]) -> Table:
    """Return one row per rule: how often it is wrong without a change, right with one, and what it costs."""
    gains = sorted({entry["gain"] for entry in records} - {0.0})
    rows = []
    for rule in dict.fromkeys(rule for entry in records for rule in entry["said"]):
        own = [entry for entry in records if rule in entry["said"]]
        rates = [share([bool(entry["said"][rule]) for entry in own if entry["gain"] == 0.0])]
        for gain in gains:
            rates.append(share([entry["said"][rule] == "faster" for entry in own if entry["gain"] == gain]))
        rates.append(share([entry["said"][rule] == "slower" for entry in own if entry["gain"] > 0.0]))
        seconds = f"{median([entry['wall_s'] for entry in own]).value:.1f} s"
        rows.append((f"`{rule}`", *map(_show, rates), seconds))
    seen = [f"true gain of {100 * gain:g} %: faster" for gain in gains]
    return Table(
        "In short",
        ("rule", "no change: faster or slower", *seen, "a gain: slower", "seconds"),
        sorted(rows, key=lambda row: _order(row[0])),
        "Idle and loaded together. The first and the last share should be 0, those between 100 %.",
    )


def revisions(record: Record) -> str:
    """Return the section on suites across two commits of a repository made for it."""
    records = record["records"]
    rules = list(dict.fromkeys(rule for entry in records for rule in entry["regressed"]))
    unchanged = [entry for entry in records if entry["changed"] is None]
    changed = [entry for entry in records if entry["changed"] is not None]
    rows = []
    for rule in rules:
        own = [entry for entry in unchanged if rule in entry["regressed"]]
        rows.append((f"`{rule}`", *_split(own, lambda entry, rule=rule: bool(entry["regressed"][rule]))))
    found, elsewhere = [], []
    for rule in rules:
        own = [entry for entry in changed if rule in entry["regressed"]]
        seen = _split(own, lambda entry, rule=rule: entry["changed"] in entry["regressed"][rule])
        wrong = _split(own, lambda entry, rule=rule: bool(set(entry["regressed"][rule]) - {entry["changed"]}))
        found.append((f"`{rule}`", *seen))
        elsewhere.append((f"`{rule}`", *wrong))
    header = ("rule", "idle", "other CPU loaded", "together")
    costs = []
    for tool in dict.fromkeys(entry["tool"] for entry in records):
        seconds = [
            [entry["wall_s"] for entry in records if entry["tool"] == tool and entry["loaded"] == loaded]
            for loaded in SITUATIONS
        ]
        costs.append((tool, *(median(values).show() if values else "none measured" for values in seconds)))
    tables = [
        Table("Suites whose code did not change: any benchmark called regressed", header, rows),
        Table("One benchmark truly 5 % slower: it is called regressed", header, found),
        Table("In the same suites: another benchmark is called regressed", header, elsewhere),
        Table("Median seconds per suite", ("tool", "idle", "other CPU loaded"), costs),
    ]
    return "\n".join(
        [
            "## Across revisions",
            "",
            f"Suites of {record['benchmarks']} benchmarks of about a millisecond, written for pytest-benchmark's "
            "fixture, in a git repository of two commits. The second one changes the source but not what it does, or "
            "makes one benchmark do 5 % more. Margin 3 %: `pytest --optbench --optbench-base=HEAD~1 "
            "--optbench-max-slowdown=3%`, and pytest-benchmark with `--benchmark-compare-fail` on the same commits.",
            "",
            _provenance(record),
            "",
            *(f"#{table.markdown()}" for table in tables),
        ]
    )


def _provenance(record: Record) -> str:
    facts = "\n".join(f"- {name}: {value}" for name, value in record["environment"].items())
    return f"```text\n{record['command']}\n```\n\n{facts}\n- seconds: {record['seconds']:.0f}\n"


def _rows(records: Sequence[Record], gain: float, claims: Iterable[str]) -> list[tuple[str, ...]]:
    chosen = [entry for entry in records if entry["gain"] == gain]
    rows = []
    for rule in dict.fromkeys(rule for entry in records for rule in entry["said"]):
        own = [entry for entry in chosen if rule in entry["said"]]
        for claim in claims:
            said = _split(own, lambda entry, rule=rule, claim=claim: _claims(entry["said"][rule], claim))
            rows.append((f"`{rule}`", claim, *said))
    return sorted(rows, key=lambda row: _order(row[0]))


def _by_work(records: Sequence[Record], gain: float, measured: dict[str, Record]) -> Table:
    """Return how often each kind of work was called faster, beside its own measured ratio."""
    rows = []
    for rule in dict.fromkeys(rule for entry in records for rule in entry["said"]):
        for work, found in measured.items():
            own = [
                entry["said"][rule] == "faster"
                for entry in records
                if entry["gain"] == gain and entry["case"] == work and rule in entry["said"]
            ]
            rows.append((f"`{rule}`", work, _ratio(found), _show(share(own))))
    return Table(
        f"A true gain of {100 * gain:g} %, by work",
        ("rule", "work", "measured ratio", "faster"),
        sorted(rows, key=lambda row: _order(row[0])),
        f"A claim of at least {100 * gain:g} % is true where the ratio lies below {1 - gain:g}, and false where it is "
        "that or above.",
    )


def _claims(said: str, claim: str) -> bool:
    return bool(said) if claim == "either" else said == claim


def _order(rule: str) -> int:
    names = ("optbench", "pytest-benchmark", "pyperf", "asv")
    return next(i for i, name in enumerate(names) if rule.startswith(f"`{name}"))


def _split(records: Sequence[Record], hit: Callable[[Record], bool]) -> tuple[str, str, str]:
    idle, loaded, both = (
        share([hit(entry) for entry in records if wanted in (None, entry["loaded"])])
        for wanted in (False, True, None)
    )
    return _show(idle), _show(loaded), _show(both)


def _show(rate: Share) -> str:
    """Return "20 % [2, 56] of 10": shares of few cases need no decimals, of a thousand they do."""
    if not rate.n:
        return "none measured"
    digits = 1 if rate.n >= 100 else 0
    low, high = (f"{100 * end:.{digits}f}" for end in rate.interval)
    return f"{100 * rate.value:.{digits}f} % [{low}, {high}] of {rate.n}"


def _costs(records: Sequence[Record]) -> list[tuple[str, ...]]:
    rows = []
    for tool in dict.fromkeys(entry["tool"] for entry in records):
        own = [entry for entry in records if entry["tool"] == tool]
        cells = [[entry["wall_s"] for entry in own if entry["loaded"] == loaded] for loaded in SITUATIONS]
        rows.append(
            (tool, *(median(cell).show() if cell else "none measured" for cell in cells), str(len(own)))
        )
    return sorted(rows, key=lambda row: _order(f"`{row[0]}"))


def _note(gain: float) -> str:
    if gain == THRESHOLD:
        return (
            "A rule that asks for at least 5 % and keeps its error rate cannot see a gain of exactly 5 % more often "
            "than that rate allows; `--min-speedup=2%` beside it shows what the same trials say of a lower threshold. "
            "The next table tells these claims apart by what the gain really was."
        )
    return ""


def _ratio(found: Record) -> str:
    low, high = found["interval"]
    ends = f" [{low:.4f}, {high:.4f}]" if low is not None and high is not None else ""
    return f"{found['median']:.4f}{ends}"
