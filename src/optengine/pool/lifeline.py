"""Ends a process with its parent, whatever it is busy with: the kernel sends the signal.

The attendant ends a worker, too, but it is a Python thread: it waits for ever while a task sits in C code that keeps
the interpreter lock. So the parent holds one end of a socket pair over which nothing is sent, the process the other,
and has asked the kernel to be killed with its whole group when something happens there: the parent's end is closed,
by the parent or by its death. ``PR_SET_PDEATHSIG`` would be about the thread that started the process, and would let
live what its tasks have started.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket

from optengine.pool.attendant import leave


def tie(end: socket.socket) -> None:
    """Have this process, and the group it leads, killed as soon as the other end of ``end`` is closed.

    Where the kernel cannot send a chosen signal (other systems than Linux), only a closed end found now counts.
    """
    if hasattr(fcntl, "F_SETSIG"):
        process = os.getpid()
        fcntl.fcntl(end, fcntl.F_SETOWN, -process if os.getpgrp() == process else process)
        fcntl.fcntl(end, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(end, fcntl.F_SETFL, fcntl.fcntl(end, fcntl.F_GETFL) | os.O_ASYNC)
    poller = select.poll()
    poller.register(end.detach(), 0)  # stays open for good: an end that is closed tells nothing
    if poller.poll(0):
        leave()
