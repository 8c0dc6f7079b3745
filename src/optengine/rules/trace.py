"""What a rule looked at, and whether it would see the same today.

One function, :func:`observe`, both records and re-checks, so the two cannot disagree. Records are made for
reads, kinds (also "is absent"), folder listings, glob matches, environment variables, results of dependencies
and the code of shared inputs. What a shared input looked at counts for every rule that uses it, by reference.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from optengine.rules import digest
from optengine.rules.snapshot import Snapshot

Record = tuple[str, str, str]


@dataclass(frozen=True)
class Trace:
    """Sorted records (what, which, digest of what was seen) and the traces of shared inputs."""

    records: tuple[Record, ...] = ()
    parts: tuple[Trace, ...] = ()

    @cached_property
    def digest(self) -> str:
        """Digest of the whole trace."""
        return digest.of_json(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """Own records in full, parts by digest."""
        return {"records": [list(one) for one in self.records], "parts": [part.digest for part in self.parts]}

    def walk(self) -> Iterator[Trace]:
        """This trace and all its parts, each once."""
        seen: set[str] = set()
        waiting = [self]
        while waiting:
            one = waiting.pop()
            if one.digest not in seen:
                seen.add(one.digest)
                yield one
                waiting.extend(one.parts)


@dataclass
class Scene:
    """What there is to observe: the tree, results of earlier rules, code of shared inputs."""

    snapshot: Snapshot
    results: Mapping[str, Any] = field(default_factory=dict)
    builder_digests: Mapping[str, str] = field(default_factory=dict)


def observe(scene: Scene, what: str, which: str) -> str:
    """Digest of what a rule sees when it looks at *which* in the way *what*.

    Raises:
        ValueError: *what* is not a way of looking; a store written by another version may hold one.
    """
    index = scene.snapshot.index
    match what:
        case "file":
            return scene.snapshot.file_digest(which)
        case "kind":
            return index.kind(which)
        case "size":
            entry = index.entries.get(which)
            return "absent" if entry is None else f"{entry.kind} {entry.size}"
        case "list":
            names = index.children(which)
            kinds = [index.kind(f"{which}/{name}" if which != "." else name) for name in names]
            return digest.of_json([index.kind(which), names, kinds])
        case "glob":
            return digest.of_json(index.glob(which))
        case "env":
            return digest.of_json(os.environ.get(which))
        case "result":
            return digest.of_json(scene.results.get(which))
        case "builder":
            return scene.builder_digests.get(which, "unknown")
    raise ValueError(f"A record must be of a known kind; received {what!r}.")


class Recorder:
    """Collects what one rule (or one builder) looks at."""

    def __init__(self, scene: Scene, *, keep: bool = True) -> None:
        self.scene = scene
        self.keep = keep
        self.unrecorded: list[str] = []
        self.saw_anything = False
        self.closed = False
        self._records: dict[tuple[str, str], str] = {}
        self._parts: dict[str, Trace] = {}

    def look(self, what: str, which: str, *, there: bool) -> None:
        """Record a look; *there* tells whether something was found, for the check against vacuous rules."""
        if self.closed:
            raise RuntimeError("A context must not be used after its rule or builder has returned.")
        self.saw_anything = self.saw_anything or there
        if self.keep and (what, which) not in self._records:
            self._records[what, which] = observe(self.scene, what, which)

    def include(self, other: Recorder, trace: Trace | None) -> None:
        """Take over what a shared input looked at."""
        self.saw_anything = self.saw_anything or other.saw_anything
        self.unrecorded.extend(one for one in other.unrecorded if one not in self.unrecorded)
        if trace is not None:
            self._parts[trace.digest] = trace

    def trace(self) -> Trace | None:
        """Everything recorded, which ends the recording; None when nothing is kept."""
        self.closed = True
        if not self.keep:
            return None
        records = tuple(sorted((what, which, seen) for (what, which), seen in self._records.items()))
        return Trace(records, tuple(self._parts[key] for key in sorted(self._parts)))
