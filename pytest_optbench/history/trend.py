"""How decisions on a subject, and the accepted gains of a group, went over time. Pure: records in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .read import Record


@dataclass(frozen=True)
class Series:
    """All decisions on one subject, oldest first."""

    id: str
    title: str
    records: tuple[Record, ...]


@dataclass(frozen=True)
class Cumulative:
    """The accepted gains of one group in one run multiplied: ``count`` ratios baseline time / optimized time.

    The interval combines those of the ratios; it holds when they were measured independently.
    """

    group: str
    run: str
    started: str | None
    count: int
    decisions: int
    ratio: float
    ci_low: float
    ci_high: float


def series(records: Iterable[Record]) -> list[Series]:
    """Return one series per subject, by id; the title is that of the newest decision."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.id, []).append(record)
    return [Series(key, found[key][-1].title, tuple(found[key])) for key in sorted(found)]


def cumulative(records: Iterable[Record]) -> list[Cumulative]:
    """Return the accepted speedups of each group and run as one ratio, by group and time.

    Only meaningful where each baseline is the version the one before left: then the ratios of time multiply.
    Percentages never add up.
    """
    found: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record.group is not None and record.goal == "speedup":
            found.setdefault((record.group, record.run), []).append(record)
    lines = [_compose(group, run, members) for (group, run), members in found.items()]
    return sorted(lines, key=lambda line: (line.group, line.started or "", line.run))


def _compose(group: str, run: str, members: Sequence[Record]) -> Cumulative:
    """Return one line; the interval by the MOVER method (Zou and Donner 2008, Statistics in Medicine 27:1693):

    distances of the limits from the estimates add up in squares, on the scale of log ratios.
    """
    total = below = above = 0.0
    count = 0
    for record in members:
        if record.verdict == "ACCEPT" and record.ratio and record.ci_low and record.ci_high:
            log = math.log(record.ratio)
            total += log
            below += (log - math.log(record.ci_low)) ** 2
            above += (math.log(record.ci_high) - log) ** 2
            count += 1
    return Cumulative(
        group=group,
        run=run,
        started=min((m.started for m in members if m.started), default=None),
        count=count,
        decisions=len(members),
        ratio=math.exp(total),
        ci_low=math.exp(total - math.sqrt(below)),
        ci_high=math.exp(total + math.sqrt(above)),
    )
