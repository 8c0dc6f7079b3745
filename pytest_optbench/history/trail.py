"""Earlier decisions on one subject from several sources, each once, oldest first.

Sources are the report folder's own ledger and the history. What is counted as an attempt is the ledger's rule
(`pytest_optbench.store.ledger.attempt_number`), whichever source an entry came from.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

Entry = dict[str, Any]


def merge(*sources: Sequence[Mapping[str, Any]]) -> list[Entry]:
    """Return the entries of all sources without repetitions, by the time they started.

    Entries of one second stay in the order of their source. An entry without a time comes first: it is from
    before times were recorded. Where only one source says which codes an entry is about, that is taken. One source
    alone is in order already, whatever its clock said.
    """
    filled = [source for source in sources if source]
    if len(filled) == 1:
        return [dict(entry) for entry in filled[0]]
    found: dict[Hashable, Entry] = {}
    for source in sources:
        for entry in source:
            first = found.setdefault(_key(entry), dict(entry))
            first |= {key: value for key, value in entry.items() if first.get(key) is None}
    return sorted(found.values(), key=lambda entry: entry.get("started") or "")


def missing(entries: Sequence[Mapping[str, Any]], held: Sequence[Mapping[str, Any]]) -> list[Entry]:
    """Return the entries that are not among ``held``."""
    known = {_key(entry) for entry in held}
    return [dict(entry) for entry in entries if _key(entry) not in known]


def before(trail: Sequence[Mapping[str, Any]], entry: Mapping[str, Any]) -> list[Entry]:
    """Return what stands before ``entry`` in a merged trail that holds it."""
    keys = [_key(each) for each in trail]
    return [dict(each) for each in trail[: keys.index(_key(entry))]]


def _key(entry: Mapping[str, Any]) -> Hashable:
    numbers = (
        entry.get(name) for name in ("started", "verdict", "ratio", "ci_low", "ci_high", "n", "attempt")
    )
    return (*numbers, *(entry.get("reasons") or ()))
