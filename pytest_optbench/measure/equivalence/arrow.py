"""Arrow: types and values of tables, record batches, arrays and scalars, however they are chunked.

Imported only when pyarrow already is. Schema metadata is not compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from .difference import Differs, Path

Pair = tuple[Path, Any, Any]


def pairs_of_arrow(path: Path, expected: Any, actual: Any) -> Iterator[Pair]:
    """Yield the parts of two Arrow objects that are not already equal."""
    if isinstance(expected, pa.Scalar) and isinstance(actual, pa.Scalar):
        _same_type(path, expected, actual)
        yield path / ".as_py()", expected.as_py(), actual.as_py()
    elif _is_table(expected) and _is_table(actual):
        if expected.num_rows != actual.num_rows:
            raise Differs(path / ".num_rows", expected.num_rows, actual.num_rows)
        yield path / ".column_names", expected.schema.names, actual.schema.names
        for position, name in enumerate(expected.schema.names):
            yield from _columns(path.item(name), expected.column(position), actual.column(position))
    elif _is_column(expected) and _is_column(actual):
        yield from _columns(path, expected, actual)
    else:
        raise Differs(path, expected, actual, f"types {type(expected).__name__} and {type(actual).__name__}")


def _columns(path: Path, expected: Any, actual: Any) -> Iterator[Pair]:
    _same_type(path, expected, actual)
    if len(expected) != len(actual):
        raise Differs(path, expected, actual, f"lengths {len(expected)} and {len(actual)}")
    one, two = (_chunked(side) for side in (expected, actual))
    if one.equals(two):  # false for NaN, so what is not equal gets the tolerant look below
        return
    if pa.types.is_floating(one.type):
        yield path / ".is_null()", np.asarray(one.is_null()), np.asarray(two.is_null())
        yield path, _floats(one), _floats(two)
    else:
        yield path, one.to_pylist(), two.to_pylist()


def _floats(column: Any) -> Any:
    """Return a float column as an array; nulls (compared before) become NaN."""
    return np.asarray(column.to_numpy())


def _chunked(column: Any) -> Any:
    return column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])


def _same_type(path: Path, expected: Any, actual: Any) -> None:
    if expected.type != actual.type:
        raise Differs(path / ".type", str(expected.type), str(actual.type))


def _is_table(value: object) -> bool:
    return isinstance(value, (pa.Table, pa.RecordBatch))


def _is_column(value: object) -> bool:
    return isinstance(value, (pa.Array, pa.ChunkedArray))
