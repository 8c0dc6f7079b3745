"""Every message between the parent and its workers, and how it is put on the wire.

A frame is a 4-byte little-endian length and a pickled tuple ``(tag, *fields)``. Frames are written whole into
the worker's own socket; no other process reads or writes it. What a task *does* with memory the frame does
not carry: the number of the running task lives in the worker's status page (``SLOT_*``), where it survives
any kind of death.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from optengine.pool.failure import Kind

_LENGTH = struct.Struct("<I")

# The status page: 64-bit integers written by the worker, read by the parent.
SLOT_MARK = 0  # the task started last: its chunk and its position in it, in one word, see mark()
SLOT_STARTED_NS = 1  # monotonic clock at its start; 0 while no task runs (only kept for timed chunks)
SLOT_TASKS = 2  # tasks finished since the worker began
SLOT_BUSY_NS = 3  # time spent in tasks since the worker began
SLOT_BYTES = 64
MAX_CHUNK = 1 << 20


def mark(chunk: int, position: int) -> int:
    """One word for a task of a chunk. One, because a death between two writes would tell a lie."""
    return chunk * MAX_CHUNK + position


def unmark(word: int) -> tuple[int, int]:
    """(chunk, position) of a word made by :func:`mark`."""
    return divmod(word, MAX_CHUNK)


class Payload(NamedTuple):
    """One pickled object. ``regions`` are (offset, size) of buffers in shared memory.

    When ``blob`` is ``None`` the pickle itself is the first region.
    """

    blob: bytes | None
    regions: tuple[tuple[int, int], ...]


class Fault(NamedTuple):
    """A task that ended without a value, as the worker saw it."""

    kind: Kind
    message: str
    traceback: str
    exception: bytes | None


# ---- parent to worker


class Setup(NamedTuple):
    """First message: who the worker is and what it does before its first task."""

    number: int
    cpus: tuple[int, ...]
    preparation: dict[str, Any] | None
    initializer: bytes | None
    shared: bytes | None


class Define(NamedTuple):
    """The function behind ``call``; calls in ``forget`` are over."""

    call: int
    function: bytes
    forget: tuple[int, ...]


class Chunk(NamedTuple):
    """Tasks to run in order. Items are plain atoms or ``Payload``.

    ``timed``: note the start of each task. ``durable``: send each result before the next task starts, so that
    no death can take a finished task's result with it. ``freed``: outbox offsets the parent has read.
    """

    chunk: int
    call: int
    timed: bool
    durable: bool
    items: Sequence[Any]
    freed: tuple[int, ...]


class Revoke(NamedTuple):
    """Give back every task of ``call`` that has not started (of all calls when -1)."""

    call: int


class Stop(NamedTuple):
    """Leave once the chunks before this message are done."""


# ---- worker to parent


class Ready(NamedTuple):
    """The worker is set up. ``main_error``: why the parent's main module could not be imported."""

    pid: int
    main_error: str | None


class SetupFailed(NamedTuple):
    """The initializer raised; the worker leaves. ``main_error`` as in ``Ready``."""

    fault: Fault
    main_error: str | None


class Results(NamedTuple):
    """Finished tasks: ``runs`` of (chunk, values, plain, seconds, tasks).

    Values continue where the chunk's last run ended; ``plain``: all are atoms. ``seconds`` over ``tasks`` is
    given once, at the end of the chunk. ``released`` are inbox offsets nothing in the worker refers to any
    more.
    """

    runs: list[tuple[int, list[Any], bool, float, int]]
    released: tuple[int, ...]


class Revoked(NamedTuple):
    """The last ``count`` tasks of each (chunk, count) were not started and will not be."""

    tails: list[tuple[int, int]]


_TYPES: tuple[type[Any], ...] = (Setup, Define, Chunk, Revoke, Stop, Ready, SetupFailed, Results, Revoked)
_TAGS = {message: tag for tag, message in enumerate(_TYPES)}


def encode(message: Any) -> bytes:
    """The frame of ``message``."""
    body = pickle.dumps((_TAGS[type(message)], *message), 5)
    return _LENGTH.pack(len(body)) + body


def decode(body: bytes | memoryview) -> Any:
    """The message in a frame's body. Only bytes written by our own peer may come here."""
    tag, *fields = pickle.loads(body)  # noqa: S301 - read from a private socket to our own process
    return _TYPES[tag](*fields)


class FrameReader:
    """Cuts a byte stream into frame bodies; keeps the unfinished rest."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Bodies completed by ``data``, in order."""
        if self._rest:
            self._rest += data
            if len(self._rest) < 4 or len(self._rest) - 4 < _LENGTH.unpack_from(self._rest)[0]:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        bodies = []
        position, end = 0, len(data)
        while end - position >= 4:
            stop = position + 4 + _LENGTH.unpack_from(data, position)[0]
            if stop > end:
                break
            bodies.append(data[position + 4 : stop])
            position = stop
        if position < end:
            self._rest += data[position:]
        return bodies
