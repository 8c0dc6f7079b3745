"""The Arrow arrays and description of a pandas index: row index or column labels."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from optengine.frames.encode_values import dictionary, encode_values
from optengine.frames.errors import UnsupportedColumn
from optengine.frames.stored import Spec


def encode_index(
    index: pd.Index[Any], what: str, taken: set[str], first: int
) -> tuple[list[pa.Array], list[str], Spec]:
    """Arrays, their stored names and the description of ``index``; a RangeIndex needs no array.

    ``taken`` are stored names already in use, ``first`` the position of the first array in the batch.
    """
    names = [_index_name(name, what) for name in index.names]
    if isinstance(index, pd.RangeIndex):
        return (
            [],
            [],
            {"kind": "range", "start": index.start, "stop": index.stop, "step": index.step, "names": names},
        )
    stored = [_stored_name(name, level, taken) for level, name in enumerate(names)]
    if isinstance(index, pd.MultiIndex):
        arrays, levels = [], []
        for number, (level, codes) in enumerate(zip(index.levels, index.codes, strict=True)):
            values, spec = encode_values(level, f"{what} level {names[number]!r}")
            arrays.append(dictionary(np.asarray(codes), values))
            levels.append({"column": first + number, "values": spec})
        return arrays, stored, {"kind": "multi", "levels": levels, "names": names}
    array, spec = encode_values(index, f"{what} {names[0]!r}")
    freq = getattr(index, "freqstr", None)
    return [array], stored, {"kind": "values", "column": first, "values": spec, "names": names, "freq": freq}


def _stored_name(name: Any, level: int, taken: set[str]) -> str:
    stored = name if isinstance(name, str) and name not in taken else f"__index_level_{level}__"
    if stored in taken:
        raise UnsupportedColumn(
            f"index level {level}", f"its stored name {stored!r} is taken by a column; rename the column"
        )
    taken.add(stored)
    return stored


def encode_labels(columns: pd.Index[Any]) -> Spec:
    """The column labels themselves, as an index: plain JSON for strings, a small Arrow stream otherwise."""
    if str(columns.dtype) in ("object", "str") and all(type(label) is str for label in columns):
        name = _index_name(columns.name, "column labels")
        return {"kind": "strings", "labels": list(columns), "dtype": str(columns.dtype), "names": [name]}
    arrays, names, spec = encode_index(columns, "column labels", set(), 0)
    sink = pa.BufferOutputStream()
    batch = pa.RecordBatch.from_arrays(arrays, names=names)
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return {**spec, "arrays": base64.b64encode(sink.getvalue()).decode()}


def _index_name(name: Any, what: str) -> Any:
    if name is None or type(name) in (str, int, bool):
        return name
    raise UnsupportedColumn(
        what, f"its name must be a string, an integer or None; received {name!r}; rename it"
    )
