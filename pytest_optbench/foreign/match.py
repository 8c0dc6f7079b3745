"""Which benchmark of one file belongs to which of the other: the same name, or a pair named by the user."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .errors import ForeignError
from .recorded import File, Recorded


@dataclass(frozen=True)
class Matched:
    """Benchmarks found on both sides, and the names of those found on one side only."""

    pairs: tuple[tuple[str, Recorded, Recorded], ...]
    only_old: tuple[str, ...] = ()
    only_new: tuple[str, ...] = ()


def match(old: File, new: File, select: Sequence[str] = (), named: Sequence[tuple[str, str]] = ()) -> Matched:
    """Return the benchmarks both files hold.

    ``select`` keeps names that contain one of its texts, or match it whole where it holds ``*`` or ``?``.
    ``named`` lists names of the old file with those of the new one to compare instead. Raises `ForeignError` for a
    name that is not there and when nothing is left to compare.
    """
    if named:
        pairs = [(a if a == b else f"{a} -> {b}", _find(old, a), _find(new, b)) for a, b in named]
        return Matched(tuple(pairs))
    wanted = [_pattern(text) for text in select]
    left = {b.name: b for b in old.benchmarks if _selected(b.name, wanted)}
    right = {b.name: b for b in new.benchmarks if _selected(b.name, wanted)}
    common = [name for name in left if name in right]
    if not common:
        raise ForeignError(_nothing(old, new, left, right, select))
    return Matched(
        tuple((name, left[name], right[name]) for name in common),
        tuple(name for name in left if name not in right),
        tuple(name for name in right if name not in left),
    )


def _find(file: File, name: str) -> Recorded:
    for each in file.benchmarks:
        if each.name == name:
            return each
    raise ForeignError(
        f"{file.name}: must hold the benchmark {name!r}, found {_names(b.name for b in file.benchmarks)}"
    )


def _pattern(text: str) -> re.Pattern[str]:
    if "*" not in text and "?" not in text:
        return re.compile(re.escape(text), re.DOTALL)
    whole = re.escape(text).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(rf"\A{whole}\Z", re.DOTALL)


def _selected(name: str, wanted: Sequence[re.Pattern[str]]) -> bool:
    return not wanted or any(pattern.search(name) for pattern in wanted)


def _nothing(old: File, new: File, left: Iterable[str], right: Iterable[str], select: Sequence[str]) -> str:
    said = f" selected by {' '.join(map(repr, select))}" if select else ""
    return (
        f"the two files must have a benchmark{said} in common, found none: {old.name} holds {_names(left)}, "
        f"{new.name} holds {_names(right)}; name the ones to compare with --match OLD NEW"
    )


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    shown = ", ".join(repr(name[:80]) for name in listed[:5]) or "none"
    return shown + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")
