"""Results as workers wrote them down, read back; traces that results share are sent once per worker."""

from __future__ import annotations

from typing import Any

from optengine.rules.execute import RawResult
from optengine.rules.model import Status
from optengine.rules.trace import Trace

#: What reading an event raises that no worker wrote as it should have.
NONSENSE = (KeyError, TypeError, ValueError, AttributeError, IndexError)


class ReceivedResults:
    """Reads the events ``trace`` and ``result`` of all ledgers of one run."""

    def __init__(self) -> None:
        self._traces: dict[str, dict[str, Any]] = {}

    def keep_trace(self, event: dict[str, Any]) -> None:
        """Keep the trace of *event* for results that name it."""
        self._traces[event["digest"]] = event["trace"]

    def raw(self, event: dict[str, Any], worker: str, attempts: int) -> RawResult:
        """The result in *event*, without its trace when a part of that was lost with a worker."""
        return RawResult(
            status=Status(event["status"]),
            message=event["message"],
            evidence=event["evidence"],
            reason=event["reason"],
            seconds=event["seconds"],
            building_s=event["building_s"],
            unrecorded=event["unrecorded"],
            vacuous=event["vacuous"],
            trace=self._trace(event["trace"]),
            worker=worker,
            attempts=attempts,
        )

    def _trace(self, name: str | None) -> Trace | None:
        data = self._traces.get(name) if name is not None else None
        if data is None:
            return None
        parts = [self._trace(part) for part in data["parts"]]
        if any(part is None for part in parts):
            return None
        records = tuple((str(a), str(b), str(c)) for a, b, c in data["records"])
        return Trace(records, tuple(part for part in parts if part is not None))
