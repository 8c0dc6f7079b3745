"""What runs in a worker: read chunks, run their tasks one by one, send the results back.

Two threads. The main thread runs tasks. The attendant (``attendant.py``) sees to what cannot wait for a long task to
end: results of earlier tasks, tasks the parent wants back, and a parent that is gone. They share the ``_Run``
objects below and rely on single list and deque operations being atomic.

A task's life: its position is written to the status page, the function runs, the result is pickled at once (a
later task may change the object) and sent before the next task starts. Only results of very short tasks are
buffered: sent when nothing is left to do, at the latest a few milliseconds later by the attendant.
"""

from __future__ import annotations

import itertools
import mmap
import os
import pickle
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from optengine import cpus
from optengine.pool import attendant, bootstrap, shared
from optengine.pool.faults import CannotTravel, Unloadable, fault, start_fault, trace, unpicklable_result
from optengine.pool.payload import ATOMS, TEXT, TEXT_ATOM_LIMIT, pack, unpack
from optengine.pool.protocol import (
    SLOT_BUSY_NS,
    SLOT_MARK,
    SLOT_STARTED_NS,
    SLOT_TASKS,
    Chunk,
    Define,
    Fault,
    FrameReader,
    Payload,
    Ready,
    Results,
    Revoke,
    Revoked,
    Setup,
    SetupFailed,
    Stop,
    decode,
    encode,
    mark,
)
from optengine.pool.regions import RegionMapper, RegionWriter

# Results of short chunks wait this long for company; longer ones are sent at once.
COALESCE_S = 0.0003
_RECEIVE_BYTES = 1 << 18
_OUTBOX_LIMIT = 64 << 20


class _Run:
    """One chunk: ``items`` left to start, ``values`` not sent yet."""

    __slots__ = ("call", "chunk", "durable", "ended", "items", "plain", "seconds", "tasks", "timed", "values")

    def __init__(self, message: Chunk) -> None:
        self.chunk = message.chunk
        self.call = message.call
        self.timed = message.timed
        self.durable = message.durable
        self.items: deque[Any] = deque(message.items)
        self.values: list[Any] = []
        self.plain = True
        self.ended = False
        self.seconds = 0.0
        self.tasks = 0


class Worker:
    """The worker's state and its main loop."""

    def __init__(
        self, channel: socket.socket, status: memoryview, inbox: RegionMapper, outbox: RegionWriter
    ) -> None:
        self.channel = channel
        self.inbox = inbox
        self.outbox = outbox
        self.reading = threading.Lock()
        self.sending = threading.Lock()
        self.idle = False
        self.stopping = False
        self.leaving = False
        self.orphaned = False
        self.disowned = False
        self.pending: deque[_Run] = deque()
        self.unsent: list[_Run] = []
        self._status = status
        self._frames = FrameReader()
        self._functions: dict[int, Callable[[Any], Any] | bytes] = {}
        self._last_flush = time.monotonic()
        self.wake = threading.Event()

    # ---- set-up

    def receive_setup(self) -> Setup:
        """The first message. Raises ``EOFError`` when the parent is gone."""
        while True:
            data = self.channel.recv(_RECEIVE_BYTES)
            if not data:
                raise EOFError
            bodies = self._frames.feed(data)
            if bodies:
                setup: Setup = decode(bodies[0])
                for body in bodies[1:]:
                    self._accept(decode(body))
                return setup

    def send(self, message: Any) -> None:
        """Write one message. A parent that is gone ends the worker at the next read."""
        try:
            with self.sending:
                self.channel.sendall(encode(message))
        except OSError:
            self.stopping = True

    def disown(self) -> None:
        """In a process that a task forked: none of this is its business, even if it comes back out of the task.

        It must not keep the worker's socket open after the worker's death, and not run the worker's tasks again.
        """
        self.channel.close()
        self.disowned = self.stopping = True
        for run in (*self.unsent, *self.pending):
            run.items.clear()
        self.pending.clear()

    # ---- main loop

    def serve(self) -> None:
        """Run chunks until told to stop or the parent is gone."""
        while True:
            try:
                run = self.pending.popleft()
            except IndexError:
                if self.stopping or not self._wait_for_work():
                    self.flush()
                    return
                continue
            self._run(run)
            if time.monotonic() - self._last_flush > COALESCE_S:
                self.flush()

    def _wait_for_work(self) -> bool:
        """Read until a chunk is there; ``False`` to leave."""
        with self.reading:
            if self.receive(socket.MSG_DONTWAIT) and self.pending:
                return True
            self.flush()
            self.idle = True
            try:
                while not self.pending:
                    if self.stopping or not self.receive(0):
                        return False
            finally:
                self.idle = False
                if not self.wake.is_set():
                    self.wake.set()
        return True

    def receive(self, flags: int) -> bool:
        """Take in what the parent sent (``reading`` must be held); ``False`` at end-of-file."""
        try:
            data = self.channel.recv(_RECEIVE_BYTES, flags)
        except BlockingIOError:
            return True
        except OSError:  # a task closed it: as good as a parent that is gone
            data = b""
        if not data:
            self.stopping = self.orphaned = True
            return False
        for body in self._frames.feed(data):
            self._accept(decode(body))
        return True

    def _accept(self, message: Any) -> None:
        if type(message) is Chunk:
            for offset in message.freed:
                self.outbox.free(offset)
            self.pending.append(_Run(message))
        elif type(message) is Define:
            for call in message.forget:
                self._functions.pop(call, None)
            self._functions[message.call] = message.function
        elif type(message) is Revoke:
            self._give_back(message.call)
        elif type(message) is Stop:
            self.stopping = True

    def _give_back(self, call: int) -> None:
        tails = []
        for run in [*self.unsent, *self.pending]:
            if call not in (-1, run.call):
                continue
            count = 0
            try:
                while True:
                    item = run.items.pop()
                    count += 1
                    if type(item) is Payload:
                        self.inbox.released += [offset for offset, _ in item.regions]
            except IndexError:
                pass
            if count:
                tails.append((run.chunk, count))
        self.send(Revoked(tails))

    # ---- tasks

    def _run(self, run: _Run) -> None:
        status, inbox, timed, durable = self._status, self.inbox, run.timed, run.durable
        take, keep, atoms = run.items.popleft, run.values.append, ATOMS
        clock = time.monotonic_ns
        value: Any = None
        function = self._function(run.call)
        first = word = mark(run.chunk, 0)
        words = itertools.count(first)
        self.unsent.append(run)
        began = clock()
        try:
            for word in words:
                item = take()
                if timed:
                    status[SLOT_STARTED_NS] = clock()
                status[SLOT_MARK] = word
                try:
                    if type(item) is Payload:
                        item = self._unpacked(item, inbox)
                    value = function(item)
                except BaseException as error:  # noqa: BLE001 - a task may raise anything; all of it is reported
                    run.plain = False
                    keep(fault(error))
                else:
                    if type(value) not in atoms:
                        run.plain = False
                        value = self._packed(value)
                    keep(value)
                if durable:
                    self.flush()
        except IndexError:
            item = value = None  # nothing may keep the last argument's memory alive
        if self.disowned:
            return  # the status page is the worker's
        if timed:
            status[SLOT_STARTED_NS] = 0
        spent = clock() - began
        status[SLOT_TASKS] += word - first
        status[SLOT_BUSY_NS] += spent
        run.seconds, run.tasks = spent / 1e9, word - first
        run.ended = True

    def _function(self, call: int) -> Callable[[Any], Any]:
        function = self._functions.get(call)
        if isinstance(function, bytes):
            try:
                function = pickle.loads(function)  # noqa: S301 - pickled by our own parent
            except BaseException as error:  # noqa: BLE001 - importing the function's module may raise anything
                function = Unloadable(error)
            self._functions[call] = function
        return function if function is not None else Unloadable(LookupError(f"call {call} was never defined"))

    @staticmethod
    def _unpacked(item: Payload, inbox: RegionMapper) -> Any:
        try:
            return unpack(item, inbox)
        except BaseException as error:
            raise CannotTravel("the argument could not be rebuilt in the worker", error) from error

    def _packed(self, value: Any) -> Any:
        if type(value) in TEXT and len(value) <= TEXT_ATOM_LIMIT:
            return value
        try:
            return pack(value, self.outbox, by_value=False, fallback=_by_value)
        except BaseException as error:  # noqa: BLE001 - a reducer may raise anything
            return Fault("unpicklable", unpicklable_result(value, error), trace(error), None)

    # ---- results

    def flush(self) -> bool:
        """Send every buffered result; return whether there was anything to send. Called by both threads."""
        with self.sending:
            runs = []
            for run in list(self.unsent):
                ended = run.ended
                values = run.values[:]
                del run.values[: len(values)]
                if ended:
                    self.unsent.remove(run)
                if values or ended:
                    timing = (run.seconds, run.tasks) if ended else (0.0, 0)
                    runs.append((run.chunk, values, run.plain, *timing))
            self._last_flush = time.monotonic()
            released = self.inbox.drain()
            if not runs and not released:
                return False
            try:
                self.channel.sendall(encode(Results(runs, released)))
            except OSError:
                self.stopping = True
            return True


_by_value = False


def run_worker(
    channel: socket.socket, status: int, inbox: int, outbox: int, dump: int, *, inherited: bool
) -> None:
    """A worker's whole life, from its descriptors to the end. ``inherited``: forked by a prepared server."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)  # so that the worker and what its tasks start can be ended together
    shared.become_worker()
    attendant.register_dumps(dump)
    try:
        page = memoryview(mmap.mmap(status, mmap.PAGESIZE)).cast("q")
    except (OSError, MemoryError) as error:
        channel.sendall(encode(SetupFailed(start_fault(error), bootstrap.main_error)))
        attendant.let_go(channel)
        return
    os.close(status)
    worker = Worker(channel, page, RegionMapper(inbox), RegionWriter(outbox, limit=_OUTBOX_LIMIT))
    os.register_at_fork(after_in_child=worker.disown)
    try:
        setup = worker.receive_setup()
    except (EOFError, OSError):
        channel.close()
        return
    fault_of = start_fault
    try:
        cpus.pin(setup.cpus)
        attendant.start(worker)  # the initializer, too, may take longer than the parent lives
        fault_of = fault
        main_error = _set_up(setup, inherited=inherited)
    except BaseException as error:  # noqa: BLE001 - the initializer may raise anything; the parent gets all of it
        worker.leaving = True
        worker.send(SetupFailed(fault_of(error), bootstrap.main_error))
        attendant.let_go(channel)
        return
    worker.send(Ready(os.getpid(), main_error))
    worker.serve()
    worker.leaving = True
    if worker.orphaned:
        attendant.leave()  # no parent is left to end what tasks started
    attendant.let_go(channel)


def _set_up(setup: Setup, *, inherited: bool) -> str | None:
    global _by_value
    if setup.preparation is not None:
        bootstrap.prepare(setup.preparation)
    _by_value = bootstrap.main_error is not None
    if inherited:
        random = sys.modules.get("numpy.random")
        if random is not None:
            random.seed()  # forked workers would otherwise all draw the same numbers
    if setup.shared is not None:
        shared.install(pickle.loads(setup.shared))  # noqa: S301 - pickled by our own parent
    if setup.initializer is not None:
        function, arguments = pickle.loads(setup.initializer)  # noqa: S301 - pickled by our own parent
        function(*arguments)
    return bootstrap.main_error
