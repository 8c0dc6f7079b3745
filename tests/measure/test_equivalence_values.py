"""The default comparison on plain Python values: what counts as equal, and how a difference reads."""

from __future__ import annotations

import array
import collections
import copy
import dataclasses
import datetime
import enum
import functools
import math
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_optbench.measure.equivalence import Difference, compare

NAN = float("nan")


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Level(enum.IntEnum):
    LOW = 1


class Bar(NamedTuple):
    open: float
    close: float


@dataclasses.dataclass
class Order:
    price: float
    tags: list[str] = dataclasses.field(default_factory=list)
    cache: int = dataclasses.field(default=0, compare=False)


@dataclasses.dataclass(slots=True)
class Slotted:
    value: float


class Plain:
    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


class WithSlots:
    __slots__ = ("left", "right")


class Model:
    def __init__(self, weight: float) -> None:
        self.weight = weight

    def __call__(self) -> float:
        return self.weight


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and self.cents == other.cents

    __hash__ = None

    def __repr__(self) -> str:
        return f"Money({self.cents})"


class Attrs:
    """Looks like a class made by attrs, which is not installed here."""

    class _Attribute(NamedTuple):
        name: str
        eq: bool

    __attrs_attrs__ = (_Attribute("price", True), _Attribute("cache", False))

    def __init__(self, price: float, cache: int) -> None:
        self.price, self.cache = price, cache


class Broken:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison today")

    __hash__ = None

    def __repr__(self) -> str:
        raise RuntimeError("no repr either")


def slotted(left: int) -> WithSlots:
    made = WithSlots()
    made.left = left
    return made


EQUAL = [
    (None, None),
    (True, True),
    (3, 3),
    (3, 3.0),
    (10**400, 10**400),
    (1.0, 1.0 + 5e-10),
    (0.0, 1e-13),
    (0.0, -0.0),
    (NAN, float("nan")),
    (math.inf, math.inf),
    (1 + 2j, 1 + 2.0000000001j),
    (complex(NAN, 1), complex(NAN, 1)),
    (1e9 + 1e-3j, 1e9 + 1.1e-3j),
    ("abc", "abc"),
    (b"abc", bytearray(b"abc")),
    (memoryview(b"ab"), b"ab"),
    (Decimal("1.10"), Decimal("1.1")),
    (Decimal("nan"), Decimal("NaN")),
    (Fraction(1, 3), Fraction(2, 6)),
    (Colour.RED, Colour.RED),
    (datetime.datetime(2026, 1, 1), datetime.datetime(2026, 1, 1)),
    (uuid.UUID(int=3), uuid.UUID(int=3)),
    ([1.0, "x", None], [1.0 + 1e-12, "x", None]),
    ((1, 2), (1, 2)),
    (Bar(1.0, 2.0), Bar(1.0, 2.0 + 1e-12)),
    (collections.deque([1.0]), collections.deque([1.0 + 1e-12])),
    (array.array("d", [1.0]), array.array("d", [1.0 + 1e-12])),
    ({"a": [NAN]}, {"a": [NAN]}),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({"a": 1}, collections.defaultdict(int, a=1)),
    ({"a": 1}, MappingProxyType({"a": 1})),
    (collections.OrderedDict(a=1, b=2), {"b": 2, "a": 1}),
    ({1, 2}, frozenset({2, 1})),
    ({NAN, 1}, {float("nan"), 1}),
    ({"a": 1}.keys(), {"a": 2}.keys()),
    ({"a": 1.0}.values(), {"b": 1.0}.values()),
    ({"a": 1}.items(), {"a": 1}.items()),
    (range(0, 4, 2), range(0, 3, 2)),
    (Order(1.0, ["x"], cache=1), Order(1.0 + 1e-12, ["x"], cache=2)),
    (Slotted(1.0), Slotted(1.0 + 1e-12)),
    (Attrs(1.0, 1), Attrs(1.0 + 1e-12, 2)),
    (Plain(price=1.0), Plain(price=1.0 + 1e-12)),
    (slotted(1), slotted(1)),
    (Model(1.0), Model(1.0 + 1e-12)),
    (functools.partial(len, [1.0]), functools.partial(len, [1.0 + 1e-12])),
    (Money(5), Money(5)),
    (ValueError("x", 1.0), ValueError("x", 1.0 + 1e-12)),
    (re.compile("a"), re.compile("a")),
    (len, len),
    (Plain, Plain),
]


def _names(cases: Sequence[tuple[object, ...]]) -> list[str]:
    """Return ids that are the same in every process: a repr may hold addresses or the order of a set."""
    return [f"{number}-{type(case[0]).__name__}" for number, case in enumerate(cases)]


@pytest.mark.parametrize(("expected", "actual"), EQUAL, ids=_names(EQUAL))
def test_equal_values(expected, actual):
    """Values of one family that agree (floats within tolerance, NaN with NaN) are equal, both ways round."""
    assert compare(expected, actual) is None
    assert compare(actual, expected) is None


DIFFERENT = [
    (True, 1, "result: expected True, got 1 (types bool and int)"),
    (1, True, "result: expected 1, got True (types int and bool)"),
    (0, None, "result: expected 0, got None (types int and NoneType)"),
    (3, 4, "result: expected 3, got 4 (off by 1)"),
    (10**400, 0, "off by more than 1e20"),
    (10**400, 1.5, "got 1.5"),
    (1.5, 1.6, "result: expected 1.5, got 1.6 (off by 0.1, 0.063 of the larger)"),
    (1.0, 1.0 + 2e-9, "off by 2e-09, 2e-09 of the larger"),
    (1e300, math.inf, "result: expected 1e+300, got inf"),
    (math.inf, -math.inf, "result: expected inf, got -inf"),
    (NAN, 1.0, "result: expected nan, got 1.0"),
    (1 + 2j, 1 + 3j, "result: expected (1+2j), got (1+3j) (off by 1"),
    (complex(math.inf, 1), complex(math.inf, 2), "result: expected (inf+1j), got (inf+2j)"),
    ("12", 12, "result: expected '12', got 12 (types str and int)"),
    ("abcd", "abxd", "first difference at character 2: 'abcd' and 'abxd'"),
    ("ab", "abc", "first difference at character 2: 'ab' and 'abc'"),
    (b"ab", b"ac", "first difference at byte 1: b'ab' and b'ac'"),
    ("ab", b"ab", "types str and bytes"),
    (Decimal("1.1"), 1.1, "types Decimal and float"),
    (Decimal("1.1"), Decimal("1.2"), "result: expected Decimal('1.1'), got Decimal('1.2')"),
    (Decimal("nan"), Decimal("1"), "result: expected Decimal('NaN'), got Decimal('1')"),
    (Fraction(1, 2), Fraction(1, 3), "result: expected Fraction(1, 2), got Fraction(1, 3)"),
    (Colour.RED, Colour.BLUE, "result: expected <Colour.RED: 1>, got <Colour.BLUE: 2>"),
    (Level.LOW, 1, "types Level and int"),
    (
        datetime.datetime(2026, 1, 1),
        datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        "got datetime.datetime(2026, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)",
    ),
    (datetime.date(2026, 1, 1), datetime.datetime(2026, 1, 1), "types date and datetime"),
    ([1, 2], (1, 2), "types list and tuple"),
    ([1, 2], [1, 2, 3], "result: expected [1, 2], got [1, 2, 3] (lengths 2 and 3)"),
    ([1, [2, 3]], [1, [2, 4]], "result[1][1]: expected 3, got 4"),
    (Bar(1, 2), Bar(1, 3), "result.close: expected 2, got 3"),
    (Bar(1, 2), collections.namedtuple("Tick", "bid ask")(1, 2), "the fields of the named tuples differ"),
    (
        {"prices": [Bar(1, 2), Bar(3, 4)]},
        {"prices": [Bar(1, 2), Bar(3, 5)]},
        "result['prices'][1].close: expected 4, got 5 (off by 1)",
    ),
    ({"a": 1}, {}, "result: expected {'a': 1}, got {} (key 'a' is missing)"),
    ({}, {"a": 1}, "result: expected {}, got {'a': 1} (key 'a' is not expected)"),
    (
        collections.OrderedDict(a=1, b=2),
        collections.OrderedDict(b=2, a=1),
        "result.keys()[0]: expected 'a', got 'b'",
    ),
    ({1, 2}, {2, 3, 4}, "(1 missing: 1; 2 not expected: 3, 4)"),
    ({1}, [1], "types set and list"),
    (range(3), range(4), "result: expected range(0, 3), got range(0, 4)"),
    (Order(1.0, ["x"]), Order(1.0, ["y"]), "result.tags[0]: expected 'x', got 'y'"),
    (Order(1.0), Plain(price=1.0), "types Order and Plain"),
    (Order(1.0), Slotted(1.0), "types Order and Slotted"),
    (Attrs(1.0, 1), Attrs(2.0, 1), "result.price: expected 1.0, got 2.0"),
    (Plain(price=1.0), Plain(price=2.0), "result.price: expected 1.0, got 2.0"),
    (Plain(a=1), Plain(b=1), "result.a: expected 1, got <not set>"),
    (slotted(1), slotted(2), "result.left: expected 1, got 2"),
    (WithSlots(), slotted(2), "result.left: expected <not set>, got 2"),
    (Model(1.0), Model(2.0), "result.weight: expected 1.0, got 2.0"),
    (functools.partial(len, [1]), functools.partial(max, [1]), "built-in function"),
    (Money(5), Money(6), "result: expected Money(5), got Money(6)"),
    (Money(5), Plain(), "types Money and Plain"),
    (ValueError("x"), ValueError("y"), "result.args[0]: expected 'x', got 'y'"),
    (ValueError("x"), KeyError("x"), "types ValueError and KeyError"),
    (len, max, "result: expected <built-in function len>, got <built-in function max>"),
    (Plain, Order, "not the same object"),
    (object(), object(), "not the same object"),
    (re.compile("a"), re.compile("b"), "result: expected re.compile('a'), got re.compile('b')"),
]


@pytest.mark.parametrize(("expected", "actual", "message"), DIFFERENT, ids=_names(DIFFERENT))
def test_different_values(expected, actual, message):
    """A difference says where it is, shows both values and how far they are apart."""
    difference = compare(expected, actual)
    assert isinstance(difference, Difference)
    assert message in difference.message
    assert str(difference) == difference.message
    assert compare(actual, expected) is not None


async def _coroutine() -> None: ...


@pytest.mark.parametrize(
    "make",
    [lambda: (i for i in "ab"), lambda: iter([1]), lambda: map(str, [1])],
    ids=["generator", "iter", "map"],
)
def test_iterators_are_refused_with_the_cure(make):
    """An iterator would be used up by looking at it, so it counts as different, even the very same one."""
    one = make()
    for other in (make(), one):
        assert (
            "cannot be compared: looking at it would use it up; return what it yields, for example list"
            in (compare(one, other).message)
        )
    assert compare([one], [make()]).path == "result[0]"


def test_awaitables_are_refused():
    """A coroutine that was never awaited is no result."""
    waiting = _coroutine()
    try:
        assert "a coroutine cannot be compared" in compare(waiting, waiting).message
    finally:
        waiting.close()


def test_objects_whose_state_cannot_be_seen_count_as_different():
    """Locks have neither == nor readable state; the message points to equal=."""
    message = compare(threading.Lock(), threading.Lock()).message
    assert "lock cannot be compared, it has no == and its state cannot be read" in message
    assert message.endswith("; pass equal=)")


def test_an_equality_that_raises_counts_as_different():
    """Neither a raising == nor a raising repr hides the difference."""
    difference = compare([Broken()], [Broken()])
    assert difference.path == "result[0]"
    assert difference.expected.startswith("<Broken instance at")
    assert difference.detail == (
        "Broken cannot be compared, its == raised RuntimeError: no comparison today; pass equal="
    )


def test_functions_need_an_equality_of_their_own():
    """Two fresh functions cannot be told equal; the message says so and points to equal=."""
    message = compare(lambda: 1, lambda: 1).message
    assert "function cannot be compared, it has no == and its state cannot be read" in message


def test_cycles_end():
    """Cyclic structures of the same shape are equal; a difference inside is still found."""

    def cyclic(value: int) -> dict[str, Any]:
        inner: dict[str, Any] = {"value": value}
        inner["self"] = [inner]
        return inner

    assert compare(cyclic(1), cyclic(1)) is None
    assert compare(cyclic(1), cyclic(2)).message.startswith("result['value']: expected 1, got 2")


def test_very_deep_nesting():
    """Fifty thousand levels are walked without recursion, and the path leaves out the middle."""

    def nested(bottom: int) -> list[Any]:
        value: list[Any] = [bottom]
        for _ in range(50_000):
            value = [value]
        return value

    one, same, other = nested(1), nested(1), nested(2)
    assert compare(one, same) is None
    difference = compare(one, other)
    assert (difference.expected, difference.actual) == ("1", "2")
    assert re.fullmatch(r"result(\[0\]){11} \.\.\. 49978 levels \.\.\. (\[0\]){12}", difference.path)
    for value in (one, same, other):  # taken apart by hand: freeing it in one go would recurse too
        while value and isinstance(value[0], list):
            value[:] = value[0]


def test_long_values_are_shortened():
    """The message stays readable when the values are huge."""
    assert len(compare("a" * 10_000, "b" * 10_000).message) < 500
    assert len(compare([1] * 10_000, [1] * 9_999).message) < 300


def test_results_are_not_changed():
    """Comparing leaves a defaultdict without new keys."""
    expected = collections.defaultdict(list, a=[1])
    compare(expected, {"a": [1], "b": []})
    assert dict(expected) == {"a": [1]}


def test_libraries_are_not_imported_for_plain_values():
    """Comparing plain values in a fresh interpreter imports neither numpy, pandas nor pyarrow."""
    code = (
        "import sys; from pytest_optbench.measure.equivalence import compare; "
        "assert compare({'a': [1.0]}, {'a': [1.0]}) is None; "
        "print(sorted({'numpy', 'pandas', 'pyarrow', 'scipy', 'asyncio', 'psutil'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    assert (done.stdout, done.stderr) == ("[]\n", "")


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=5)
)
VALUES = st.recursive(
    SCALARS,
    lambda inside: st.one_of(
        st.lists(inside, max_size=4),
        st.tuples(inside, inside),
        st.dictionaries(st.text(max_size=3), inside, max_size=4),
        st.builds(Plain, value=inside),
        st.builds(Order, price=st.floats(), tags=st.lists(st.text(max_size=2), max_size=2)),
    ),
    max_leaves=15,
)


@given(VALUES)
def test_every_value_equals_its_deep_copy(value):
    """Reflexive on copies: fresh calls that build the same thing are equal."""
    assert compare(value, copy.deepcopy(value)) is None


@given(VALUES, VALUES)
def test_comparison_is_symmetric(one, two):
    """Swapping the sides never changes whether there is a difference."""
    assert (compare(one, two) is None) == (compare(two, one) is None)


@settings(max_examples=50)
@given(st.lists(VALUES, min_size=1, max_size=4), st.data())
def test_one_changed_place_is_found_there(values, data):
    """Replacing one item by something unlike anything is reported at exactly that place."""
    position = data.draw(st.integers(0, len(values) - 1))
    changed = [*values]
    changed[position] = Money(position)
    difference = compare({"items": values}, {"items": changed})
    assert difference.path == f"result['items'][{position}]"
