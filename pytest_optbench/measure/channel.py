"""The channel between the driver and one child: JSON objects, one a line, over a socket pair.

Both ends use this class. Nothing that arrives is trusted by the driver: a line is at most `LONGEST_LINE`
bytes, has to be a JSON object, and has to come in time. Results of arms pass through as base64 text that the
driver never opens.

Driver to child ("do"):   collect, run, sample, result, compare, finish, abandon, leave
Child to driver ("event"): collected, calling, at, reading, result, compared, finished, ended, bye
"""

from __future__ import annotations

import json
import socket
import time
from typing import Any, Final

from ..adoption import KEEPER

LONGEST_LINE: Final = 48 * 2**20
MOST_RESULT_BYTES: Final = 16 * 2**20
_CHUNK: Final = 65536

FD: Final = "OPTBENCH_CHILD_FD"
PARENT: Final = KEEPER
ARM: Final = "OPTBENCH_CHILD_ARM"
CPUS: Final = "OPTBENCH_CHILD_CPUS"
SEED: Final = "OPTBENCH_CHILD_SEED"
TREE: Final = "OPTBENCH_TREE"
OTHER_TREE: Final = "OPTBENCH_OTHER_TREE"
NAMES: Final = "OPTBENCH_CHILD_NAMES"
TEMP: Final = "OPTBENCH_CHILD_TEMP"
PADDING: Final = "OPTBENCH_PADDING"
STACK: Final = "OPTBENCH_CHILD_STACK"

UNREADABLE: Final = "unreadable"
"""What a child says instead of the SHA-256 of a file it cannot read: equal to no other, not even to itself."""


class ChannelClosed(Exception):
    """The other end is gone."""


class ChannelTimeout(Exception):
    """Nothing complete arrived in time."""


class Nonsense(Exception):
    """What arrived is no message of the protocol; the text names the beginning of it."""


class Channel:
    """One end of the channel; owns the socket."""

    def __init__(self, end: socket.socket) -> None:
        """Take over ``end``."""
        self._socket = end
        self._received = bytearray()

    def send(self, **message: Any) -> None:
        """Send one message; raises `ChannelClosed` when nobody reads any more."""
        try:
            self._socket.settimeout(None)
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise ChannelClosed("the other end of the channel is closed") from error

    def receive(self, timeout_s: float | None = None) -> dict[str, Any]:
        """Return the next message.

        Raises `ChannelClosed` at the end of the stream, `ChannelTimeout` after ``timeout_s`` seconds (None:
        wait forever) and `Nonsense` for anything that is not a JSON object.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            if searched > LONGEST_LINE:
                raise Nonsense(f"a line longer than {LONGEST_LINE} bytes")
            self._received += self._read(deadline)
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Nonsense(repr(line[:200])) from error
        if not isinstance(message, dict):
            raise Nonsense(repr(line[:200]))
        return message

    @property
    def heard(self) -> bool:
        """Whether a whole message was read already: then there may be nothing to wait for on `fileno`."""
        return b"\n" in self._received

    def fileno(self) -> int:
        """Return the descriptor to wait on for more."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def _read(self, deadline: float | None) -> bytes:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise ChannelTimeout("no answer in time")
        try:
            self._socket.settimeout(left)
            got = self._socket.recv(_CHUNK)
        except TimeoutError as error:
            raise ChannelTimeout("no answer in time") from error
        except OSError as error:
            raise ChannelClosed("the channel is closed") from error
        if not got:
            raise ChannelClosed("the other end of the channel is closed")
        return got
