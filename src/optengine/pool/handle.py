"""The parent's side of one worker: its socket, its shared memory, and the chunks it has not answered."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from optengine.pool.protocol import (
    SLOT_BUSY_NS,
    SLOT_BYTES,
    SLOT_MARK,
    SLOT_STARTED_NS,
    SLOT_TASKS,
    FrameReader,
    encode,
    unmark,
)
from optengine.pool.regions import RegionCopier, RegionWriter, anonymous_file
from optengine.pool.start import own_end

if TYPE_CHECKING:
    from optengine.pool.batch import Batch

_RECEIVE_BYTES = 1 << 18
_INBOX_LIMIT = 64 << 20
_STACK_BYTES = 1 << 16


@dataclass
class InFlight:
    """A chunk on its way: task ``indices`` of ``batch``; the first ``done`` are answered.

    ``alone``: isolated. ``volume``: bytes its arguments take.
    """

    chunk: int
    batch: Batch
    indices: Sequence[int]
    alone: bool = False
    done: int = 0
    volume: int = 0

    @property
    def left(self) -> int:
        """Tasks not answered yet."""
        return len(self.indices) - self.done


@dataclass
class Verdict:
    """Why the supervisor decided to kill a worker, and the task (chunk, position) it holds responsible."""

    kind: Literal["timeout", "memory", "crash", "cancelled"]
    message: str
    task: tuple[int, int]


@dataclass
class WorkerHandle:
    """One worker as the supervisor sees it. Owned by the supervisor's thread."""

    number: int
    seat: int
    born: float = field(default_factory=time.monotonic)
    pid: int | None = None
    ready: bool = False
    stopping: bool = False
    revoking: bool = False  # asked to give tasks back, has not answered
    robbed: bool = False  # gave tasks back and has not finished one since: nothing is queued behind that one
    retired: bool = False
    bystander: bool = False  # its death is no sign that workers cannot start
    fed_at: float = 0.0
    verdict: Verdict | None = None
    kill_at: float | None = None
    kill_stage: int = 0
    lost_at: float | None = None
    ended: bool = False
    exitcode: int | None = None
    peak_memory: int = 0
    sent_tasks: int = 0
    inflight: deque[InFlight] = field(default_factory=deque)
    calls: set[int] = field(default_factory=set)
    freed: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        with contextlib.ExitStack() as undo:
            ours, theirs = socket.socketpair()
            undo.callback(ours.close)
            undo.callback(theirs.close)
            self.channel = own_end(ours)
            self._theirs = theirs
            self._status_file = _file("status", undo)
            os.ftruncate(self._status_file, mmap.PAGESIZE)
            self._dump_file = _file("stack", undo)
            self.inbox = RegionWriter(_file("inbox", undo), limit=_INBOX_LIMIT)
            self.outbox = RegionCopier(_file("outbox", undo))
            self._page = mmap.mmap(self._status_file, mmap.PAGESIZE)
            undo.pop_all()
        self._slots = memoryview(self._page)[:SLOT_BYTES].cast("q")
        self._frames = FrameReader()
        self._out = bytearray()
        self._slots[SLOT_MARK] = -1

    def descriptors(self) -> list[int]:
        """What the worker is started with, in the order ``run_worker`` takes them."""
        return [
            self._theirs.fileno(),
            self._status_file,
            self.inbox.descriptor,
            self.outbox.descriptor,
            self._dump_file,
        ]

    def launched(self) -> None:
        """Close the worker's end of the socket here, so that its death shows."""
        self._theirs.close()

    # ---- talking

    def post(self, message: Any) -> None:
        """Queue ``message``; :meth:`push` sends it."""
        self._out += encode(message)

    @property
    def unsent(self) -> bool:
        """Whether queued bytes wait for room in the socket."""
        return bool(self._out)

    def push(self) -> bool:
        """Send what the socket takes now, and whether that was all; never blocks.

        A broken socket shows when reading. Where the system is short of memory the rest is tried again.
        """
        try:
            while self._out:
                sent = self.channel.send(self._out, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                del self._out[:sent]
        except OSError as error:
            if isinstance(error, BlockingIOError) or error.errno in (errno.ENOBUFS, errno.ENOMEM):
                return False
            self._out.clear()
        return True

    def drain(self) -> list[bytes]:
        """Bodies of all frames that have arrived: what a dead worker had still sent."""
        bodies: list[bytes] = []
        while True:
            try:
                data = self.channel.recv(_RECEIVE_BYTES, socket.MSG_DONTWAIT)
            except OSError:  # nothing more is there, or a broken socket: no more can come
                return bodies
            if not data:
                return bodies
            bodies += self._frames.feed(data)

    def read(self) -> tuple[list[bytes], bool]:
        """Bodies of frames that have arrived, and whether the worker's end is closed; never blocks."""
        try:
            data = self.channel.recv(_RECEIVE_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return [], False
        except OSError:
            # Whatever it is, nothing more can be heard: the worker is ended and its tasks sent again.
            return [], True
        if not data:
            return [], True
        return self._frames.feed(data), False

    # ---- what the worker is doing

    def task_started(self) -> tuple[int, int]:
        """(chunk, position) of the task started last; chunk -1 before the first."""
        return unmark(self._slots[SLOT_MARK])

    def started_s(self) -> float | None:
        """Monotonic time at which the running task started; ``None`` when none runs."""
        nanoseconds = self._slots[SLOT_STARTED_NS]
        return nanoseconds / 1e9 if nanoseconds else None

    @property
    def tasks(self) -> int:
        """Tasks finished in this process."""
        return self._slots[SLOT_TASKS]

    @property
    def busy_s(self) -> float:
        """Seconds spent in tasks in this process."""
        return self._slots[SLOT_BUSY_NS] / 1e9

    def stack(self) -> str | None:
        """The Python stacks the worker dumped, if any."""
        text = os.pread(self._dump_file, _STACK_BYTES, 0).decode(errors="replace")
        return text or None

    def stack_size(self) -> int:
        """Bytes dumped so far."""
        return os.fstat(self._dump_file).st_size

    def close(self) -> None:
        """Release every descriptor and mapping."""
        self.channel.close()
        self._theirs.close()
        self._slots.release()
        self._page.close()
        self.inbox.close()
        for descriptor in (self._status_file, self._dump_file, self.inbox.descriptor, self.outbox.descriptor):
            os.close(descriptor)


def _file(name: str, undo: contextlib.ExitStack) -> int:
    descriptor = anonymous_file(f"optengine-{name}")
    undo.callback(os.close, descriptor)
    return descriptor
