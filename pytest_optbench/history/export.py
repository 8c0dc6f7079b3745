"""A history for other programs: comma-separated values, or one JSON document a line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TextIO

from . import schema
from .read import Record

COLUMNS: Final = ("run", *schema.SUMMARY)
PAIR_COLUMNS: Final = ("run", "id", "started", *schema.PAIR)


def write_csv(records: Sequence[Record], out: TextIO) -> None:
    """Write one line per decision; unknown values are empty, reason codes are separated by spaces."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records:
        writer.writerow([_cell(getattr(record, column)) for column in COLUMNS])


def write_pairs_csv(found: Iterable[tuple[Record, Mapping[str, Any]]], out: TextIO) -> None:
    """Write one line per pair of trials, without its micro-pairs; times are seconds per call."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(PAIR_COLUMNS)
    for record, doc in found:
        for pair in doc["pairs"]:
            values = [pair.get(name) for name in schema.PAIR]
            writer.writerow([_cell(v) for v in (record.run, record.id, record.started, *values)])


def json_lines(found: Iterable[tuple[Record, Mapping[str, Any]]]) -> Iterator[str]:
    """Yield each whole decision document as one line of ASCII JSON, with its ``run`` added."""
    for record, doc in found:
        yield json.dumps({"run": record.run, **doc}, allow_nan=False) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    return " ".join(value) if isinstance(value, list) else str(value)
