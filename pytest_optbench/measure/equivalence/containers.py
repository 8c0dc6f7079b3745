"""Containers and objects: each comparator checks the outside and yields the pairs inside."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .difference import Differs, Path, shown

Pair = tuple[Path, Any, Any]

# Exact types whose equal values need no closer look; equal floats neither, unequal ones may still be close.
_PLAIN = frozenset({int, float, str, bytes, bool, type(None)})


def pairs_of_mappings(path: Path, expected: Mapping[Any, Any], actual: Mapping[Any, Any]) -> Iterator[Pair]:
    """Yield the values of equal keys."""
    for key in expected:
        if key not in actual:
            raise Differs(path, expected, actual, f"key {shown(key)} is missing")
    for key in actual:
        if key not in expected:
            raise Differs(path, expected, actual, f"key {shown(key)} is not expected")
    if isinstance(expected, OrderedDict) and isinstance(actual, OrderedDict):
        yield path / ".keys()", list(expected), list(actual)
    for key, value in expected.items():
        yield path.item(key), value, actual[key]


def pairs_of_sequences(path: Path, expected: Any, actual: Any) -> Iterator[Pair]:
    """Yield the items that need a closer look, by position (by field name in named tuples)."""
    fields = getattr(expected, "_fields", None)
    if fields is not None and getattr(actual, "_fields", fields) != fields:
        raise Differs(path, expected, actual, "the fields of the named tuples differ")
    if len(expected) != len(actual):
        raise Differs(path, expected, actual, f"lengths {len(expected)} and {len(actual)}")
    for position, (one, two) in enumerate(zip(expected, actual, strict=True)):
        if type(one) is type(two) and type(one) in _PLAIN and one == two:
            continue
        yield (path / f".{fields[position]}" if fields else path / f"[{position}]"), one, two


def compare_sets(path: Path, expected: Any, actual: Any) -> None:
    """Compare members exactly; NaN counts as one member."""
    one, two = _with_one_nan(expected), _with_one_nan(actual)
    if one == two:
        return
    parts = [
        f"{len(rest)} {what}: " + ", ".join(sorted(shown(member) for member in rest)[:3])
        for rest, what in ((one - two, "missing"), (two - one, "not expected"))
        if rest
    ]
    raise Differs(path, expected, actual, "; ".join(parts))


def compared_fields(kind: type) -> list[str] | None:
    """Return the names of the fields a dataclass or attrs class compares; None for other classes."""
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind) if field.compare]
    attributes = getattr(kind, "__attrs_attrs__", None)
    if attributes is None:
        return None
    return [attribute.name for attribute in attributes if attribute.eq]


def pairs_of_fields(path: Path, expected: object, actual: object) -> Iterator[Pair]:
    """Yield the compared fields of two instances of one class; a field may be not set."""
    for name in compared_fields(type(expected)) or ():
        yield path / f".{name}", getattr(expected, name, _UNSET), getattr(actual, name, _UNSET)


def pairs_of_objects(path: Path, expected: object, actual: object) -> Iterator[Pair]:
    """Compare two objects of one class by ``==``, or by pickled state when the class defines no ``==``.

    State is what ``__reduce_ex__(2)`` gives. An object that cannot be pickled has state Python cannot see, so
    it counts as different.
    """
    if type(expected).__eq__ is not object.__eq__:
        if not _equal(path, expected, actual):
            raise Differs(path, expected, actual, "")
        return
    if isinstance(expected, type) or type(expected) is object:
        raise Differs(path, expected, actual, "not the same object")
    try:
        one, two = expected.__reduce_ex__(2), actual.__reduce_ex__(2)
    except Exception as error:
        raise _cannot(
            path, expected, actual, f"it has no == and its state cannot be read: {error}"
        ) from error
    if isinstance(one, str) or isinstance(two, str):  # known by a global name, so a thing of its own
        raise Differs(path, expected, actual, "not the same object")
    yield from _pairs_of_states(path, one, two)


def _pairs_of_states(path: Path, expected: tuple[Any, ...], actual: tuple[Any, ...]) -> Iterator[Pair]:
    one, two = ([*state, None, None, None, None][:5] for state in (expected, actual))
    yield path / ".__class__", one[0], two[0]
    yield path / ".args", one[1], two[1]
    for states in zip(_split_state(one[2]), _split_state(two[2]), strict=True):
        if all(isinstance(state, dict) for state in states):
            names = {**states[0], **states[1]}
            for name in names:
                yield path / f".{name}", states[0].get(name, _UNSET), states[1].get(name, _UNSET)
        else:
            yield path / ".__getstate__()", *states
    for position in (3, 4):  # what lists and dicts among the base classes hold
        yield path, _listed(one[position]), _listed(two[position])


def _listed(items: Any) -> list[Any] | None:
    return None if items is None else list(items)


def _split_state(state: Any) -> tuple[Any, Any]:
    """Return (``__dict__``, slots): the default state is one dict, or a pair when the class has slots."""
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):
        return state[0] or {}, state[1]
    return {} if state is None else state, {}


def _equal(path: Path, expected: Any, actual: Any) -> bool:
    try:
        return bool(expected == actual)
    except Exception as error:
        detail = f"its == raised {type(error).__name__}: {error}"
        raise _cannot(path, expected, actual, detail) from error


def _cannot(path: Path, expected: object, actual: object, why: str) -> Differs:
    return Differs(path, expected, actual, f"{_type(expected)} cannot be compared, {why}; pass equal=")


def _type(value: object) -> str:
    return type(value).__qualname__


def _with_one_nan(members: Iterable[Any]) -> set[Any]:
    return {_NAN if isinstance(member, float) and member != member else member for member in members}


class _Unset:
    def __repr__(self) -> str:
        return "<not set>"


_UNSET = _Unset()
_NAN = type("NaN", (), {"__repr__": lambda _: "nan"})()
