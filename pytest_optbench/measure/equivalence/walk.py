"""The default comparison: a walk over two results, choosing a comparator for each pair of values.

The walk keeps its own stack of iterators instead of recursing, so nesting may be as deep as memory allows.
Pairs of containers met before are taken as equal, which ends cycles: two cyclic results are equal when no
difference can be reached.

numpy, pandas and pyarrow are looked at only when something has imported them: a value of theirs cannot exist
before that.
"""

from __future__ import annotations

import sys
from array import array
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, KeysView, Mapping, ValuesView
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

# What a type of values belongs to. The order matters: the first that fits decides.
_FAMILIES: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("unevaluated", (Iterator, AsyncIterator, Awaitable)),
    ("bool", (bool,)),
    ("single", (Enum, Decimal, Fraction, date, time, timedelta, type(None))),
    ("number", (int, float, complex)),
    ("text", (str,)),
    ("bytes", (bytes, bytearray, memoryview)),
    ("mapping", (Mapping,)),
    ("list", (list,)),
    ("tuple", (tuple,)),
    ("deque", (deque,)),
    ("array.array", (array,)),
    ("set", (set, frozenset, KeysView)),
    ("values view", (ValuesView,)),
)


def compare(expected: Any, actual: Any) -> Difference | None:
    """Return the first difference between two results, or None when they count as equal.

    See the package for what counts as equal. Does not change either result.
    """
    families = _Families()
    seen: dict[tuple[int, int], Pair] = {}  # holds the pairs too, so that no id is used again
    stack: list[Iterator[Pair]] = [iter([(ROOT, expected, actual)])]
    try:
        while stack:
            pair = next(stack[-1], None)
            if pair is None:
                stack.pop()
                continue
            inside = _inside(*pair, families)
            if inside is None:
                continue
            key = (id(pair[1]), id(pair[2]))
            if key not in seen:
                seen[key] = pair
                stack.append(iter(inside))
    except Differs as differs:
        return differs.difference
    return None


class _Families(dict[type, str]):
    """The family of each type met, looked up once per comparison."""

    def __missing__(self, kind: type) -> str:
        self[kind] = family = _family(kind)
        return family


def _inside(path: Path, expected: Any, actual: Any, families: _Families) -> Iterable[Pair] | None:
    """Compare the outside of two values; return the pairs inside, None for values without an inside."""
    family, other = families[type(expected)], families[type(actual)]
    if "unevaluated" in (family, other):
        raise _unevaluated(path, expected, actual, expected if family == "unevaluated" else actual)
    if expected is actual:
        return None
    if family != other:
        raise Differs(path, expected, actual, _types(expected, actual))
    match family:
        case "number":
            one, tolerance = _plain(expected)
            two, other_tolerance = _plain(actual)
            compare_numbers(path, one, two, max(tolerance, other_tolerance))
        case "bool":
            if bool(expected) != bool(actual):
                raise Differs(path, bool(expected), bool(actual))
        case "text" | "bytes":
            compare_text(path, expected, actual)
        case "set":
            compare_sets(path, expected, actual)
        case "single":
            _compare_singles(path, expected, actual)
        case _:
            return _pairs(family, path, expected, actual)
    return None


def _pairs(family: str, path: Path, expected: Any, actual: Any) -> Iterable[Pair]:
    """Return the pairs inside two values of a family that has an inside."""
    match family:
        case "mapping":
            return pairs_of_mappings(path, expected, actual)
        case "list" | "tuple" | "deque" | "array.array":
            return pairs_of_sequences(path, expected, actual)
        case "values view":
            return [(path, list(expected), list(actual))]
        case "fields" if type(expected) is type(actual):
            return pairs_of_fields(path, expected, actual)
        case "numpy":
            from .arrays import pairs_of_arrays

            return pairs_of_arrays(path, expected, actual)
        case "pandas":
            from .frames import pairs_of_pandas

            return pairs_of_pandas(path, expected, actual)
        case "arrow":
            from .arrow import pairs_of_arrow

            return pairs_of_arrow(path, expected, actual)
        case _ if type(expected) is type(actual):
            return pairs_of_objects(path, expected, actual)
    raise Differs(path, expected, actual, _types(expected, actual))


def _family(kind: type) -> str:
    """Return the family of types within which values of type ``kind`` may be equal."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and issubclass(kind, (numpy.ndarray, numpy.generic)):
        if issubclass(kind, numpy.bool_):
            return "bool"
        if issubclass(kind, (numpy.number, str, bytes)) and not issubclass(kind, numpy.timedelta64):
            return (
                "number" if issubclass(kind, numpy.number) else "text" if issubclass(kind, str) else "bytes"
            )
        return "numpy"
    pandas = sys.modules.get("pandas")
    if pandas is not None and issubclass(
        kind, (pandas.Series, pandas.DataFrame, pandas.Index, pandas.api.extensions.ExtensionArray)
    ):
        return "pandas"
    arrow = sys.modules.get("pyarrow")
    if arrow is not None and issubclass(
        kind, (arrow.Table, arrow.RecordBatch, arrow.Array, arrow.ChunkedArray, arrow.Scalar)
    ):
        return "arrow"
    if compared_fields(kind) is not None:
        return "fields"
    return next((family for family, kinds in _FAMILIES if issubclass(kind, kinds)), "object")


def _plain(value: Any) -> tuple[Any, float]:
    """Return a number as Python's own, with the relative tolerance its precision asks for."""
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        return value, RELATIVE
    from .arrays import relative_tolerance

    return {"i": int, "u": int, "f": float, "c": complex}[dtype.kind](value), relative_tolerance(dtype)


def _compare_singles(path: Path, expected: Any, actual: Any) -> None:
    """Compare two values without an inside, which must be of one type; Decimal NaN equals itself."""
    if type(expected) is not type(actual):
        raise Differs(path, expected, actual, _types(expected, actual))
    if isinstance(expected, Decimal) and (expected.is_nan() or actual.is_nan()):
        equal = expected.is_nan() and actual.is_nan()
    else:
        equal = bool(expected == actual)
    if not equal:
        raise Differs(path, expected, actual)


def _unevaluated(path: Path, expected: Any, actual: Any, value: Any) -> Differs:
    return Differs(
        path,
        expected,
        actual,
        f"a {type(value).__qualname__} cannot be compared: looking at it would use it up; "
        "return what it yields, for example list(...)",
    )


def _types(expected: Any, actual: Any) -> str:
    return f"types {type(expected).__qualname__} and {type(actual).__qualname__}"
