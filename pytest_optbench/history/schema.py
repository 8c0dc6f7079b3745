"""The versioned shape of a history file: one row per decision, its pairs of trials nested in it.

The columns are what one filters, draws and counts attempts by. ``document`` is the decision document as JSON
without ``pairs`` and ``earlier``, so that a row gives back the whole decision, keys this version does not know
included. ``earlier`` holds only entries the history did not have yet. The version stands in the metadata of
the file under ``optbench.history``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from pytest_optbench.store import ledger
from pytest_optbench.store import schema as decision_schema
from pytest_optbench.store.errors import SchemaError

from .location import arrow

VERSION: Final = "optbench/history/1"
"""The version this package writes."""

VERSIONS: Final = ("optbench/history/1",)
"""Every version this package reads, oldest first; a new version is appended, none is ever removed."""

FAMILY: Final = "optbench/history/"
KEY: Final = b"optbench.history"
WRITER: Final = b"optbench.version"

ENTRY: Final = ("started", "verdict", "reasons", "ratio", "ci_low", "ci_high", "n", "attempt", "quick")
"""Columns that make the short entry of a decision for the ledger of later ones."""

SUMMARY: Final = (
    "id", "title", "group", "goal", "margin", "confidence", "expected", *ENTRY, "baseline_s", "optimized_s",
    "noise_floor", "p_adjusted", "seconds",
)  # fmt: skip
"""Columns of one value each: what a list and a trend need."""

PAIR: Final = (
    "index", "order", "baseline_s", "optimized_s", "log_ratio", "weight", "baseline_cpu_s", "optimized_cpu_s",
    "started_s",
)  # fmt: skip
RUN: Final = ("order", "baseline_s", "optimized_s")


@cache
def arrow_schema() -> Any:
    """Return the ``pyarrow.Schema`` of version 1."""
    pa = arrow()
    text, real, whole = pa.string(), pa.float64(), pa.int32()
    entry = {
        "started": text, "verdict": text, "reasons": pa.list_(text), "ratio": real, "ci_low": real, "ci_high": real,
        "n": whole, "attempt": whole, "quick": pa.bool_(),
    }  # fmt: skip
    pair = {name: whole if name in ("index", "order") else real for name in PAIR}
    pair["control"] = pa.list_(real)
    pair["runs"] = pa.list_(pa.struct([(name, real) for name in RUN]))
    pair["rest"] = text
    columns = {
        "id": text, "title": text, "group": text, "goal": text, "margin": real, "confidence": real,
        "expected": real, **entry, "baseline_s": real, "optimized_s": real, "noise_floor": real,
        "p_adjusted": real, "seconds": real,
        "earlier": pa.list_(pa.struct(list(entry.items()))),
        "pairs": pa.list_(pa.struct(list(pair.items()))),
        "document": text,
    }  # fmt: skip
    return pa.schema(list(columns.items()))


def row(doc: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the row of decision ``doc`` with these entries as its ``earlier``; `document` takes it back."""
    rest = {key: value for key, value in doc.items() if key not in ("pairs", "earlier")}
    control = doc["control"] or {}
    found = {
        **{key: doc[key] for key in ("id", "title", "group", "goal", "margin", "confidence", "expected")},
        **ledger.entry(doc),
        "baseline_s": doc["baseline"].get("mean_s"),
        "optimized_s": doc["optimized"].get("mean_s"),
        "noise_floor": control.get("noise_floor"),
        "p_adjusted": doc["p_adjusted"],
        "seconds": doc["seconds"],
        "earlier": [{key: each.get(key) for key in ENTRY} for each in earlier],
        "pairs": [_pair(pair) for pair in doc["pairs"]],
    }
    # JSON keeps every text, also a lone surrogate, which UTF-8 cannot hold.
    return {**_encodable(found), "document": json.dumps(rest, allow_nan=False)}


def document(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the decision document of a whole row, validated; ``earlier`` is what its file holds.

    Raises SchemaError when it is not a decision of a version this package reads.
    """
    doc = json.loads(row["document"])
    decision_schema.check_version(doc)
    doc["pairs"] = [_pair_back(pair) for pair in row["pairs"]]
    doc["earlier"] = row["earlier"]
    decision_schema.validate(doc)
    found: dict[str, Any] = doc
    return found


def text_key(identity: str) -> str:
    """Return an id as the column ``id`` spells it."""
    return identity.encode("utf-8", "backslashreplace").decode("utf-8")


def check_version(metadata: Mapping[bytes, bytes] | None) -> None:
    """Return when the metadata of a file name a version this package reads; raises SchemaError with the cure."""
    version = (metadata or {}).get(KEY, b"").decode("utf-8", "backslashreplace")
    if version in VERSIONS:
        return
    if version.startswith(FAMILY):
        raise NewerVersion(
            f"a history file must be one of {', '.join(VERSIONS)}, received {version!r}: "
            "it was written by a newer pytest-optbench; upgrade pytest-optbench to read it"
        )
    raise SchemaError(
        f"a history file must say {KEY.decode()} = {VERSION} in its metadata, received {version!r}: "
        "it was not written by pytest-optbench; move it out of the history"
    )


class NewerVersion(SchemaError):
    """A file of a version that came after this package: what it says is not known, and not guessed."""


def check_columns(found: Any) -> None:
    """Return when a file of version 1 has the columns of version 1; raises SchemaError naming the first odd one."""
    for field in arrow_schema():
        at = found.get_field_index(field.name)
        received = None if at < 0 else found.field(at).type
        if received is None or not received.equals(field.type):
            raise SchemaError(f"column {field.name} must be {field.type}, received {received}")


def _pair(pair: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in pair.items() if key not in {*PAIR, "control", "runs"}}
    runs = pair.get("runs")
    return {
        **{key: pair.get(key) for key in PAIR},
        "control": pair.get("control"),
        "runs": None if runs is None else [dict(zip(RUN, run, strict=True)) for run in runs],
        "rest": json.dumps(rest, allow_nan=False) if rest else None,
    }


def _pair_back(pair: Mapping[str, Any]) -> dict[str, Any]:
    runs = pair["runs"]
    return {
        **{key: value for key, value in pair.items() if key not in ("runs", "rest")},
        "runs": None if runs is None else [[run[name] for name in RUN] for run in runs],
        **(json.loads(pair["rest"]) if pair["rest"] else {}),
    }


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return text_key(value)
    if isinstance(value, dict):
        return {key: _encodable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    return value
