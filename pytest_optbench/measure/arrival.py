"""Children on their way to a timed region, and the memory of the processes they start on it.

A child counts its own memory, but of a process that is gone when its benchmark ends nothing is left to count. So the
driver, which only waits there, adds up what a child has started, as long as its untimed first call takes. What lives
shorter than the time between two samples is missed.
"""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from typing import Any, Final

from .children import Child
from .memory_sampler import INTERVAL_S, held

STARTED: Final = "started_bytes"
"""Key of a message from `arrive`: the most that the processes a child started held at once."""


def arrive(children: Sequence[Child], timeout_s: float) -> list[dict[str, Any]]:
    """Return what each child says when it stands in front of its region (``at``) or its test is over (``ended``).

    Raises `ChildLost` for a child that is lost, or says nothing for ``timeout_s`` seconds.
    """
    said: dict[Child, dict[str, Any]] = {}
    calling: dict[Child, _Started] = {}
    until = {child: time.monotonic() + timeout_s for child in children}
    pause = INTERVAL_S
    while missing := [child for child in children if child not in said]:
        now = time.monotonic()
        left = min(until[child] for child in missing) - now
        speaking = [child for child in missing if child.heard]
        if not speaking:
            speaking, _, _ = select.select(missing, [], [], max(0.0, min(left, pause) if calling else left))
        for child in speaking:
            message = child.receive(timeout_s, "at", "ended", *(() if child in calling else ("calling",)))
            if message["event"] == "calling":
                calling[child] = _Started(message.get("pid"))
                until[child] = time.monotonic() + timeout_s
                continue
            started = calling.pop(child, None)
            said[child] = {**message, STARTED: 0 if started is None else started.most}
        if not speaking and left <= 0:
            raise next(child for child in missing if until[child] <= now).overdue(timeout_s)
        began = time.perf_counter()
        for started in calling.values():
            started.sample()
        pause = max(INTERVAL_S, 2 * (time.perf_counter() - began))  # as for trees in `memory_sampler`
    return [said[child] for child in children]


class _Started:
    """The memory of everything below one process."""

    def __init__(self, pid: object) -> None:
        self.most = 0
        self._pid = pid if type(pid) is int else None

    def sample(self) -> None:
        """Add it up once."""
        if self._pid is not None:
            self.most = max(self.most, held(self._pid))
