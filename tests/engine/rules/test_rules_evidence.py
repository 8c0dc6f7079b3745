"""Evidence becomes plain JSON data, whatever it was."""

from __future__ import annotations

import collections
import enum
import json
import pathlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optengine.rules.evidence import sanitise


class Colour(enum.IntEnum):
    RED = 1


class Loud(str):
    pass


Point = collections.namedtuple("Point", "x y")
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("abc é"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
    max_leaves=20,
)
ANYTHING = st.recursive(
    JSON
    | st.binary(max_size=5)
    | st.floats()
    | st.sets(st.integers())
    | st.text()
    | st.complex_numbers()
    | st.just(object())
    | st.just(len),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.integers() | st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_json_data_stays_as_it_is(value: Any) -> None:
    """Plain JSON data is not touched."""
    assert sanitise(value) == value


@given(ANYTHING)
def test_everything_becomes_json(value: Any) -> None:
    """Whatever comes in, what comes out is JSON data, encodable and stable."""
    clean = sanitise(value)
    assert json.loads(json.dumps(clean, allow_nan=False)) == clean
    assert sanitise(clean) == clean or "__type__" in json.dumps(clean)
    json.dumps(clean, ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, "a"), [1, "a"]),
        ({2, 1}, {"__type__": "set", "value": [1, 2]}),
        (b"\x00\xff", {"__type__": "bytes", "base64": "AP8=", "length": 2}),
        (float("inf"), {"__type__": "float", "repr": "inf"}),
        (Colour.RED, {"__type__": "test_rules_evidence.Colour", "value": 1}),
        (Loud("x"), {"__type__": "test_rules_evidence.Loud", "value": "x"}),
        (Point(1, 2), {"__type__": "test_rules_evidence.Point", "value": [1, 2]}),
        ({1: "a"}, {"__type__": "dict", "value": {"1": "a"}}),
        (3 + 4j, {"__type__": "complex", "repr": "(3+4j)"}),
        ({"__type__": "forged"}, {"__type__": "dict", "value": {"__type__": "forged"}}),
        ("\udc80", "\\udc80"),
    ],
)
def test_types_are_named(value: object, expected: object) -> None:
    """What JSON cannot hold keeps its value where it has one, and always the name of its type."""
    assert sanitise(value) == expected


def test_paths_name_their_type() -> None:
    """A path is given as text with the name of its class."""
    assert sanitise(pathlib.PurePosixPath("a/b")) == {"__type__": "pathlib.PurePosixPath", "value": "a/b"}


def test_objects_lose_their_address() -> None:
    """The memory address in a repr would differ in every process, so it is left out."""
    assert "0x..." in sanitise(object())["repr"]


def test_circles_depth_and_length_are_cut() -> None:
    """Circular, deep and long evidence is cut with a note in the place of what is missing."""
    circle: list[Any] = []
    circle.append(circle)
    assert sanitise(circle) == [{"__type__": "list", "cut": "circular"}]
    deep: Any = "end"
    for _ in range(50):
        deep = [deep]
    assert "too deep" in json.dumps(sanitise(deep))
    long = sanitise(list(range(50_000)))
    assert long[-1]["cut"].endswith("more")
    assert len(long) < 20_000
    assert sanitise("x" * 300_000).endswith("(200000 more characters)")


class Hostile(dict[str, int]):
    def items(self) -> Any:
        raise RuntimeError("no")


class Liar(float):
    """A number that turns into another one."""

    def __float__(self) -> float:
        return float("nan")


def test_numbers_are_those_they_are() -> None:
    """A subclass cannot smuggle in what JSON cannot hold, and a number too long for decimals keeps its first digits."""
    assert sanitise(Liar(2.5)) == {"__type__": "test_rules_evidence.Liar", "value": 2.5}
    assert sanitise(2**2048 - 1) == 2**2048 - 1
    long = sanitise(-(2**40_000))
    assert long["hex"].startswith("-0x1000")
    assert (long["__type__"], long["bits"]) == ("int", 40_001)


def test_many_long_texts_are_cut() -> None:
    """Thousands of long texts and bytes do not add up to gigabytes."""
    clean = sanitise({"texts": ["x" * 100_000] * 1000, "bytes": [b"x" * 100_000] * 1000})
    assert len(json.dumps(clean)) < 30_000_000
    assert clean["texts"][0] == "x" * 100_000
    assert clean["texts"][-1] == "... (100000 more characters)"
    assert clean["bytes"][-1] == {"__type__": "bytes", "base64": "", "length": 100_000}


def test_hostile_containers_are_reported() -> None:
    """A container that raises while it is read gives a note instead of an error."""
    assert "RuntimeError" in sanitise(Hostile(a=1))["unreadable"]
