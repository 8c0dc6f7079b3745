"""Which decisions of a history are meant: by subject, verdict and time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from pytest_optbench.store.errors import StoreError

from .read import Record

_AGO: Final = re.compile(r"(\d{1,6})([hdw])")
_UNITS: Final = {"h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Selection:
    """What to keep; None keeps everything. ``subject`` is an id, or a part of an id or a title in any case."""

    subject: str | None = None
    verdict: str | None = None
    group: str | None = None
    since: datetime | None = None

    def of(self, records: Iterable[Record]) -> list[Record]:
        """Return the records meant, in their order. One without a time is kept: it may be recent."""
        found = list(records)
        if self.subject is not None:
            found = by_subject(found, self.subject)
        if self.verdict is not None:
            found = [record for record in found if record.verdict == self.verdict]
        if self.group is not None:
            found = [record for record in found if record.group == self.group]
        if self.since is not None:
            earliest = f"{self.since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
            found = [record for record in found if record.started is None or record.started >= earliest]
        return found


def by_subject(records: Sequence[Record], subject: str) -> list[Record]:
    """Return the records whose id is ``subject``, else those of the ids with that title, else those with it in either.

    A subject that was renamed keeps all its records, under whatever title they were made.
    """
    exact = [record for record in records if record.id == subject]
    if exact:
        return exact
    titled = {record.id for record in records if record.title == subject}
    if titled:
        return [record for record in records if record.id in titled]
    wanted = subject.casefold()
    return [r for r in records if wanted in r.id.casefold() or wanted in r.title.casefold()]


def one_subject(records: Sequence[Record], subject: str) -> list[Record]:
    """Return every record of the one subject meant; raises StoreError when there is none, or more than one."""
    found = by_subject(records, subject)
    names = sorted({record.id for record in found})
    if len(names) == 1:
        return found
    if not names:
        raise StoreError(f"the history must hold a decision on {subject!r}; see optbench history list")
    raise StoreError(
        f"a subject must be named unambiguously, received {subject!r}, which is in: {', '.join(names)}"
    )


def parse_since(text: str, now: datetime | None = None) -> datetime:
    """Return a moment: ``2026-11-22``, ``2026-11-22T10:00:00Z``, or ``12h``, ``30d``, ``8w`` before ``now``.

    A time without a zone is UTC. Raises ValueError for anything else.
    """
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago is not None:
            return (now or datetime.now(UTC)) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise ValueError(
            f"must be a date such as 2026-11-22, or 12h, 30d, 8w ago; received {text!r}"
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
