"""The figures of a decision, each as one display string: no layout, no markup, no escaping.

Every reporter starts here, so a figure reads the same in markdown, on the terminal and on GitHub. A ``doc``
is a validated decision document (`pytest_optbench.store.schema`); parts of it may be null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from . import units
from .units import (
    UNKNOWN,
    both,
    both_interval,
    number,
    percent,
    ratio,
    time_saved,
)

Doc = Mapping[str, Any]

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
    return units.saved_interval(part(doc, "ratio", "ci_low"), part(doc, "ratio", "ci_high"))


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
