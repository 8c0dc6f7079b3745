"""The Arrow array of one pandas column or index level, in the bytes pandas uses itself.

Every value is stored in the bytes pandas (or Arrow) uses itself, so that reading back needs no conversion:

    pandas column              stored as                                  back without a copy
    int, uint, float           same primitive, no validity (NaN is NaN)   yes
    bool                       uint8 (Arrow packs booleans into bits)     yes
    datetime64, timedelta64    timestamp / duration, NaT also as null     yes
    datetime64 with zone       timestamp with zone                        yes
    str, string                large_string                               yes
    category                   dictionary with pandas' own codes          yes
    Int64, Float64, boolean    primitive with validity                    values yes, mask no
    ArrowDtype                 its own type                               yes

Strings are not dictionary-encoded unless they are categories: plain ``large_string`` is what pandas itself
holds, so the column keeps its dtype and needs no copy, which a dictionary would.

Anything else (mixed objects, intervals, periods, sparse, complex) is refused by name with the conversion
that helps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from optengine.frames.errors import UnsupportedColumn
from optengine.frames.stored import Spec

_CURES = {
    "date": "convert with .astype('date32[pyarrow]') or pd.to_datetime(column)",
    "decimal": "convert with .astype(pd.ArrowDtype(pa.decimal128(precision, scale))) or .astype(float)",
    "boolean": "convert with .astype('boolean')",
    "integer": "convert with .astype('Int64')",
    "floating": "convert with .astype(float)",
    "mixed-integer-float": "convert with .astype(float)",
    "datetime": "make it one time zone with pd.to_datetime(column, utc=True)",
    "datetime64": "convert with pd.to_datetime(column)",
    "bytes": "convert with .astype(pd.ArrowDtype(pa.binary()))",
    "mixed": "convert it to one type, or nested values to pd.ArrowDtype(pa.list_(pa.float64()))",
}


def encode_values(values: Any, what: str) -> tuple[pa.Array, Spec]:
    """The Arrow array and description of one pandas Series or Index; ``what`` names it in errors."""
    dtype = values.dtype
    if isinstance(dtype, np.dtype):
        return _encode_numpy(values.to_numpy(), what)
    if isinstance(dtype, pd.CategoricalDtype):
        return _encode_category(values.array, what)
    if isinstance(dtype, pd.StringDtype):
        missing = "NA" if dtype.na_value is pd.NA else "nan"
        array = one_chunk(pa.array(values.array, type=pa.large_string()), what)
        return array, {"kind": "string", "missing": missing, "dtype": f"{dtype!s}[{dtype.storage}]"}
    if isinstance(dtype, pd.DatetimeTZDtype):
        return _encode_zoned(values.array, dtype, what)
    if isinstance(dtype, pd.ArrowDtype):
        return one_chunk(pa.array(values.array), what), {"kind": "arrow"}
    if isinstance(dtype, pd.BooleanDtype):
        mask = values.isna() if isinstance(values, pd.Index) else values.isna().to_numpy()
        data = values.to_numpy(dtype=bool, na_value=False)
        return primitive(pa.uint8(), data.view(np.uint8), mask), {"kind": "masked", "dtype": str(dtype)}
    if _is_masked_number(dtype):
        return one_chunk(pa.array(values.array), what), {"kind": "masked", "dtype": str(dtype)}
    cure = {"period": "convert with .dt.to_timestamp()", "Sparse": "convert with .sparse.to_dense()"}
    hint = next(
        (text for start, text in cure.items() if str(dtype).startswith(start)),
        "convert it to numbers or strings",
    )
    raise UnsupportedColumn(what, f"dtype {dtype!s} has no shared form; {hint}")


def _is_masked_number(dtype: Any) -> bool:
    return isinstance(dtype, pd.api.extensions.ExtensionDtype) and str(dtype) in {
        f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)
    } | {"Float32", "Float64"}


def _encode_numpy(values: np.ndarray[Any, Any], what: str) -> tuple[pa.Array, Spec]:
    dtype = values.dtype
    if dtype.kind == "O":
        return _encode_objects(values, what)
    if not dtype.isnative or dtype.kind not in "fiubMm" or (dtype.kind == "f" and dtype.itemsize > 8):
        raise UnsupportedColumn(
            what, f"dtype {dtype!s} has no shared form; convert it to a native number of at most 64 bits"
        )
    values = np.ascontiguousarray(values)
    spec = {"kind": "numpy", "dtype": dtype.str}
    if dtype.kind == "b":
        return primitive(pa.uint8(), values.view(np.uint8)), spec
    if dtype.kind in "Mm":
        unit = np.datetime_data(dtype)[0]
        arrow = pa.timestamp(unit) if dtype.kind == "M" else pa.duration(unit)
        return primitive(arrow, values.view(np.int64), np.isnat(values)), spec
    return primitive(pa.from_numpy_dtype(dtype), values), spec


def _encode_objects(values: np.ndarray[Any, Any], what: str) -> tuple[pa.Array, Spec]:
    found = pd.api.types.infer_dtype(values, skipna=True)
    if found not in ("string", "empty"):
        cure = _CURES.get(found, _CURES["mixed"])
        if found == "datetime" and len({getattr(v, "tzinfo", None) for v in values if not pd.isna(v)}) <= 1:
            cure = "convert with pd.to_datetime(column)"
        raise UnsupportedColumn(what, f"object dtype holding {found} values has no shared form; {cure}")
    try:
        array = pa.array(values, type=pa.large_string(), from_pandas=True)
    except (pa.ArrowException, UnicodeEncodeError) as error:
        raise UnsupportedColumn(what, f"its strings must be valid UTF-8; {error}") from error
    return one_chunk(array, what), {"kind": "string", "missing": "nan", "dtype": "object"}


def _encode_zoned(values: Any, dtype: pd.DatetimeTZDtype, what: str) -> tuple[pa.Array, Spec]:
    zone = str(dtype.tz)
    try:
        known = str(pd.DatetimeTZDtype(dtype.unit, zone).tz) == zone
        arrow = pa.timestamp(dtype.unit, tz=pa.lib.tzinfo_to_string(dtype.tz))
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise UnsupportedColumn(what, f"time zone {dtype.tz!r} has no Arrow form; use 'Area/City'") from error
    if not known:
        raise UnsupportedColumn(
            what, f"time zone {dtype.tz!r} has no name to find it by; use .dt.tz_convert('Area/City')"
        )
    data = np.ascontiguousarray(values.view("i8"))
    return primitive(arrow, data, np.isnat(data.view("M8[ns]"))), {
        "kind": "zoned",
        "unit": dtype.unit,
        "zone": zone,
    }


def _encode_category(values: Any, what: str) -> tuple[pa.Array, Spec]:
    categories, spec = encode_values(values.categories, f"categories of {what}")
    array = dictionary(np.asarray(values.codes), categories, ordered=bool(values.ordered))
    return array, {"kind": "category", "ordered": bool(values.ordered), "categories": spec}


def dictionary(codes: np.ndarray[Any, Any], values: pa.Array, *, ordered: bool = False) -> pa.Array:
    """An Arrow dictionary array over the very bytes of pandas' ``codes``; -1 is also null."""
    codes = np.ascontiguousarray(codes)
    indices = primitive(pa.from_numpy_dtype(codes.dtype), codes, codes < 0)
    return pa.DictionaryArray.from_arrays(indices, values, ordered=ordered, safe=False)


def primitive(kind: pa.DataType, data: np.ndarray[Any, Any], missing: Any = None) -> pa.Array:
    """An Arrow array over the very bytes of ``data``; ``missing`` (bool each) becomes the validity bitmap."""
    validity, nulls = None, 0
    if missing is not None and (nulls := int(np.count_nonzero(missing))):
        validity = pa.py_buffer(np.packbits(~np.asarray(missing, dtype=bool), bitorder="little"))
    return pa.Array.from_buffers(kind, len(data), [validity, pa.py_buffer(data)], null_count=nulls)


def one_chunk(array: Any, what: str) -> pa.Array:
    """The values in one contiguous Arrow array. Raises UnsupportedColumn when its type cannot hold them."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        if array.num_chunks != 1:
            raise UnsupportedColumn(
                what, f"type {array.type} overflows 2 GB in one piece; cast it to its large_ variant"
            )
        array = array.chunk(0)
    return array
