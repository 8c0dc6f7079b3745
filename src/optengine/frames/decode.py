"""Rebuild pandas columns and indexes from stored Arrow arrays, viewing the values in place."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.tseries.frequencies import to_offset

from optengine.frames.errors import FrameFormatError
from optengine.frames.stored import Spec

try:
    from pandas.api import internals  # type: ignore[attr-defined,unused-ignore]
except ImportError:  # pandas before 3
    internals = None  # type: ignore[assignment,unused-ignore]

_MASKED: dict[str, Callable[[Any, Any], Any]] = {
    "boolean": pd.arrays.BooleanArray,
    "Float32": pd.arrays.FloatingArray,
    "Float64": pd.arrays.FloatingArray,
}


@dataclass(frozen=True)
class Column:
    """How to make one column's pandas array: ``make()`` is cheap; ``copied``, ``changed``: reason or None."""

    make: Callable[[], Any]
    copied: str | None = None
    changed: str | None = None


def decode_values(array: pa.Array, spec: Spec, *, small: bool = False) -> Column:
    """How to make the pandas array of ``array``; ``small`` ones may become objects again."""
    kind = spec["kind"]
    if kind == "numpy":
        view = _view(array, np.dtype(spec["dtype"]))
        values = pd.array(view, copy=False) if view.dtype.kind in "mM" else view  # as pandas keeps times
        return Column(lambda: values)
    if kind == "string":
        return _strings(array, spec, small)
    if kind == "zoned":
        raw, dtype = _view(array, np.dtype(np.int64)), pd.DatetimeTZDtype(spec["unit"], spec["zone"])
        zoned = pd.array(raw, dtype=dtype, copy=False)
        return Column(lambda: zoned)
    if kind == "category":
        return _category(array, spec)
    if kind == "masked":
        return _masked(array, spec)
    if kind == "bits":
        unpacked = _frozen(array.to_numpy(zero_copy_only=False))
        return Column(lambda: unpacked, copied="booleans are packed into bits in Arrow tables")
    if kind == "arrow":
        return Column(lambda: _read_only(pd.arrays.ArrowExtensionArray(pa.chunked_array([array]))))
    raise FrameFormatError(f"columns of a known kind can be read; received kind {kind!r}")


def _view(array: pa.Array, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """A read-only numpy view of an Arrow array's values, whatever its validity says."""
    data = array.buffers()[1]
    if data is None or len(array) == 0:
        return _frozen(np.empty(0, dtype))
    return _frozen(np.frombuffer(data, dtype=dtype, count=len(array), offset=array.offset * dtype.itemsize))


def _frozen(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    values.setflags(write=False)
    return values


def _read_only(values: Any) -> Any:
    # Arrow-backed pandas arrays replace their buffers when written to; pandas 3 can forbid it.
    if hasattr(values, "_readonly"):
        values._readonly = True
    return values


def _strings(array: pa.Array, spec: Spec, small: bool) -> Column:
    if spec["dtype"] == "object" and small:
        return Column(lambda: np.array(array.to_pylist(), dtype=object), copied="labels are Python strings")
    copied = None
    if not pa.types.is_large_string(array.type):
        array = array.cast(pa.large_string())
        copied = "32-bit string offsets are widened to the 64 bits pandas uses"
    dtype: Any
    try:
        dtype = pd.StringDtype("pyarrow", na_value=pd.NA if spec["missing"] == "NA" else np.nan)
    except TypeError:  # pandas before 2.3 has no na_value
        dtype = pd.StringDtype("pyarrow")
    now = f"{dtype!s}[pyarrow]"
    changed = None if spec["dtype"] in (now, "arrow") else f"{spec['dtype']} -> {dtype!s}"
    cls: Any = dtype.construct_array_type()

    def make() -> Any:
        chunked = pa.chunked_array([array])
        try:
            return _read_only(cls(chunked, dtype=dtype))
        except TypeError:  # pandas before 3 derives the dtype
            return _read_only(cls(chunked))

    return Column(make, copied, changed)


def _category(array: pa.DictionaryArray, spec: Spec) -> Column:
    values = decode_values(array.dictionary, spec["categories"], small=True).make()
    categories = pd.Index(values, dtype=getattr(values, "dtype", None), copy=False)
    dtype = pd.CategoricalDtype(categories, ordered=spec["ordered"])
    codes = _view(array.indices, np.dtype(array.indices.type.to_pandas_dtype()))
    own = pd.Categorical.from_codes(codes[:0], dtype=dtype).codes.dtype
    copied = None
    if own != codes.dtype:
        copied = f"category codes are converted from {codes.dtype} to the {own} pandas uses"
        codes = _frozen(codes.astype(own))
    made = pd.Categorical.from_codes(codes, dtype=dtype, validate=False)
    return Column(lambda: made, copied)


def _masked(array: pa.Array, spec: Spec) -> Column:
    name = spec["dtype"]
    numpy_dtype = np.dtype(bool) if name == "boolean" else np.dtype(name.lower())
    values = _view(array, numpy_dtype)
    make = _MASKED.get(name, pd.arrays.IntegerArray)
    if array.null_count == 0:
        # Zeroed memory is handed out lazily, so this costs no time and, until written to, no memory.
        mask, copied = _frozen(np.zeros(len(array), dtype=bool)), None
    else:
        mask = _frozen(np.asarray(array.is_null()))
        copied = "the mask of missing values is unpacked from bits; the values are not copied"
    return Column(lambda: make(values, mask), copied)


def assemble(columns: list[Column], index: Any, labels: Any) -> pd.DataFrame:
    """A new frame of ``columns``, whose values it views.

    pandas 3 can put ready arrays together as they are. The general constructor, the way of earlier versions, looks at
    each first; a process pays for that in memory, too: it writes the reference count of every object it uses.
    """
    arrays = [column.make() for column in columns]
    if internals is None:
        frame = pd.DataFrame(dict(enumerate(arrays)), index=index, copy=False)
        frame.columns = labels
        return frame
    blocks = [
        (
            array.reshape(1, -1) if isinstance(array, np.ndarray) else array,
            np.array([position], dtype=np.intp),
        )
        for position, array in enumerate(arrays)
    ]
    made: pd.DataFrame = internals.create_dataframe_from_blocks(blocks, index, labels)
    return made


def decode_index(arrays: list[pa.Array], spec: Spec, *, small: bool = False) -> Any:
    """The pandas index described by ``spec`` over ``arrays``; values are viewed in place."""
    names = spec["names"]
    if spec["kind"] == "range":
        return pd.RangeIndex(spec["start"], spec["stop"], spec["step"], name=names[0])
    if spec["kind"] == "multi":
        stored = [arrays[level["column"]] for level in spec["levels"]]
        levels = [
            _plain_index(decode_values(array.dictionary, level["values"], small=True).make())
            for array, level in zip(stored, spec["levels"], strict=True)
        ]
        codes: Any = [
            _view(array.indices, np.dtype(array.indices.type.to_pandas_dtype())) for array in stored
        ]
        return pd.MultiIndex(levels=levels, codes=codes, names=names, verify_integrity=False)
    index = _plain_index(decode_values(arrays[spec["column"]], spec["values"], small=small).make())
    index.name = names[0]
    if spec["freq"] is not None:
        # The public setter checks every timestamp; the frequency was true of these very bytes when stored.
        # pandas 3.1 keeps it on the index, earlier versions on its array.
        (index._data if hasattr(index._data, "_freq") else index)._freq = to_offset(spec["freq"])
    return index


def _plain_index(values: Any) -> Any:
    return pd.Index(values, dtype=values.dtype, copy=False)


def decode_labels(spec: Spec) -> Any:
    """The column labels described by ``spec``."""
    if spec["kind"] == "strings":
        return pd.Index(spec["labels"], dtype=spec["dtype"], name=spec["names"][0])
    with pa.ipc.open_stream(base64.b64decode(spec["arrays"])) as reader:
        return decode_index(reader.read_next_batch().columns, spec, small=True)
