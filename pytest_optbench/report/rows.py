"""What was found, as rows of display strings: the tables of a decision, see `figures` for single figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from .figures import (
    Doc,
    confidence,
    gain,
    gain_interval,
    is_outlier,
    is_unpaired,
    measured,
    noise_floor,
    pair_ratio,
    part,
    stopped_at,
    target,
)
from .units import (
    UNKNOWN,
    both,
    both_interval,
    number,
    p_value,
    percent,
    ratio,
    seconds,
    seconds_and_spread,
    time_saved,
)

Row = tuple[str, ...]


def facts(doc: Doc) -> list[Row]:
    """Return the decision in short: (what, value)."""
    return [
        ("Verdict", doc["verdict"]),
        ("Question", target(doc)),
        ("Time saved", gain(doc)),
        (f"{confidence(doc)} confidence interval", gain_interval(doc)),
        ("Pairs of trials", stopped_at(doc)),
        ("Noise floor of the machine", noise_floor(doc)),
        ("Attempt", number(doc["attempt"])),
    ]


def sentences(doc: Doc) -> list[str]:
    """Return the decision in plain sentences."""
    if not measured(doc):
        return [f"Nothing was measured. Needed: {target(doc)}."]
    old, new = doc["baseline"], doc["optimized"]
    margin = part(doc, "tests", "margin") or {}
    times = [seconds_and_spread(arm.get("mean_s"), arm.get("sd_s")) for arm in (old, new)]
    return [
        f"The baseline took {times[0]} per call, the optimized arm {times[1]}.",
        f"Time saved: {gain(doc)}, {confidence(doc)} confidence interval {gain_interval(doc)}.",
        f"Needed: {target(doc)}; {_statistic(margin)}, p {p_value(margin.get('p'))}.",
        f"In total over all trials: {both(part(doc, 'total_time', 'ratio'))}.",
    ]


def arms(doc: Doc) -> list[Row]:
    """Return one row per statistic: (statistic, baseline, optimized); seconds per call over the trials."""
    cpu = [_mean(pair.get(f"{arm}_cpu_s") for pair in doc["pairs"]) for arm in ("baseline", "optimized")]
    rows: list[Row] = [
        (label, seconds(doc["baseline"].get(key)), seconds(doc["optimized"].get(key)))
        for label, key in (
            ("Mean", "mean_s"),
            ("Standard deviation", "sd_s"),
            ("Median", "median_s"),
            ("Minimum", "min_s"),
        )
    ]
    rows.append(("CPU time, mean", seconds(cpu[0]), seconds(cpu[1])))
    rows.append(("Trials", number(doc["baseline"].get("n")), number(doc["optimized"].get("n"))))
    return rows


def validation(doc: Doc) -> list[Row]:
    """Return every test on the figures: (name, time saved = ratio, interval, statistic, p)."""
    kind = "confidence interval, unpaired" if is_unpaired(doc) else "repeated confidence interval"
    tests = doc["tests"] or {}
    margin, zero = tests.get("margin") or {}, tests.get("zero") or {}
    paired, welch = tests.get("paired_t") or {}, tests.get("welch_t") or {}
    free, total = tests.get("distribution_free") or {}, doc["total_time"] or {}
    limit = "" if margin.get("limit") is None else f" (limit {number(margin['limit'], 5)})"
    return [
        (f"Estimate, {kind}", gain(doc), gain_interval(doc), "", ""),
        (f"Margin: {target(doc)}", "", "", _statistic(margin), p_value(margin.get("p")) + limit),
        ("Any difference (against 0 %)", "", "", _statistic(zero), p_value(zero.get("p"))),
        ("Classic paired t test", *_effect(paired), _statistic(paired), p_value(paired.get("p"))),
        ("Welch t test (unpaired)", "", "", _statistic(welch), p_value(welch.get("p"))),
        (
            f"Distribution-free: {free.get('name') or UNKNOWN}",
            *_effect(free),
            "",
            p_value(free.get("p")),
        ),
        ("Total time of all trials", *_effect(total), "", ""),
    ]


def looks(doc: Doc) -> list[Row]:
    """Return the looks taken: (pairs, level, time saved = ratio, interval, p, limit, power, outcome)."""
    return [
        (
            number(look["n"]),
            UNKNOWN if look.get("level") is None else percent(look["level"]),
            both(look.get("ratio")),
            both_interval(look.get("ci_low"), look.get("ci_high")),
            p_value(look.get("p")),
            number(look.get("limit"), 5),
            UNKNOWN if look.get("conditional_power") is None else percent(look["conditional_power"], 1),
            "stopped" if look["stopped"] else "continued",
        )
        for look in doc["looks"]
    ]


def context(doc: Doc) -> list[Row]:
    """Return what the verdict has to be read against: (what, value)."""
    control, order = doc["control"] or {}, doc["order_effect"] or {}
    count = "" if control.get("n") is None else f" (n = {number(control['n'])})"
    rows: list[Row] = [
        ("Noise floor: 95 % of baseline against itself", noise_floor(doc) + count),
        (
            "Control: baseline against itself, 99 % interval",
            f"{both(control.get('ratio'))}, {both_interval(control.get('ci_low'), control.get('ci_high'))}",
        ),
        ("Smallest gain shown with 80 % power", percent(doc["smallest_detectable"])),
        (
            "Order effect (second run against first), removed",
            f"{ratio(order.get('ratio'))}, p {p_value(order.get('p'))}",
        ),
        ("p over the looks", p_value(doc["p_sequential"])),
        ("p over the looks and all decisions of the run (Holm)", p_value(doc["p_adjusted"])),
    ]
    if doc["pairs_needed"] is not None:
        rows.append(("Pairs still worth planning (80 % power)", number(doc["pairs_needed"])))
    return rows


def criteria(doc: Doc) -> list[Row]:
    """Return the criteria: (name, required, actual, pass)."""
    words = {True: "pass", False: "fail", None: "not judged"}
    return [(c["name"], c["required"], c["actual"], words[c["passed"]]) for c in doc["criteria"]]


def pairs(doc: Doc) -> list[Row]:
    """Return one row per trial: (number, first, baseline, optimized, gain, weight, CPU, CPU, at)."""
    return [
        (
            str(pair["index"] + _first_index(doc)),
            "baseline" if pair["order"] == 1 else "optimized",
            seconds(pair["baseline_s"]),
            seconds(pair["optimized_s"]),
            both(pair_ratio(pair)),
            number(pair.get("weight"), 2) + (" (outlier)" if is_outlier(pair) else ""),
            seconds(pair.get("baseline_cpu_s")),
            seconds(pair.get("optimized_cpu_s")),
            seconds(pair.get("started_s")),
        )
        for pair in doc["pairs"]
    ]


def equivalence(doc: Doc) -> list[Row]:
    """Return how equality of the results was established: (what, value)."""
    how = doc["equivalence"]
    words = {True: "equal", False: "different", None: "not compared"}
    rows: list[Row] = [
        ("Checked", "yes" if how["checked"] else "no"),
        ("Results", words[how["passed"]]),
        ("How", how.get("how") or UNKNOWN),
    ]
    return [*rows, ("Message", how["message"])] if how.get("message") else rows


def expectation(doc: Doc) -> tuple[list[Row], str]:
    """Return expected against actual time saved, (what, value), and one sentence on it."""
    expected, actual = doc["expected"], part(doc, "ratio", "estimate")
    if expected is None:
        return [], "No expectation was stated."
    old = both(1.0 / (1.0 - expected)) if expected < 1.0 else percent(expected)
    rows: list[Row] = [("Expected", old), ("Actual", gain(doc))]
    low, high = part(doc, "ratio", "ci_low"), part(doc, "ratio", "ci_high")
    if actual is None or low is None or high is None:
        return rows, "Nothing was measured to hold against it."
    saved = [time_saved(value) or 0.0 for value in (actual, low, high)]
    rows.append(("Difference", f"{100 * (saved[0] - expected):+.2f} percentage points"))
    if saved[1] <= expected <= saved[2]:
        return rows, "The interval contains the expectation."
    word = "more" if saved[1] > expected else "less"
    return rows, f"The whole interval lies outside the expectation: it saves {word} than expected."


def _effect(test: Mapping[str, Any]) -> tuple[str, str]:
    return both(test.get("ratio")), both_interval(test.get("ci_low"), test.get("ci_high"))


def _statistic(test: Mapping[str, Any]) -> str:
    if test.get("t") is None:
        return UNKNOWN
    freedom = "" if test.get("df") is None else f", df = {number(test['df'], 1)}"
    return f"t = {number(test['t'], 2)}{freedom}"


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _first_index(doc: Doc) -> int:
    """Trials are numbered from 1 whether the document counts from 0 or from 1."""
    return 0 if min((pair["index"] for pair in doc["pairs"]), default=0) else 1
