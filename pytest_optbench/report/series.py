"""What the plots show, as numbers: marks, intervals and times of a decision; no drawing, no display strings.

Gains are time saved, a fraction (0.25: a quarter of the time); times are seconds per call. Whatever a decision
does not know is left out, so an empty list means that there is nothing to draw.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .figures import Doc, is_outlier, is_unpaired, pair_ratio, part
from .units import time_saved


@dataclass(frozen=True)
class Mark:
    """One pair of trials: number from 1, ratio and time saved, who ran first, whether it stands out."""

    number: int
    ratio: float
    saved: float
    baseline_first: bool
    outlier: bool


@dataclass(frozen=True)
class Interval:
    """One interval of time saved: what it is, estimate, ends in ascending order."""

    name: str
    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Look:
    """One planned look: after how many pairs; what was seen there, None when it was not needed."""

    pairs: int
    seen: Interval | None
    stopped: bool


@dataclass(frozen=True)
class Run:
    """The runs of one pair: when it started (seconds, None when unknown), time of each arm, who was first."""

    number: int
    started_s: float | None
    baseline_s: float
    optimized_s: float
    baseline_first: bool


def marks(doc: Doc) -> list[Mark]:
    """Return one mark per pair whose ratio is known, in the order they ran."""
    return [
        Mark(number, value, saved, pair["order"] == 1, is_outlier(pair))
        for number, pair in enumerate(doc["pairs"], start=1)
        if (value := pair_ratio(pair)) is not None and (saved := time_saved(value)) is not None
    ]


def interval(name: str, values: Mapping[str, Any] | None, key: str = "ratio") -> Interval | None:
    """Return the interval whose ratios ``values`` holds under ``key``, ci_low, ci_high; None unless all are."""
    known = [time_saved((values or {}).get(each)) for each in (key, "ci_low", "ci_high")]
    estimate, one, other = known
    if (
        estimate is None
        or one is None
        or other is None
        or not all(map(math.isfinite, (estimate, one, other)))
    ):
        return None
    return Interval(name, estimate, min(one, other), max(one, other))


def decided(doc: Doc) -> Interval | None:
    """Return the interval the verdict is read off."""
    name = "Interval, unpaired" if is_unpaired(doc) else "Repeated interval"
    return interval(name, doc["ratio"], "estimate")


def companions(doc: Doc) -> list[Interval]:
    """Return the intervals beside the one that decides: other methods, and baseline against itself."""
    tests = doc["tests"] or {}
    free = tests.get("distribution_free") or {}
    found = (
        interval("Paired t test", tests.get("paired_t")),
        interval("Distribution-free", free),
        interval("Total time", doc["total_time"]),
        interval("Control, 99 %", doc["control"]),
    )
    return [each for each in found if each is not None]


def looks(doc: Doc) -> list[Look]:
    """Return the looks taken and those planned after them."""
    taken = [
        Look(int(look["n"]), interval(f"Look {number}", look), bool(look["stopped"]))
        for number, look in enumerate(doc["looks"], start=1)
    ]
    last = taken[-1].pairs if taken else 0
    planned = part(doc, "protocol", "looks")
    later = [each for each in planned or () if isinstance(each, int) and each > last] if taken else []
    return [*taken, *(Look(each, None, False) for each in later)]


def runs(doc: Doc) -> list[Run]:
    """Return the times of every pair in which both arms have one."""
    return [
        Run(
            number, pair.get("started_s"), float(pair["baseline_s"]), float(pair["optimized_s"]),
            pair["order"] == 1,
        )
        for number, pair in enumerate(doc["pairs"], start=1)
        if pair["baseline_s"] and pair["optimized_s"] and min(pair["baseline_s"], pair["optimized_s"]) > 0
    ]  # fmt: skip


def times(doc: Doc) -> dict[str, list[float]]:
    """Return the times of each arm: of the trials, or the values of both files when they are unpaired.

    Empty unless both arms have at least one.
    """
    if is_unpaired(doc):
        found = {
            arm: [each for each in part(doc, "unpaired", arm, "seconds") or () if each and each > 0]
            for arm in ("baseline", "optimized")
        }
    else:
        pairs = runs(doc)
        found = {
            "baseline": [run.baseline_s for run in pairs],
            "optimized": [run.optimized_s for run in pairs],
        }
    return found if all(found.values()) else {}


def control(doc: Doc) -> list[tuple[int, float]]:
    """Return (pair, apparent time saved) for every comparison of the baseline with itself."""
    return [
        (number, -math.expm1(value))
        for number, pair in enumerate(doc["pairs"], start=1)
        for value in pair.get("control") or ()
        if abs(value) < 700
    ]


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """Return lower quartile, median and upper quartile, by linear interpolation; needs one value."""
    ordered = sorted(values)

    def at(share: float) -> float:
        place = share * (len(ordered) - 1)
        below = math.floor(place)
        above = min(below + 1, len(ordered) - 1)
        return ordered[below] + (place - below) * (ordered[above] - ordered[below])

    return at(0.25), at(0.5), at(0.75)
