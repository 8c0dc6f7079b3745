"""The Arrow array of one column of an Arrow table, prepared so that pandas can view it in place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from optengine.frames.encode_values import primitive
from optengine.frames.stored import Spec

_NAT = np.iinfo(np.int64).min


def encode_arrow(array: pa.Array) -> tuple[pa.Array, Spec]:
    """The array with pandas' own markers under its nulls, and how pandas can view it (else as ArrowDtype).

    Types, values and nulls stay as they are; only bytes hidden under nulls change.
    """
    kind = array.type
    if pa.types.is_dictionary(kind) and _is_category(array):
        return _encode_dictionary(array)
    if pa.types.is_large_string(kind) or pa.types.is_string(kind):
        return array, {"kind": "string", "missing": "nan", "dtype": "arrow"}
    if pa.types.is_boolean(kind) and array.null_count == 0:
        return array, {"kind": "bits"}
    if pa.types.is_floating(kind) or (pa.types.is_integer(kind) and array.null_count == 0):
        dtype = np.dtype(kind.to_pandas_dtype())
        return _mark_nulls(array, dtype, np.nan), {"kind": "numpy", "dtype": dtype.str}
    if pa.types.is_duration(kind):
        return _mark_nulls(array, np.dtype(np.int64), _NAT), {"kind": "numpy", "dtype": f"<m8[{kind.unit}]"}
    if pa.types.is_timestamp(kind) and kind.tz is None:
        return _mark_nulls(array, np.dtype(np.int64), _NAT), {"kind": "numpy", "dtype": f"<M8[{kind.unit}]"}
    if pa.types.is_timestamp(kind) and (zone := _pandas_zone(kind)) is not None:
        spec = {"kind": "zoned", "unit": kind.unit, "zone": zone}
        return _mark_nulls(array, np.dtype(np.int64), _NAT), spec
    return array, {"kind": "arrow"}


def _pandas_zone(kind: pa.TimestampType) -> str | None:
    """The name pandas finds the time zone by, or None when it knows no such zone."""
    for zone in (kind.tz, f"UTC{kind.tz}"):
        try:
            return str(pd.DatetimeTZDtype(kind.unit, zone).tz)
        except (TypeError, ValueError, LookupError):
            continue
    return None


def _is_category(array: pa.DictionaryArray) -> bool:
    """True when pandas can hold it as a category: distinct plain values, none null, signed codes."""
    values = array.dictionary
    if pa.types.is_nested(values.type) or pa.types.is_boolean(values.type):
        return False
    distinct = values.null_count == 0 and len(pc.unique(values)) == len(values)
    return distinct and pa.types.is_signed_integer(array.type.index_type)


def _encode_dictionary(array: pa.DictionaryArray) -> tuple[pa.Array, Spec]:
    values, spec = encode_arrow(array.dictionary)
    indices = _mark_nulls(array.indices, np.dtype(array.type.index_type.to_pandas_dtype()), -1)
    marked = pa.DictionaryArray.from_arrays(indices, values, ordered=array.type.ordered, safe=False)
    return marked, {"kind": "category", "ordered": array.type.ordered, "categories": spec}


def _mark_nulls(array: pa.Array, storage: np.dtype[Any], marker: Any) -> pa.Array:
    if array.null_count == 0:
        return array
    missing = np.asarray(array.is_null())
    raw = np.frombuffer(array.buffers()[1], dtype=storage)[array.offset : array.offset + len(array)].copy()
    raw[missing] = marker
    return primitive(array.type, raw, missing)
