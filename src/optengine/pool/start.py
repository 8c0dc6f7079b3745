"""How workers are started: the choice of a start method, and one launcher per way.

``fork`` and ``preload`` and ``forkserver`` fork workers from a server process (``forkserver.py``); ``spawn``
starts a fresh interpreter per worker. The process-wide default of ``multiprocessing`` is neither read nor
changed.
"""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import multiprocessing.process
import os
import signal
import socket
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, get_args

from optengine.errors import StartMethodError
from optengine.pool import bootstrap
from optengine.pool.forkserver import (
    REQUEST,
    Ended,
    Forked,
    Inheritance,
    Report,
    ServerSetup,
    decode_report,
    encode_setup,
    serve_forked,
)
from optengine.pool.protocol import FrameReader
from optengine.resources import make_sure_of_descriptors

StartMethod = Literal["fork", "forkserver", "spawn", "preload"]
METHODS: tuple[StartMethod, ...] = get_args(StartMethod)
SUPERVISOR_THREAD = "optengine-supervisor"
# Slow to import, safe to import before a fork, and used by nearly every task once the parent uses them.
PRELOAD_IF_IMPORTED = ("numpy", "pandas", "pyarrow")

# Ends of sockets that belong to this process alone; a forked child must not keep them open, or workers
# would never see that their parent is gone.
_own_ends: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def own_end(end: socket.socket) -> socket.socket:
    """Register ``end`` to be closed in every child this process forks."""
    _own_ends.add(end)
    return end


def _close_inherited_ends() -> None:
    for end in list(_own_ends):
        end.close()
    _own_ends.clear()


os.register_at_fork(after_in_child=_close_inherited_ends)


def foreign_threads() -> list[str]:
    """Names of threads, other than this one and pool supervisors, that a forked child would be without."""
    return sorted(
        thread.name
        for thread in threading.enumerate()
        if thread is not threading.current_thread() and not thread.name.startswith(SUPERVISOR_THREAD)
    )


def choose(requested: str | None, *, platform: str = sys.platform) -> tuple[StartMethod, str]:
    """The start method to use and a sentence why. Raises ``StartMethodError`` for an unknown one."""
    threads = foreign_threads()
    if requested is None:
        if platform != "linux":
            return "spawn", f"spawn, because forking is not safe with the system libraries of {platform}"
        note = (
            f"; {len(threads)} other threads run here, so a raw fork was out of the question"
            if threads
            else ""
        )
        return (
            "preload",
            f"preload, because a single-threaded fork server starts workers fast and clean{note}",
        )
    if requested not in METHODS:
        raise StartMethodError(f"start_method must be None or one of {', '.join(METHODS)}; got {requested!r}")
    if requested == "fork" and threads:
        return "preload", (
            f"preload instead of the requested fork, because {len(threads)} other threads run in this process "
            f"({', '.join(threads[:5])}) and a forked child would inherit their locks without them"
        )
    for method in METHODS:
        if method == requested:
            return method, f"{method}, as requested"
    raise AssertionError(requested)


class ServerGone(Exception):
    """The fork server ended although the pool still needs it."""


class Launcher(Protocol):
    """Starts workers and tells how they ended."""

    def fileno(self) -> int | None:
        """Descriptor that becomes readable when there are reports; ``None``: ask ``collect`` now and then."""

    def launch(self, number: int, descriptors: Sequence[int]) -> None:
        """Start worker ``number`` with copies of ``descriptors``. Raises ``ServerGone`` or ``OSError``."""

    def collect(self) -> list[Report]:
        """Reports since the last call. Raises ``ServerGone``."""

    def close(self) -> None:
        """End the server and whatever still runs; waits."""


class SpawnLauncher:
    """One fresh interpreter per worker."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._children: dict[int, tuple[subprocess.Popen[bytes], socket.socket]] = {}
        self._news: list[Report] = []

    def fileno(self) -> int | None:
        """Nothing to wait for: the end of a worker shows on its own socket."""
        return None

    def launch(self, number: int, descriptors: Sequence[int]) -> None:
        """Start an interpreter that becomes worker ``number``."""
        ours, line = socket.socketpair()
        lifeline = own_end(ours)
        with line, contextlib.ExitStack() as undo:
            undo.callback(lifeline.close)
            child = _run("worker", descriptors, line, self._environment)
            undo.pop_all()
        self._children[number] = child, lifeline
        self._news.append(Forked(number, child.pid))

    def collect(self) -> list[Report]:
        """Reports since the last call."""
        news, self._news = self._news, []
        for number, (child, lifeline) in list(self._children.items()):
            exitcode = child.poll()
            if exitcode is not None:
                lifeline.close()
                del self._children[number]
                news.append(Ended(number, exitcode))
        return news

    def close(self) -> None:
        """Kill and reap what still runs."""
        for child, lifeline in self._children.values():
            kill_tree(child.pid)
            child.wait()
            lifeline.close()
        self._children.clear()


class ServerLauncher:
    """Forks workers from a server process."""

    def __init__(self, setup: ServerSetup | Inheritance, environment: Mapping[str, str]) -> None:
        self._frames = FrameReader()
        self._fresh: subprocess.Popen[bytes] | None = None
        self._forked: Any = None
        with contextlib.ExitStack() as passed_on, contextlib.ExitStack() as undo:
            self._control, theirs = _pair(undo, passed_on)
            self._lifeline, line = _pair(undo, passed_on)
            if isinstance(setup, Inheritance):
                self._forked = multiprocessing.get_context("fork").Process(
                    target=serve_forked, args=(theirs, setup, line), name="optengine-server", daemon=False
                )
                # multiprocessing leaves its first pipe open when the second fails.
                make_sure_of_descriptors(4)
                with warnings.catch_warnings():
                    # Libraries' own threads (BLAS) re-initialise themselves after a fork; Python threads were
                    # ruled out.
                    warnings.simplefilter("ignore", DeprecationWarning)
                    self._forked.start()
                # Not for multiprocessing to join at exit or in active_children(): of two threads that wait for the
                # same process one finds it closed, or its exit status gone.
                multiprocessing.process._children.discard(self._forked)  # type: ignore[attr-defined]
            else:
                self._fresh = _run("server", [theirs.fileno()], line, environment)
            undo.pop_all()
        if isinstance(setup, ServerSetup):
            with contextlib.suppress(OSError):  # a server that died at once shows in collect()
                self._control.sendall(encode_setup(setup))

    def fileno(self) -> int | None:
        """The control socket."""
        return self._control.fileno()

    def launch(self, number: int, descriptors: Sequence[int]) -> None:
        """Ask the server to fork worker ``number``."""
        try:
            socket.send_fds(self._control, [REQUEST.pack(number)], list(descriptors))
        except OSError as error:
            if error.errno == errno.ETOOMANYREFS:  # the system's limit, not the server's end
                raise
            raise ServerGone(str(error)) from error

    def collect(self) -> list[Report]:
        """Reports since the last call. Raises ``ServerGone``."""
        try:
            data = self._control.recv(1 << 16, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        except OSError as error:
            raise ServerGone(str(error)) from error
        if not data:
            raise ServerGone("the fork server ended")
        return [decode_report(body) for body in self._frames.feed(data)]

    def close(self) -> None:
        """Close the control socket, upon which the server kills its workers and leaves."""
        self._control.close()
        if self._fresh is not None:
            try:
                self._fresh.wait(5)
            except subprocess.TimeoutExpired:
                self._fresh.kill()
                self._fresh.wait()
        elif self._forked is not None:
            self._forked.join(5)
            if self._forked.exitcode is None:
                self._forked.kill()
                self._forked.join()
            # Other code of the program may have taken its exit status (os.wait, an ignored SIGCHLD): then it counts
            # as running for ever, and its descriptors are closed with the object.
            with contextlib.suppress(ValueError):
                self._forked.close()
            self._forked = None
        self._lifeline.close()


class NoServer:
    """Stands in the place of a server that died and is not replaced: its workers are lost with it."""

    def fileno(self) -> int | None:
        """Nothing to wait for."""
        return None

    def launch(self, number: int, descriptors: Sequence[int]) -> None:
        """Raises ``ServerGone``."""
        raise ServerGone(
            f"there is no fork server to start worker {number} with {len(descriptors)} descriptors"
        )

    def collect(self) -> list[Report]:
        """Nothing is reported any more."""
        return []

    def close(self) -> None:
        """Nothing is left to end."""


def _pair(undo: contextlib.ExitStack, passed_on: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
    """Two connected sockets: this process's, closed by ``undo``, and one for a child, closed here by ``passed_on``."""
    ours, theirs = socket.socketpair()
    undo.callback(ours.close)
    passed_on.callback(theirs.close)
    return own_end(ours), theirs


def _run(
    role: str, descriptors: Sequence[int], line: socket.socket, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    inherited = [*descriptors, line.fileno()]
    # Its own process group, so that Ctrl-C in the terminal reaches the parent only.
    return subprocess.Popen(
        bootstrap.command(role, inherited),
        pass_fds=inherited,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        process_group=0,
    )


def kill_tree(pid: int, signum: int = signal.SIGKILL) -> None:
    """Send ``signum`` to the worker ``pid`` and to its process group, which holds what its tasks started."""
    for send in (os.killpg, os.kill):
        with contextlib.suppress(OSError):  # it is gone, or leads no group yet
            send(pid, signum)
