"""The ledger of one unit: a worker writes down what it starts and finishes, and what is written survives its
death.

One writer, one line of JSON per event, each written by a single system call into an anonymous file that the
parent owns. When a worker is killed, the parent reads which rules were finished and which one was running.
The stack that ``faulthandler`` writes when a limit is reached lands behind the last line and is kept as text.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, field
from typing import Any

from optengine.rules.scratch import ScratchFile, open_scratch

STACK = ("Thread 0x", "Current thread 0x")
"""How a stack that ``faulthandler`` writes begins."""

TAIL_BYTES = 1 << 16


class LedgerWriter:
    """The worker's end. ``fd`` is also where the worker's stack goes when a limit is reached."""

    def __init__(self, path: str, name: str) -> None:
        """Open the ledger *name* at *path*.

        Raises:
            FileNotFoundError: the run it belonged to is over.
        """
        self.fd = open_scratch(path, name, os.O_WRONLY | os.O_APPEND)

    def write(self, event: dict[str, Any]) -> None:
        """Append one event."""
        data = memoryview(json.dumps(event, separators=(",", ":")).encode("ascii") + b"\n")
        while data:
            data = data[os.write(self.fd, data) :]

    def close(self) -> None:
        """Close this end."""
        os.close(self.fd)


@dataclass
class LedgerReader:
    """The parent's end: owns the file and reads what is new each time it is asked."""

    scratch: ScratchFile = field(default_factory=lambda: ScratchFile("ledger"))
    _position: int = 0
    _rest: bytes = b""

    @property
    def path(self) -> str:
        """What the worker opens."""
        return self.scratch.path

    def new_events(self) -> list[dict[str, Any]]:
        """Complete events written since the last call."""
        size = os.fstat(self.scratch.fd).st_size
        if size <= self._position:
            return []
        data = self._rest + os.pread(self.scratch.fd, size - self._position, self._position)
        self._position = size
        *lines, self._rest = data.split(b"\n")
        events: list[dict[str, Any]] = []
        for place, line in enumerate(lines):
            if not line.startswith(b"{"):
                # From here on it is the text of a stack, not events.
                self._rest = b"\n".join([*lines[place:], self._rest])
                break
            with contextlib.suppress(ValueError):  # a rule may write to any descriptor
                events.append(json.loads(line))
        return events

    @property
    def tail(self) -> str:
        """Text behind the last complete event: a stack, or the begin of a line whose writer was killed."""
        return self._rest[:TAIL_BYTES].decode("utf-8", "replace")

    def close(self) -> None:
        """Free the file."""
        self.scratch.close()
