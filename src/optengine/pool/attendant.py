"""The worker's second thread: what must not wait until a long task ends.

It sends results that have waited a few milliseconds, takes part in reading the socket while the main thread is busy
(so tasks can be taken back), and ends the worker with all its children as soon as the parent is gone. While the worker
idles it sleeps without a timer; the main thread sees the parent's end itself then.

Each look costs the task its turn at the interpreter lock twice over, so looks that find nothing to send become rarer:
a result waits at most as long as there was nothing to send before it, and never longer than the slowest tick. They stay
rare from task to task, until there is something to send: tasks of some milliseconds would else pay for the frequent
looks of the beginning over and over.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from optengine.pool.worker import Worker

# A real-time signal, so that tasks keep SIGUSR1 and SIGUSR2 for themselves.
DUMP_SIGNAL: int = signal.SIGRTMIN + 5 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR2
_TICK_MS = 5
_SLOWEST_TICK_MS = 80
_GONE = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)
_QUIET_TICKS = 20


def register_dumps(descriptor: int) -> None:
    """Write Python stacks to ``descriptor``: on the parent's request, and before a native crash ends the worker."""
    faulthandler.register(DUMP_SIGNAL, file=descriptor, all_threads=True, chain=False)
    faulthandler.enable(file=descriptor, all_threads=True)


def start(worker: Worker) -> None:
    """Start the attendant of ``worker`` as a daemon thread."""
    threading.Thread(target=_attend, args=(worker,), name="optengine-attendant", daemon=True).start()


def _attend(worker: Worker) -> None:
    # Signals belong to the main thread, whose stack the dumps are about.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        poller = select.poll()
        poller.register(worker.channel.fileno(), select.POLLIN | getattr(select, "POLLRDHUP", 0))
    except (OSError, ValueError):
        if worker.leaving:
            return
        leave()
    quiet = 0
    tick_ms = _TICK_MS
    while True:
        events = poller.poll(tick_ms)
        if worker.leaving:
            return
        if events and events[0][1] & (_GONE | select.POLLNVAL) and not worker.idle:
            leave()
        if worker.idle:
            quiet += 1
            if quiet > _QUIET_TICKS:
                worker.wake.clear()
                if worker.idle:
                    worker.wake.wait()
                quiet = 0
            elif events:
                time.sleep(_TICK_MS / 1e3)
            continue
        quiet = 0
        if events and worker.reading.acquire(blocking=False):
            try:
                worker.receive(socket.MSG_DONTWAIT)
            finally:
                worker.reading.release()
        elif events:
            time.sleep(_TICK_MS / 1e3)
        if worker.unsent and worker.flush():
            tick_ms = _TICK_MS
        elif not events:
            tick_ms = min(2 * tick_ms, _SLOWEST_TICK_MS)


@contextlib.contextmanager
def leaving_with(control: socket.socket) -> Iterator[None]:
    """Leave as soon as the other end of ``control`` is closed while the block runs, whatever it is busy with."""
    stop, stopped = os.pipe()

    def watch() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        poller = select.poll()
        poller.register(control.fileno(), _GONE)
        poller.register(stop, 0)
        if control.fileno() in (descriptor for descriptor, _ in poller.poll()):
            leave()

    thread = threading.Thread(target=watch, name="optengine-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.close(stopped)
        thread.join()
        os.close(stop)


def let_go(channel: socket.socket) -> None:
    """Close ``channel`` at the worker's end, also where a task has closed it under the worker's hands."""
    with contextlib.suppress(OSError):
        channel.close()


def leave() -> NoReturn:
    """End this process and its children now: nobody waits for the results."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
