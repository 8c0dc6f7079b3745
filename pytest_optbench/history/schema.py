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

VERSION: Final = "optbench/history/2"
"""The version this package writes."""

VERSIONS: Final = ("optbench/history/1", "optbench/history/2")
"""Every version this package reads, oldest first; a new version is appended, none is ever removed."""

FAMILY: Final = "optbench/history/"
KEY: Final = b"optbench.history"
WRITER: Final = b"optbench.version"

CODES: Final = ("code", "trees")
"""Columns of version 2 that version 1 has not: which two codes were compared, see `ledger.codes`."""

ENTRY: Final = (
    "started",
    "verdict",
    "reasons",
    "ratio",
    "ci_low",
    "ci_high",
    "n",
    "attempt",
    "quick",
    *CODES,
)
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
def arrow_schema(version: str = VERSION) -> Any:
    """Return the ``pyarrow.Schema`` of one of `VERSIONS`."""
    pa = arrow()
    text, real, whole = pa.string(), pa.float64(), pa.int32()
    entry = {
        "started": text, "verdict": text, "reasons": pa.list_(text), "ratio": real, "ci_low": real, "ci_high": real,
        "n": whole, "attempt": whole, "quick": pa.bool_(),
    }  # fmt: skip
    if version != VERSIONS[0]:
        entry |= dict.fromkeys(CODES, text)
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
    entry = ledger.entry(doc)
    found = {
        **{key: doc[key] for key in ("id", "title", "group", "goal", "margin", "confidence", "expected")},
        **entry,
        "baseline_s": doc["baseline"].get("mean_s"),
        "optimized_s": doc["optimized"].get("mean_s"),
        "noise_floor": control.get("noise_floor"),
        "p_adjusted": doc["p_adjusted"],
        "seconds": doc["seconds"],
        **{key: entry.get(key) for key in CODES},
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
    doc["earlier"] = _earlier(row)
    decision_schema.validate(doc)
    found: dict[str, Any] = doc
    return found


def single_values(row: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Return the columns of `SUMMARY` and ``earlier`` of a row of any version.

    A row of version 1 says in its document which codes it is about; its ``earlier`` does not say so at all.
    """
    found = {key: row[key] for key in (*SUMMARY, "earlier") if key in row}
    if version == VERSIONS[0]:
        known = ledger.codes(json.loads(row["document"]).get("code") or {})
        found |= {key: known.get(key) for key in CODES}
    return found | {"earlier": _earlier(row)}


def without_unknown(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a short entry without the codes it does not know, as `ledger.entry` makes it."""
    return {key: value for key, value in entry.items() if key not in CODES or value is not None}


def _earlier(row: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the entries a row holds; None, which no row may have, for whoever reads it to refuse."""
    return None if row["earlier"] is None else [without_unknown(each) for each in row["earlier"]]


def text_key(identity: str) -> str:
    """Return an id as the column ``id`` spells it."""
    return identity.encode("utf-8", "backslashreplace").decode("utf-8")


def version_of(metadata: Mapping[bytes, bytes] | None) -> str:
    """Return the version that the metadata of a file name, one this package reads; raises SchemaError with the cure."""
    version = (metadata or {}).get(KEY, b"").decode("utf-8", "backslashreplace")
    if version in VERSIONS:
        return version
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


def check_columns(found: Any, version: str) -> None:
    """Return when a file has the columns of its version; raises SchemaError naming the first odd one."""
    for field in arrow_schema(version):
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
