"""Turn a pandas frame or an Arrow table into one Arrow record batch plus a description to rebuild it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from optengine.frames.encode_arrow import encode_arrow
from optengine.frames.encode_index import encode_index, encode_labels
from optengine.frames.encode_values import encode_values, one_chunk
from optengine.frames.errors import UnsupportedColumn
from optengine.frames.stored import FORMAT, METADATA_KEY, Spec


def encode_frame(frame: pd.DataFrame) -> pa.RecordBatch:
    """One record batch holding the columns, then the index levels; the description is in the schema metadata.

    Raises UnsupportedColumn naming the first column, index level or label that cannot be stored faithfully.
    Copies only what is not contiguous already; object strings are converted.
    """
    _refuse_duplicates(frame.columns)
    labels = [_label(name) for name in frame.columns]
    arrays: list[pa.Array] = []
    columns: list[Spec] = []
    for position, label in enumerate(labels):
        array, spec = encode_values(frame.iloc[:, position], f"column {label!r}")
        arrays.append(array)
        columns.append(spec)
    names = labels.copy()
    index_arrays, index_names, index = encode_index(frame.index, "index", taken=set(names), first=len(arrays))
    description = {
        "format": FORMAT,
        "rows": len(frame),
        "columns": columns,
        "index": index,
        "labels": encode_labels(frame.columns),
        "attrs": _plain_attrs(frame.attrs),
    }
    return _batch(arrays + index_arrays, names + index_names, description, len(frame), {})


def encode_table(table: pa.Table) -> pa.RecordBatch:
    """One record batch with the same columns and types as ``table``; frames made of it have a RangeIndex.

    Only bytes hidden under nulls are rewritten (NaN, NaT, code -1) so that pandas can use the buffers as
    they are. Raises UnsupportedColumn on duplicate names.
    """
    _refuse_duplicates(table.column_names)
    table = table.unify_dictionaries()
    arrays: list[pa.Array] = []
    columns: list[Spec] = []
    for name, chunked in zip(table.column_names, table.columns, strict=True):
        array, spec = encode_arrow(one_chunk(chunked, f"column {name!r}"))
        arrays.append(array)
        columns.append(spec)
    description = {
        "format": FORMAT,
        "rows": table.num_rows,
        "columns": columns,
        "index": {"kind": "range", "start": 0, "stop": table.num_rows, "step": 1, "names": [None]},
        "labels": encode_labels(pd.Index(table.column_names, dtype=None if table.column_names else object)),
        "attrs": {},
    }
    keep = {key: value for key, value in (table.schema.metadata or {}).items() if key != METADATA_KEY}
    fields = [
        pa.field(field.name, array.type, nullable=field.nullable, metadata=field.metadata)
        for field, array in zip(table.schema, arrays, strict=True)
    ]
    return _batch(arrays, fields, description, table.num_rows, keep)


def _batch(
    arrays: list[pa.Array],
    fields: Iterable[Any],
    description: Spec,
    rows: int,
    metadata: Mapping[bytes, bytes],
) -> pa.RecordBatch:
    schema = pa.schema(
        [
            field if isinstance(field, pa.Field) else pa.field(field, array.type)
            for field, array in zip(fields, arrays, strict=True)
        ],
        metadata={**metadata, METADATA_KEY: json.dumps(description, allow_nan=False).encode()},
    )
    if not arrays:
        # Arrow cannot count the rows of a batch without columns; the description can.
        return pa.RecordBatch.from_arrays([], schema=schema)
    assert all(len(array) == rows for array in arrays)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _label(label: Any) -> str:
    return label if isinstance(label, str) else str(label)


def _refuse_duplicates(labels: Iterable[Any]) -> None:
    seen: set[str] = set()
    for label in labels:
        text = _label(label)
        if text in seen:
            raise UnsupportedColumn(
                f"column {label!r}", "column names must be unique; rename or drop the duplicate"
            )
        seen.add(text)


def _plain_attrs(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(attrs), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise UnsupportedColumn("frame.attrs", f"it must hold plain JSON values; {error}") from error
    if plain != attrs:
        raise UnsupportedColumn(
            "frame.attrs", "it must hold plain JSON values with string keys; clear frame.attrs"
        )
    return plain
