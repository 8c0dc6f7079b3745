"""A stored record batch, seen as an Arrow table or as pandas frames. Arrow alone does not import pandas.

A stored frame is decoded once per process and hands out a *new* DataFrame at every call: the values under
all of them are the same read-only bytes, but a column that one task adds is not seen by the next task.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from optengine.frames.errors import FrameFormatError

if TYPE_CHECKING:
    import pandas as pd

    from optengine.frames.decode import Column

METADATA_KEY = b"optengine.frame"
FORMAT = 1

Spec = dict[str, Any]


class StoredFrame:
    """A record batch written by ``optengine.frames.encode``, seen as Arrow table or as pandas frames.

    Threads may share one; two that decode at the same time do the same work twice, with the same result.
    """

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch
        self._description = _description(batch.schema)
        self._decoded: tuple[list[Column], Any, Any] | None = None
        self._table: pa.Table | None = None

    @property
    def table(self) -> pa.Table:
        """All values as an Arrow table, zero-copy: the columns, then index levels (none for a RangeIndex).

        Only columns of numpy booleans are converted (a byte to a bit per value), at the first use.
        """
        if self._table is None:
            self._table = _public_table(self._batch, self._description)
        return self._table

    @property
    def copied_columns(self) -> dict[str, str]:
        """Columns and index levels whose values could not be viewed in place: name -> reason."""
        return self._reasons("copied")

    @property
    def changed_dtypes(self) -> dict[str, str]:
        """Columns and index levels that come back with another dtype than they had: name -> "old -> new"."""
        return self._reasons("changed")

    def frame(self) -> pd.DataFrame:
        """A new DataFrame over the shared values; writing into the values raises ValueError."""
        from optengine.frames.decode import assemble

        frame = assemble(*self._decode())
        if self._description["attrs"]:
            frame.attrs = json.loads(json.dumps(self._description["attrs"]))
        return frame

    def _decode(self) -> tuple[list[Column], Any, Any]:
        from optengine.frames.decode import decode_index, decode_labels, decode_values

        if self._decoded is None:
            arrays = self._batch.columns
            specs = self._description["columns"]
            columns = [
                decode_values(array, spec) for array, spec in zip(arrays[: len(specs)], specs, strict=True)
            ]
            index = decode_index(arrays, self._description["index"])
            self._decoded = columns, index, decode_labels(self._description["labels"])
        return self._decoded

    def _reasons(self, which: str) -> dict[str, str]:
        from optengine.frames.decode import decode_values

        columns, _, _ = self._decode()
        index = self._description["index"]
        found = {self._batch.schema.names[i]: getattr(column, which) for i, column in enumerate(columns)}
        if index["kind"] == "values":  # the levels of a MultiIndex are small; its codes are viewed in place
            array = self._batch.columns[index["column"]]
            found[self._batch.schema.names[index["column"]]] = getattr(
                decode_values(array, index["values"]), which
            )
        return {name: reason for name, reason in found.items() if reason}


def _description(schema: pa.Schema) -> Spec:
    raw = (schema.metadata or {}).get(METADATA_KEY)
    if raw is None:
        raise FrameFormatError(
            f"a stored frame carries a description under {METADATA_KEY!r}; this Arrow file has none"
        )
    description: Spec = json.loads(raw)
    if description.get("format") != FORMAT:
        raise FrameFormatError(
            f"stored frames of format {FORMAT} can be read; received format {description.get('format')!r}; "
            "write it again with this version of optengine"
        )
    return description


def _public_table(batch: pa.RecordBatch, description: Spec) -> pa.Table:
    table = pa.Table.from_batches([batch])
    specs = list(description["columns"])
    index = description["index"]
    specs += [level["values"] for level in index.get("levels", [index] if "column" in index else [])]
    for position, spec in enumerate(specs):
        is_bytes = pa.types.is_uint8(table.schema.field(position).type)
        if is_bytes and spec.get("dtype") in ("|b1", "boolean"):
            name = table.schema.names[position]
            table = table.set_column(position, name, table.column(position).cast(pa.bool_()))
    kept = {key: value for key, value in (table.schema.metadata or {}).items() if key != METADATA_KEY}
    return table.replace_schema_metadata(kept or None)
