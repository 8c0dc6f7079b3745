"""What a decision document says, as rows of display strings: no layout, no markup, no escaping.

Every reporter starts here, so a figure reads the same in markdown, on the terminal and on GitHub. A ``doc``
is a validated decision document (`pytest_optbench.store.schema`); parts of it may be null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ..core.wording import change, quantity, short_percent
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
    size,
    time_saved,
)

Doc = Mapping[str, Any]
Row = tuple[str, ...]

LONGEST_VALUE: Final = 200
"""Characters shown of one configuration or environment value; the JSON twin holds all of it."""

OUTLIER_WEIGHT: Final = 1.5 / 3.5
"""Below this weight a trial lies more than 3.5 robust standard deviations away (Huber constant 1.5)."""


def part(doc: Doc, *path: str) -> Any:
    """Return the value at ``path`` inside ``doc``, None where any step is missing or null."""
    value: Any = doc
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def confidence(doc: Doc) -> str:
    """Return the confidence level: ``95 %``."""
    return f"{number(100 * doc['confidence'], 1)} %"


def target(doc: Doc) -> str:
    """Return what had to be shown: ``at least 5.00 % time saved = 1.053x``."""
    saved = time_saved(doc["margin"]) or 0.0
    if doc["goal"] == "no-regression":
        return f"at most {percent(-saved)} more time = {ratio(doc['margin'])}"
    return f"at least {percent(saved)} time saved = {ratio(doc['margin'])}"


def gain(doc: Doc) -> str:
    """Return the estimate both ways: ``74.97 % = 3.995x``."""
    return both(part(doc, "ratio", "estimate"))


def gain_interval(doc: Doc) -> str:
    """Return the interval both ways: ``74.32 % to 75.63 % = 3.894x to 4.103x``."""
    return both_interval(part(doc, "ratio", "ci_low"), part(doc, "ratio", "ci_high"))


def saved_interval(doc: Doc) -> str:
    """Return the interval of the time saved: ``74.32 % to 75.63 %``."""
    low, high = part(doc, "ratio", "ci_low"), part(doc, "ratio", "ci_high")
    if low is None or high is None:
        return UNKNOWN
    return f"{percent(time_saved(low))} to {percent(time_saved(high))}"


def noise_floor(doc: Doc) -> str:
    """Return the noise floor: half the 95 % interval of baseline against baseline, ``±0.52 %``."""
    floor = part(doc, "control", "noise_floor")
    return UNKNOWN if floor is None else f"±{percent(floor)}"


def is_unpaired(doc: Doc) -> bool:
    """Return whether the two sides come from files, so that there are no pairs."""
    return doc.get("unpaired") is not None


def measured(doc: Doc) -> bool:
    """Return whether anything was measured."""
    return bool(doc["pairs"]) or is_unpaired(doc)


def pair_count(doc: Doc) -> str:
    """Return how many pairs of trials there are; the word ``unpaired`` where there are none by design."""
    return "unpaired" if is_unpaired(doc) else str(len(doc["pairs"]))


def stopped_at(doc: Doc) -> str:
    """Return how many pairs were measured and at which planned look it stopped."""
    if is_unpaired(doc):
        return f"none, unpaired: {number(doc['baseline'].get('n'))} and {number(doc['optimized'].get('n'))} values"
    pairs = len(doc["pairs"])
    for position, look in enumerate(doc["looks"], start=1):
        if look["stopped"]:
            planned = part(doc, "protocol", "looks")
            of = f" of {len(planned)}" if isinstance(planned, list) and planned else ""
            return f"{pairs}, stopped at look {position}{of}"
    return str(pairs)


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


METRIC_WORDS: Final = {"within": "kept", "worse": "exceeded", "open": "open", "reported": "not asked for"}


def metrics(doc: Doc) -> list[Row]:
    """Return memory and custom numbers: (name, baseline, optimized, change, may change by, margin kept?)."""
    rows: list[Row] = []
    for name, value in (doc["metrics"] or {}).items():
        if isinstance(value, Mapping):
            old, new = value.get("baseline"), value.get("optimized")
            unit, verdict = value.get("unit"), value.get("verdict")
            kept = METRIC_WORDS.get(str(verdict), UNKNOWN)
            if value.get("message"):
                kept += f": {value['message']}"
            rows.append(
                (name, _quantity(old, unit), _quantity(new, unit), _change(value), _allowed(value), kept)
            )
        else:
            rows.append((name, "", _text(value), "", "", ""))
    return rows


def _quantity(value: Any, unit: Any) -> str:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return quantity(value, unit if isinstance(unit, str) else None) if known else _text(value)


def _change(metric: Mapping[str, Any]) -> str:
    """Return the change of the optimized arm with its interval: ``+3.10 % [+2.80 %, +3.40 %]``."""
    found, low, high = (metric.get(key) for key in ("ratio", "ci_low", "ci_high"))
    if not isinstance(found, int | float) or not found:
        return UNKNOWN
    text = change(1.0 / found - 1.0)
    if isinstance(low, int | float) and isinstance(high, int | float) and low and high:
        text += f" [{change(1.0 / high - 1.0)}, {change(1.0 / low - 1.0)}]"
    return text


def _allowed(metric: Mapping[str, Any]) -> str:
    """Return by how much a metric may change: ``at most +5 %``, ``not at all``."""
    margin, better = metric.get("margin"), metric.get("better")
    if not isinstance(margin, int | float):
        return "any"
    if better == "same":
        return "not at all" if metric.get("exact") or not margin else f"at most ±{short_percent(margin)}"
    return f"at most {'-' if better == 'higher' else '+'}{short_percent(margin)}"


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


def pair_ratio(pair: Mapping[str, Any]) -> float | None:
    """Return baseline time / optimized time of one trial, as the estimate sees it; None when unknown."""
    if pair.get("log_ratio") is not None and abs(pair["log_ratio"]) < 700:
        return math.exp(-pair["log_ratio"])
    if pair["baseline_s"] and pair["optimized_s"]:
        return float(pair["baseline_s"] / pair["optimized_s"])
    return None


def is_outlier(pair: Mapping[str, Any]) -> bool:
    """Return whether the trial was weighted down as more than 3.5 robust standard deviations away."""
    weight = pair.get("weight")
    return weight is not None and weight < OUTLIER_WEIGHT


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


def memory(doc: Doc) -> list[Row]:
    """Return the memory of both arms: (what, baseline, optimized, optimized / baseline)."""
    rows: list[Row] = []
    for label, key in (("Peak", "peak_bytes"), ("Above the state before", "extra_bytes")):
        old, new = part(doc, "memory", "baseline", key), part(doc, "memory", "optimized", key)
        if old is not None or new is not None:
            share = percent(new / old) if old and new is not None else UNKNOWN
            rows.append((label, size(old), size(new), share))
    return rows


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


def overhead(doc: Doc) -> list[Row]:
    """Return where the time of the decision went: (what, seconds, share of the total)."""
    spent = {key: value for key, value in (doc["overhead"] or {}).items() if value is not None}
    total = spent.get("total_s")
    return [
        (
            key.removesuffix("_s").replace("_", " ").capitalize(),
            seconds(value),
            percent(value / total, 1) if total else UNKNOWN,
        )
        for key, value in spent.items()
    ]


def settings(values: Mapping[str, Any] | None) -> list[Row]:
    """Return configuration, protocol or environment: (key, value as compact JSON, shortened)."""
    return [
        (key, _order_text(value) if key == "plan" else _text(value)) for key, value in (values or {}).items()
    ]


def code(doc: Doc) -> list[Row]:
    """Return which code each arm was: (arm, name, file and line, SHA-256)."""
    rows: list[Row] = []
    for arm in ("baseline", "optimized"):
        source = part(doc, "code", arm) or {}
        place = source.get("file") or UNKNOWN
        if source.get("file") and source.get("line") is not None:
            place += f":{source['line']}"
        rows.append((arm, source.get("name") or doc[arm]["name"], place, source.get("sha256") or UNKNOWN))
    return rows


def earlier(doc: Doc) -> list[Row]:
    """Return earlier decisions: (attempt, when, verdict, reasons, time saved, interval, pairs)."""
    return [
        (
            number(each.get("attempt")),
            each.get("started") or UNKNOWN,
            each["verdict"],
            ", ".join(each.get("reasons") or ()),
            both(each.get("ratio")),
            both_interval(each.get("ci_low"), each.get("ci_high")),
            number(each.get("n")),
        )
        for each in doc["earlier"]
    ]


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


def _order_text(plan: Any) -> str:
    if not isinstance(plan, list):
        return _text(plan)
    return "".join({1: "+", -1: "-"}.get(each, "?") for each in plan)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if value is None:
        return UNKNOWN
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
