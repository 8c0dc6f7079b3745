"""From what calls recorded and needed to the metrics of one candidate, ready to be judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from .core.findings import Finding
from .core.metrics import Metric, Samples
from .core.wording import size
from .measure.memory import MemoryUse
from .measure.record import FIRST_CALL, MEMORY, Declaration, Recorded, Recordings

MEMORY_ROUNDS: Final = 3
"""Further calls of each arm whose memory is looked at when it is judged."""
MEMORY_FLOOR: Final = 2 * 2**20
"""Bytes: two calls of the very same code may differ by an arena of 1 MiB that the allocator keeps, and some pages."""
_MUCH: Final = 2.0
_WORTH_SAYING: Final = 4 * MEMORY_FLOOR

Asked = tuple[Metric, Samples]


def recorded(recordings: Recordings, candidate: str) -> list[Asked]:
    """Return what the arms recorded themselves, in the order of the first time."""
    return [
        (
            Metric(name, declared.unit, declared.better, declared.margin, declared.exact),
            Samples(
                recordings.values(name, "baseline"),
                recordings.values(name, candidate),
                recordings.paired(name, candidate),
            ),
        )
        for name, declared in recordings.declared.items()
    ]


def recorded_in_pairs(
    pairs: Sequence[Mapping[str, Mapping[str, Recorded]]], baseline: str, optimized: str
) -> list[Asked]:
    """Return what fresh processes recorded, pair by pair, as metrics; the optimized side says how to judge.

    ``pairs`` holds what one call recorded, by side and name. A value whose other half is missing stays a single
    one, so a metric that only one side records is open, never within its margin.
    """
    sides = [(pair.get(baseline, {}), pair.get(optimized, {})) for pair in pairs]
    declared: dict[str, Declaration] = {}
    for side in (1, 0):
        for pair in sides:
            for name, each in pair[side].items():
                declared.setdefault(name, each.declared)
    found = []
    for name, asked in declared.items():
        values = [tuple(side[name].value if name in side else None for side in pair) for pair in sides]
        samples = Samples(
            tuple(old for old, new in values if old is not None and new is None),
            tuple(new for old, new in values if new is not None and old is None),
            tuple((old, new) for old, new in values if old is not None and new is not None),
        )
        found.append((Metric(name, asked.unit, asked.better, asked.margin, asked.exact), samples))
    return found


def memory(
    margin: float,
    first: tuple[MemoryUse, MemoryUse],
    later: tuple[Sequence[MemoryUse], Sequence[MemoryUse]],
) -> list[Asked]:
    """Return the extra memory of calls, (baseline, optimized), as metrics with ``margin``.

    Round by round, since what the allocator keeps of earlier calls makes all later ones look smaller. Two, as
    either alone can be evaded: what an arm loads or keeps in its first call does not show in later ones, and what
    both arms share (imports, caches) is charged to whichever is called first, the baseline.
    """

    def asked(name: str, uses: Iterable[tuple[MemoryUse, MemoryUse]]) -> Asked:
        extras = ((old.extra_bytes, new.extra_bytes) for old, new in uses)
        pairs = tuple((old, new) for old, new in extras if old is not None and new is not None)
        metric = Metric(name, "B", "lower", margin, exact=True, floor=MEMORY_FLOOR, kind="memory")
        return metric, Samples(pairs=pairs)

    return [asked(MEMORY, zip(*later, strict=True)), asked(FIRST_CALL, [first])]


def memory_of_processes(margin: float | None, peaks: Sequence[tuple[int, int]]) -> Asked:
    """Return the peak memory of fresh processes, pairs of (baseline, optimized), as a metric.

    A whole process counts, interpreter and imports included: nothing an arm loads or keeps can hide.
    """
    metric = Metric(MEMORY, "B", "lower", margin, exact=False, floor=MEMORY_FLOOR, kind="memory")
    return metric, Samples(pairs=tuple(peaks))


def much_more_memory(baseline: MemoryUse, optimized: MemoryUse) -> list[Finding]:
    """Return a warning when nobody asked about memory and a call of the optimized arm needs far more."""
    old, new = baseline.extra_bytes, optimized.extra_bytes
    if old is None or new is None or new < _MUCH * old or new - old < _WORTH_SAYING:
        return []
    return [
        Finding(
            "more-memory",
            "warn",
            f"a call of the optimized arm needs {size(new)}, one of the baseline {size(old)}: "
            "set max_memory to judge that, too",
        )
    ]
