"""pandas: labels, names, dtypes and values of frames, series, indexes and extension arrays.

Imported only when pandas already is. Numpy dtypes have to agree in kind (int32 and int64 do), extension
dtypes (categories, time zones, nullable numbers, strings) in their full name. Flags, attrs and the frequency
of an index are not compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from .difference import Differs, Path

Pair = tuple[Path, Any, Any]


def pairs_of_pandas(path: Path, expected: Any, actual: Any) -> Iterator[Pair]:
    """Yield the parts of two pandas objects: labels first, then values by position."""
    for kind in (pd.DataFrame, pd.Series, pd.MultiIndex, pd.Index):
        if isinstance(expected, kind) != isinstance(actual, kind):
            raise Differs(
                path, expected, actual, f"types {type(expected).__name__} and {type(actual).__name__}"
            )
        if isinstance(expected, kind):
            break
    if expected.shape != actual.shape:
        raise Differs(path, _brief(expected), _brief(actual), f"shapes {expected.shape} and {actual.shape}")
    if isinstance(expected, pd.DataFrame):
        yield path / ".columns", expected.columns, actual.columns
        yield path / ".index", expected.index, actual.index
        for position, label in enumerate(expected.columns):
            columns = (side.iloc[:, position].array for side in (expected, actual))
            yield from _values(path.item(label) / ".iloc", *columns)
    elif isinstance(expected, pd.Series):
        yield path / ".name", expected.name, actual.name
        yield path / ".index", expected.index, actual.index
        yield from _values(path / ".iloc", expected.array, actual.array)
    elif isinstance(expected, pd.MultiIndex):
        yield path / ".names", list(expected.names), list(actual.names)
        if expected.nlevels != actual.nlevels:
            raise Differs(path / ".nlevels", expected.nlevels, actual.nlevels)
        for level in range(expected.nlevels):
            values = (side.get_level_values(level).array for side in (expected, actual))
            yield from _values(path / f".get_level_values({level})", *values)
    elif isinstance(expected, pd.Index):
        yield path / ".name", expected.name, actual.name
        yield from _values(path, expected.array, actual.array)
    else:
        yield from _values(path, expected, actual)


def _values(path: Path, expected: Any, actual: Any) -> Iterator[Pair]:
    """Compare two extension arrays of equal length (numpy data comes wrapped in one)."""
    dtypes = _dtype(expected), _dtype(actual)
    if all(isinstance(dtype, np.dtype) for dtype in dtypes):
        yield path, expected.to_numpy(), actual.to_numpy()
        return
    if str(dtypes[0]) != str(dtypes[1]):
        raise Differs(path / ".dtype", str(dtypes[0]), str(dtypes[1]))
    if isinstance(dtypes[0], pd.CategoricalDtype):
        yield path / ".cat.ordered", bool(expected.ordered), bool(actual.ordered)
        if expected.ordered:
            yield path / ".cat.categories", expected.categories, actual.categories
        yield path, np.asarray(expected), np.asarray(actual)
    elif hasattr(expected, "asi8"):  # instants with a time zone, periods: integers underneath
        yield path, expected.asi8, actual.asi8
    else:
        yield path / ".isna()", np.asarray(expected.isna()), np.asarray(actual.isna())
        yield path, *(side.to_numpy(dtype=object) for side in (expected, actual))


def _dtype(values: Any) -> Any:
    """Return the dtype underneath: numpy's own where pandas only wraps it."""
    wrapped = isinstance(values, pd.arrays.NumpyExtensionArray)
    return values.to_numpy().dtype if wrapped else values.dtype


def _brief(value: Any) -> str:
    return f"{type(value).__name__} of shape {value.shape}"
