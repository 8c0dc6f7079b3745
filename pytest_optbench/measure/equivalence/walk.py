"""The default comparison: a walk over two results, choosing a comparator for each pair of values.

The walk keeps its own stack of iterators instead of recursing, so nesting may be as deep as memory allows.
Pairs of containers met before are taken as equal, which ends cycles: two cyclic results are equal when no
difference can be reached.

numpy, pandas and pyarrow are looked at only when something has imported them: a value of theirs cannot exist
before that.
"""

from __future__ import annotations

import inspect
import sys
from array import array
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, KeysView, Mapping, ValuesView
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any

from .containers import (
    Pair,
    compare_sets,
    compared_fields,
    pairs_of_fields,
    pairs_of_mappings,
    pairs_of_objects,
    pairs_of_sequences,
)
from .difference import ROOT, Difference, Differs, Path
from .scalars import RELATIVE, compare_numbers, compare_text

_BYTES = (bytes, bytearray, memoryview)
_SEQUENCES = (list, tuple, deque, array)
_SETS = (set, frozenset, KeysView)


def compare(expected: Any, actual: Any) -> Difference | None:
    """Return the first difference between two results, or None when they count as equal.

    See the package for what counts as equal. Does not change either result.
    """
    seen: dict[tuple[int, int], Pair] = {}  # holds the pairs too, so that no id is used again
    stack: list[Iterator[Pair]] = [iter([(ROOT, expected, actual)])]
    try:
        while stack:
            pair = next(stack[-1], None)
            if pair is None:
                stack.pop()
                continue
            inside = _inside(*pair)
            if inside is None:
                continue
            key = (id(pair[1]), id(pair[2]))
            if key not in seen:
                seen[key] = pair
                stack.append(iter(inside))
    except Differs as differs:
        return differs.difference
    return None


def _inside(path: Path, expected: Any, actual: Any) -> Iterable[Pair] | None:
    """Compare the outside of two values; return the pairs inside, None for values without an inside."""
    _refuse_unevaluated(path, expected, actual)
    if expected is actual:
        return None
    expected, tolerance = _plain(expected)
    actual, other_tolerance = _plain(actual)
    family = _family(expected)
    if family != _family(actual):
        raise Differs(
            path, expected, actual, f"types {type(expected).__qualname__} and {type(actual).__qualname__}"
        )
    match family:
        case "number":
            compare_numbers(path, expected, actual, max(tolerance, other_tolerance))
        case "text" | "bytes":
            compare_text(path, expected, actual)
        case "set":
            compare_sets(path, expected, actual)
        case "mapping":
            return pairs_of_mappings(path, expected, actual)
        case "list" | "tuple" | "deque" | "array.array":
            return pairs_of_sequences(path, expected, actual)
        case "values view":
            return [(path, list(expected), list(actual))]
        case "fields":
            if type(expected) is not type(actual):
                raise Differs(
                    path, expected, actual, f"types {type(expected).__name__} and {type(actual).__name__}"
                )
            return pairs_of_fields(path, expected, actual, compared_fields(expected) or ())
        case "numpy":
            from .arrays import pairs_of_arrays

            return pairs_of_arrays(path, expected, actual)
        case "pandas":
            from .frames import pairs_of_pandas

            return pairs_of_pandas(path, expected, actual)
        case "arrow":
            from .arrow import pairs_of_arrow

            return pairs_of_arrow(path, expected, actual)
        case "object" if type(expected) is not type(actual) or not _is_single(expected):
            return pairs_of_objects(path, expected, actual)
        case _:
            if not _same_single(expected, actual):
                raise Differs(path, expected, actual)
    return None


def _plain(value: Any) -> tuple[Any, float]:
    """Return a numpy number or bool as Python's, with the relative tolerance its precision asks for."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, (numpy.number, numpy.bool_)):
        return value, RELATIVE
    if isinstance(value, numpy.timedelta64):  # counts as an integer in numpy's tree of types
        return value, RELATIVE
    from .arrays import relative_tolerance

    kinds = {"b": bool, "i": int, "u": int, "f": float, "c": complex}
    return kinds[value.dtype.kind](value), relative_tolerance(value.dtype)


def _family(value: Any) -> str:
    """Return the family of types within which values may be equal."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, Enum):
        return "object"
    if isinstance(value, (int, float, complex)):
        return "number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, _BYTES):
        return "bytes"
    library = _library_family(value)
    if library is not None:
        return library
    if compared_fields(value) is not None and not isinstance(value, type):
        return "fields"
    if isinstance(value, Mapping):
        return "mapping"
    for kind in _SEQUENCES:
        if isinstance(value, kind):
            return "array.array" if kind is array else kind.__name__
    if isinstance(value, _SETS):
        return "set"
    return "values view" if isinstance(value, ValuesView) else "object"


_SINGLE = (Enum, Decimal, Fraction, date, time, timedelta)


def _is_single(value: Any) -> bool:
    return value is None or isinstance(value, _SINGLE)


def _same_single(expected: Any, actual: Any) -> bool:
    """Whether two values without an inside and of one type are equal; Decimal NaN equals itself."""
    if isinstance(expected, Decimal) and (expected.is_nan() or actual.is_nan()):
        return expected.is_nan() and actual.is_nan()
    return bool(expected == actual)


def _library_family(value: Any) -> str | None:
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        return "numpy"
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(
        value, (pandas.Series, pandas.DataFrame, pandas.Index, pandas.api.extensions.ExtensionArray)
    ):
        return "pandas"
    arrow = sys.modules.get("pyarrow")
    if arrow is not None and isinstance(
        value, (arrow.Table, arrow.RecordBatch, arrow.Array, arrow.ChunkedArray, arrow.Scalar)
    ):
        return "arrow"
    return None


def _refuse_unevaluated(path: Path, expected: Any, actual: Any) -> None:
    for value in (expected, actual):
        if isinstance(value, (Iterator, AsyncIterator)) or inspect.isawaitable(value):
            raise Differs(
                path,
                expected,
                actual,
                f"a {type(value).__qualname__} cannot be compared: looking at it would use it up; "
                "return what it yields, for example list(...)",
            )
