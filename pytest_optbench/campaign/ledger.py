"""The ledger of a campaign: every attempt ever made, as an append-only list of events in one JSON file.

    {"schema": "optbench/campaign/1", "events": [
      {"event": "planned",  "at", "digest", "title", "candidates": [...], "stop": [...]}   the file, as it was
      {"event": "started",  "at", "attempt", "id", "test", "accepted": [...]}
      {"event": "finished", "at", "attempt", "outcome", "seconds", "exit_status", "message", "decision"}
      {"event": "again",    "at", "id"}        earlier attempts on this id no longer settle it
      {"event": "stopped",  "at", "message"}   why a run measured no further
    ]}

Each event is written before anything depends on it, the file is replaced whole or not at all, and nothing is
ever taken out. An attempt that started and never finished was interrupted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pytest_optbench.store.errors import StoreError
from pytest_optbench.store.files import read, replace

Event = dict[str, Any]

SCHEMA: Final = "optbench/campaign/1"
NAME: Final = "ledger.json"
OUTCOMES: Final = ("decided", "failed", "interrupted")

_REQUIRED: Final[Mapping[str, Mapping[str, type | tuple[type, ...]]]] = {
    "planned": {"digest": str, "title": str, "candidates": list, "stop": list},
    "started": {"attempt": int, "id": str, "test": str, "accepted": list},
    "finished": {"attempt": int, "outcome": str, "seconds": (int, float)},
    "again": {"id": str},
    "stopped": {"message": str},
}
_DECISION: Final[Mapping[str, type | tuple[type, ...]]] = {
    "verdict": str, "reasons": list, "goal": str, "confidence": (int, float), "document": str,
    "pairs": int, "attempt": int, "ratio": dict,
}  # fmt: skip


@dataclass(frozen=True)
class Attempt:
    """One run of pytest on one test.

    ``outcome``: ``decided`` with a ``decision``, ``failed`` (no decision, or a test that failed beside it) or
    ``interrupted``. ``accepted`` is what was accepted when the set was measured together. ``counts`` is False
    once measuring this id again was asked for.
    """

    number: int
    id: str
    test: str
    accepted: tuple[str, ...]
    at: str
    outcome: str = "interrupted"
    seconds: float = 0.0
    message: str | None = None
    decision: Mapping[str, Any] | None = None
    counts: bool = True


class Ledger:
    """The events of a campaign's folder; `append` is the only way to change them."""

    def __init__(self, folder: Path) -> None:
        """Read what the folder holds; a missing ledger is an empty one. Raises StoreError."""
        self._folder = folder
        self.events: list[Event] = _load(folder / NAME)

    def append(self, event: str, **fields: Any) -> None:
        """Write one event after all that the file holds now; raises StoreError, the file then unchanged."""
        events = _load(self._folder / NAME)
        if events[: len(self.events)] != self.events:
            raise StoreError(
                f"{NAME} must only grow, but events this run had read are gone from it; "
                "restore the file from version control"
            )
        new = {"event": event, "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), **fields}
        lines = ",\n".join(json.dumps(each, allow_nan=False) for each in [*events, new])
        text = f'{{"schema": "{SCHEMA}", "events": [\n{lines}\n]}}\n'
        replace(self._folder, NAME, text.encode())
        self.events = [*events, json.loads(json.dumps(new))]

    def last(self, event: str) -> Event | None:
        """Return the latest event of this kind."""
        return next((each for each in reversed(self.events) if each["event"] == event), None)

    def attempts(self) -> list[Attempt]:
        """Return every attempt, oldest first."""
        return attempts(self.events)


def attempts(events: list[Event]) -> list[Attempt]:
    """Return the attempts that these events tell of, oldest first."""
    finished = {e["attempt"]: e for e in events if e["event"] == "finished"}
    again = {e["id"]: position for position, e in enumerate(events) if e["event"] == "again"}
    found = []
    for position, start in enumerate(events):
        if start["event"] != "started":
            continue
        end = finished.get(start["attempt"], {})
        found.append(
            Attempt(
                number=start["attempt"],
                id=start["id"],
                test=start["test"],
                accepted=tuple(start["accepted"]),
                at=start["at"],
                outcome=end.get("outcome", "interrupted"),
                seconds=float(end.get("seconds", 0.0)),
                message=end.get("message"),
                decision=end.get("decision"),
                counts=position > again.get(start["id"], -1),
            )
        )
    return found


def _load(path: Path) -> list[Event]:
    if not (path.exists() or path.is_symlink()):
        return []
    cure = "restore it from version control, or move it away to begin anew"
    try:
        content = json.loads(read(path).decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"a campaign's {NAME} must be JSON: {error}; {cure}") from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise StoreError(f"a campaign's {NAME} must have the schema {SCHEMA!r}, received {schema!r}; {cure}")
    events = content.get("events")
    problem = "events must be a list" if not isinstance(events, list) else _problem(events)
    if problem:
        raise StoreError(f"a campaign's {NAME} must be one that this version wrote: {problem}; {cure}")
    return list(events)


def _problem(events: list[Any]) -> str | None:
    """Return what is wrong with the first event that is not one, None when all are."""
    started: set[int] = set()
    for number, event in enumerate(events, start=1):
        kind = event.get("event") if isinstance(event, dict) else None
        if not isinstance(kind, str) or kind not in _REQUIRED or not isinstance(event.get("at"), str):
            return f"event {number} is of no known kind, received {kind!r}"
        for key, types in _REQUIRED[kind].items():
            if not isinstance(event.get(key), types):
                return f"event {number} ({kind}) has an unusable {key!r}, received {event.get(key)!r}"
        if kind == "started":
            started.add(event["attempt"])
        if kind == "finished" and (event["attempt"] not in started or event["outcome"] not in OUTCOMES):
            return f"event {number} finishes what never started, or in no known way"
        if kind == "finished" and event["outcome"] == "decided" and (bad := _bad(event.get("decision"))):
            return f"event {number} has no usable decision ({bad})"
    return None


def _bad(decision: object) -> str | None:
    if not isinstance(decision, dict):
        return "no table"
    for key, types in _DECISION.items():
        if not isinstance(decision.get(key), types):
            return key
    ratio = [decision["ratio"].get(key) for key in ("ci_low", "estimate", "ci_high")]
    known = [value for value in ratio if value is not None]
    if not all(_number(value) and value > 0 for value in known) or known != sorted(known):
        return "ratio"
    if len(known) not in (0, 3) or (not known and decision["verdict"] == "ACCEPT"):
        return "ratio"
    df, p = decision.get("df"), decision.get("p")
    if df is not None and not (_number(df) and df > 0):
        return "df"
    if p is not None and not (_number(p) and 0 <= p <= 1):
        return "p"
    return None if 0 < decision["confidence"] < 1 else "confidence"


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no finite number")
