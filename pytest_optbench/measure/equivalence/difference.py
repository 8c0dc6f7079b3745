"""A difference between two results: where, what on each side, how large."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import Any

_SHOWN_FRAGMENTS = 12

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = 120
_repr.maxlevel = 4


@dataclass(frozen=True, slots=True)
class Path:
    """A place inside a result, as a linked list: cheap to extend, whatever the depth."""

    parent: Path | None
    fragment: str

    def __truediv__(self, fragment: str) -> Path:
        """Return the place ``fragment`` (such as ``"[3]"`` or ``".close"``) below this one."""
        return Path(self, fragment)

    def item(self, key: object) -> Path:
        """Return the place of an item."""
        return Path(self, f"[{shown(key)}]")

    def __str__(self) -> str:
        """Write the place as code, leaving out the middle of very deep ones."""
        fragments = []
        place: Path | None = self
        while place is not None:
            fragments.append(place.fragment)
            place = place.parent
        fragments.reverse()
        if len(fragments) > 2 * _SHOWN_FRAGMENTS:
            left_out = len(fragments) - 2 * _SHOWN_FRAGMENTS
            fragments[_SHOWN_FRAGMENTS:-_SHOWN_FRAGMENTS] = [f" ... {left_out} levels ... "]
        return "".join(fragments)


ROOT = Path(None, "result")


@dataclass(frozen=True, slots=True)
class Difference:
    """Where and how two results differ; ``expected`` and ``actual`` are shortened representations."""

    path: str
    expected: str
    actual: str
    detail: str

    @property
    def message(self) -> str:
        """One sentence: place, both values, how large."""
        values = f"{self.path}: expected {self.expected}, got {self.actual}"
        return f"{values} ({self.detail})" if self.detail else values

    def __str__(self) -> str:
        """Return the message."""
        return self.message


class Differs(Exception):
    """Raised by a comparator at the first difference; never leaves this package."""

    def __init__(self, path: Path, expected: object, actual: object, detail: str = "") -> None:
        """Take the place, both values and how they differ."""
        super().__init__(detail)
        self.difference = Difference(str(path), shown(expected), shown(actual), detail)


def shown(value: Any) -> str:
    """Return a short representation of any value, even one whose ``repr`` raises."""
    try:
        return _repr.repr(value)
    except Exception as error:  # noqa: BLE001 - a broken repr must not hide the difference
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
