"""A value inside a file together with its place in it, so that every complaint says where.

Nothing is converted on the quiet: a number is a JSON number, never text or true; it is finite and in range.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from .errors import ForeignError

LONGEST_SECONDS: Final = 1e9
LONGEST_TEXT: Final = 4000
_WORDS: Final = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}


@dataclass(frozen=True)
class Node:
    """One value; ``where`` is its place such as ``benchmarks[3].stats.mean``, ``file`` and ``tool`` its origin."""

    value: Any
    file: str
    tool: str
    where: str = "the file"

    def fail(self, expected: str, found: str | None = None) -> NoReturn:
        """Raise `ForeignError`: what was expected here, what was found, and the cure."""
        raise ForeignError(
            f"{self.file}: {self.where} must be {expected}, found {self.shown if found is None else found}; "
            f"export it again with {self.tool}, or leave this benchmark out with --select"
        )

    @property
    def shown(self) -> str:
        """The value for a message: JSON, shortened."""
        try:
            text = json.dumps(self.value)
        except (TypeError, ValueError, RecursionError):
            text = _WORDS.get(type(self.value), "something else")
        return text if len(text) <= 60 else text[:59] + "…"

    def __contains__(self, key: str) -> bool:
        """Whether this object has ``key`` with a value that is not null."""
        return isinstance(self.value, dict) and self.value.get(key) is not None

    def __getitem__(self, key: str) -> Node:
        """Return what ``key`` of this object holds; it must be there."""
        where = key if self.where == "the file" else f"{self.where}.{key}"
        if not isinstance(self.value, dict):
            self.fail(f"an object with the key {key!r}")
        if key not in self.value:
            Node(None, self.file, self.tool, where).fail("present", "nothing")
        return Node(self.value[key], self.file, self.tool, where)

    def get(self, key: str) -> Node | None:
        """Return what ``key`` of this object holds, None where it is missing or null."""
        if key not in self:
            return None
        return self[key]

    def items(self) -> Iterator[Node]:
        """Yield the elements of this list."""
        if not isinstance(self.value, list):
            self.fail("a list")
        for index, item in enumerate(self.value):
            yield Node(item, self.file, self.tool, f"{self.where}[{index}]")

    def filled(self) -> list[Node]:
        """Return the elements of this list, which must not be empty."""
        found = list(self.items())
        return found if found else self.fail("a list with at least one element", "an empty one")

    def text(self) -> str:
        """Return this text, which must not be empty."""
        if not isinstance(self.value, str) or not self.value.strip():
            self.fail("text that is not empty")
        if len(self.value) > LONGEST_TEXT:
            self.fail(f"text of at most {LONGEST_TEXT} characters", f"{len(self.value)} of them")
        text: str = self.value
        return text

    def number(self, expected: str = "a finite number") -> float:
        """Return this number as a float; it must be finite."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            self.fail(expected)
        try:
            number = float(self.value)
        except OverflowError:
            self.fail(expected, "an integer beyond any float")
        if not math.isfinite(number):
            self.fail(expected, repr(number))
        return number

    def seconds(self) -> float:
        """Return this time: 0 to a billion seconds. A time of 0 is what a coarse clock reads."""
        expected = f"seconds, a finite number from 0 to {LONGEST_SECONDS:g}"
        seconds = self.number(expected)
        return seconds if 0.0 <= seconds <= LONGEST_SECONDS else self.fail(expected)

    def optional_seconds(self, key: str) -> float | None:
        """Return the time under ``key``, None where it is missing or null."""
        node = self.get(key)
        return None if node is None else node.seconds()

    def count(self, least: int = 1) -> int:
        """Return this whole number of at least ``least``."""
        expected = f"a whole number of at least {least}"
        number = self.number(expected)
        return int(number) if number.is_integer() and least <= number < 1e15 else self.fail(expected)
