"""What became of one point: its metrics or its error; all of them as an Arrow table or a printed one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from optengine.sweep.grid import Point

if TYPE_CHECKING:
    import pyarrow as pa

Metric = int | float | bool | None
RESERVED = ("seconds", "error_kind", "error")


@dataclass(frozen=True)
class Outcome:
    """One point of the grid with its ``metrics``, or with the ``error`` that took their place.

    ``seconds`` is the time the strategy took in its worker, missing when it failed. ``error_kind`` is the kind of the
    pool's ``TaskFailure``.
    """

    point: Point
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    seconds: float | None = None
    error_kind: str | None = None
    error: str | None = None


def metric_names(outcomes: Sequence[Outcome]) -> list[str]:
    """Names of all metrics, in the order of their first appearance."""
    return list(dict.fromkeys(name for outcome in outcomes for name in outcome.metrics))


def to_arrow(outcomes: Sequence[Outcome]) -> pa.Table:
    """One row per outcome, in the order of the grid: parameters, metrics, seconds, error_kind, error.

    A metric's column holds integers or booleans when every value of it is one, else floats; missing is null.
    """
    import pyarrow as pa

    columns: dict[str, pa.Array] = {}
    for name in outcomes[0].point:
        columns[name] = pa.array([outcome.point[name] for outcome in outcomes])
    for name in metric_names(outcomes):
        columns[name] = _metric_column([outcome.metrics.get(name) for outcome in outcomes])
    columns["seconds"] = pa.array([outcome.seconds for outcome in outcomes], pa.float64())
    columns["error_kind"] = pa.array([outcome.error_kind for outcome in outcomes], pa.string())
    columns["error"] = pa.array([outcome.error for outcome in outcomes], pa.string())
    return pa.table(columns)


def _metric_column(values: Sequence[Metric]) -> pa.Array:
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    if kinds == {int} and all(abs(value) < 2**63 for value in values if value is not None):
        return pa.array(values, pa.int64())
    return pa.array([None if value is None else float(value) for value in values], pa.float64())


def best(outcomes: Sequence[Outcome], metric: str, count: int, *, ascending: bool) -> list[Outcome]:
    """The ``count`` outcomes with the highest (or lowest) ``metric``; ties keep the order of the grid.

    Outcomes without it, or where it is not a number, are left out.
    """
    keyed = [(value, outcome) for outcome in outcomes if (value := _finite(outcome, metric)) is not None]
    keyed.sort(key=lambda pair: pair[0] if ascending else -pair[0])
    return [outcome for _, outcome in keyed[:count]]


def _finite(outcome: Outcome, metric: str) -> float | None:
    value = outcome.metrics.get(metric)
    return None if value is None or math.isnan(value) else float(value)


def as_text(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as an aligned table with a header, without their errors."""
    names = metric_names(outcomes)
    header = [*outcomes[0].point, *names, "seconds"]
    rows = [
        [_shown(value) for value in (*o.point.values(), *(o.metrics.get(name) for name in names), o.seconds)]
        for o in outcomes
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in (header, *rows)
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _shown(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def errors_as_text(outcomes: Sequence[Outcome], count: int = 5) -> list[str]:
    """One line per kind and wording of error, the most frequent first, at most ``count`` and how many more."""
    found = Counter((o.error_kind, o.error) for o in outcomes if o.error is not None)
    lines = [f"{times} x {kind}: {error}" for (kind, error), times in found.most_common(count)]
    rest = len(found) - len(lines)
    return [*lines, f"and {rest} other errors, see the error column"] if rest > 0 else lines
