"""One child forked from this process: started, talked to, ended, and its end explained.

A lock that another thread holds stays locked in the child for ever, so a process with other threads of Python is not
forked. Threads that Python knows nothing of belong to libraries such as numpy's BLAS; these expect a fork, but none can
vouch for all: such a child says that it began, ``beside_threads`` tells of it, and who gives it work sets a limit.
The child leads a process group of its own and is killed with it when the parent goes away. At a native crash, and at
the signal that ends it at a rule's limit, it writes where it is into a file that the parent owns.
"""

from __future__ import annotations

import _thread
import contextlib
import faulthandler
import gc
import json
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from optengine.rules.errors import RuleSetError
from optengine.rules.scratch import ScratchFile
from optengine.rules.work import dumps

#: A child that has not begun by then hangs in what libraries do after a fork. It takes a millisecond or some.
BEGIN_LIMIT_S = 10.0
_GRACE_S = 2.0
_BEGUN = b"+"
_TASKS = Path("/proc/self/task")


class CannotFork(RuleSetError):
    """No child can be forked here; the message says why."""


def other_threads() -> tuple[int, int]:
    """How many threads beside this one run Python, and how many Python knows nothing of.

    Raises:
        CannotFork: they cannot be counted on this system.
    """
    if not hasattr(os, "fork") or not _TASKS.is_dir():
        raise CannotFork("threads of this process cannot be counted on this system")
    collecting = gc.isenabled()
    gc.disable()  # up to Python 3.11.7 the interpreter hangs when it collects garbage in _current_frames
    try:
        known = {*sys._current_frames(), *(thread.ident for thread in threading.enumerate())}
    finally:
        if collecting:
            gc.enable()
    python = max(len(known) - 1, _thread._count())
    return python, max(sum(1 for _ in _TASKS.iterdir()) - 1 - python, 0)


class Child:
    """One forked child, as its parent sees it."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        """Fork.

        Raises:
            CannotFork: this process has other threads of Python, the system gives no process, or the child does
                not begin.
        """
        from optengine.pool import lifeline

        python, self.beside_threads = other_threads()
        if python:
            raise CannotFork(f"this process has {python} other thread{'s' * (python > 1)} of Python")
        self._buffer = b""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        opened: list[Any] = []
        try:
            self.stack = ScratchFile("stack")
            opened.append(self.stack)
            self.end, other = socket.socketpair()
            opened += [self.end, other]
            self._life, tied = socket.socketpair()
            opened += [self._life, tied]
            self.pid = _fork()
        except OSError as error:
            for one in opened:
                one.close()
            raise CannotFork(f"no child could be forked: {error}") from error
        if self.pid == 0:
            self.end.close()
            self._life.close()
            _be_the_child(serve, other, tied, self.stack.fd, lifeline.tie)
        other.close()
        tied.close()
        self._poll = select.poll()
        self._poll.register(self.end, select.POLLIN)
        self.status: int | None = None
        self.peak_bytes = 0
        self.spoke_nonsense = False
        try:
            why = self._why_not_begun()
        except BaseException:
            self.close()
            raise
        if why is not None:
            self.close()
            raise CannotFork(why)

    def _why_not_begun(self) -> str | None:
        """Wait for the child's first byte; None when it came."""
        if not self._poll.poll(BEGIN_LIMIT_S * 1000):
            return f"a forked child did not begin within {BEGIN_LIMIT_S:g} s"
        try:
            first = self.end.recv(1)
        except ConnectionResetError:
            first = b""
        return None if first == _BEGUN else f"a forked child ended before it began: {self.why()}"

    def send(self, value: object) -> None:
        """Send *value*; a child that is dead is noticed when nothing comes back."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.end.sendall(dumps(value))

    def messages(self, seconds: float) -> list[dict[str, Any]] | None:
        """What arrives within *seconds*, empty when nothing does; None when the child is dead."""
        if not self._poll.poll(max(0.0, seconds) * 1000):
            # Something the rule started may keep the connection open.
            return None if self._reap(os.WNOHANG) else []
        try:
            data = self.end.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        if not data:
            return None
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        try:
            return [json.loads(line) for line in lines]
        except ValueError:
            self.refuse()
            return None

    def refuse(self) -> None:
        """End it, as what it sent is no message: a rule wrote to a descriptor that is not its own, or changed what
        writes messages. Nothing that follows can be believed."""
        self.spoke_nonsense = True
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def end_at_limit(self) -> str:
        """End it by the signal at which it writes where it is, and return that text."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGABRT)
        self._wait_for_its_end()
        text = self.text()
        self.close()
        return text[max(text.find("Current thread"), 0) :]

    def text(self) -> str:
        """What it wrote at its end: its stack, as far as it belongs to the rule."""
        size = os.fstat(self.stack.fd).st_size
        text = os.pread(self.stack.fd, min(size, 1 << 16), 0).decode("utf-8", "replace")
        lines = text.splitlines()
        ours = next((place for place, line in enumerate(lines) if line.endswith(" in _serve")), len(lines))
        return "\n".join(lines[:ours]).strip()

    def why(self) -> str:
        """How it ended; one that only hung up is ended."""
        self._wait_for_its_end()
        if not self._reap(os.WNOHANG):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._reap(0)
            return "it was ended: its connection was closed"
        if self.spoke_nonsense:
            return "it was ended: something other than results came over its connection"
        if self.status is None:
            return "it is gone"
        code = os.waitstatus_to_exitcode(self.status)
        return f"it left with exit status {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"

    def close(self, *, politely: bool = False) -> None:
        """End it with all it started; *politely* lets it write what it printed first."""
        if politely:
            self.send(None)
            self._wait_for_its_end()
        self._life.close()
        if not self._reap(os.WNOHANG):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._reap(0)
        self.end.close()
        self.stack.close()

    def _wait_for_its_end(self) -> None:
        deadline = time.monotonic() + _GRACE_S
        while not self._reap(os.WNOHANG) and time.monotonic() < deadline:
            time.sleep(0.001)

    def _reap(self, flags: int) -> bool:
        if self.status is not None:
            return True
        try:
            pid, status, usage = os.wait4(self.pid, flags)
        except ChildProcessError:
            return True
        if not pid:
            return False
        self.status = status
        self.peak_bytes = usage.ru_maxrss * 1024
        # Its own group: also what a rule started and left behind ends here.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        return True


def _fork() -> int:
    with warnings.catch_warnings():
        # Python 3.12 warns beside any thread; those it means were looked for.
        warnings.filterwarnings("ignore", message=".*multi-threaded.*fork", category=DeprecationWarning)
        return os.fork()


def _be_the_child(
    serve: Callable[[socket.socket], None],
    end: socket.socket,
    life: socket.socket,
    stack: int,
    tie: Callable[[socket.socket], None],
) -> NoReturn:
    """Serve, and leave without running anything of what the parent has still to do."""
    status = 1
    try:
        os.setpgid(0, 0)
        tie(life)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in worker processes; Ctrl-C is for the parent
        _leave_no_core()
        faulthandler.enable(file=stack, all_threads=True)
        end.sendall(_BEGUN)
        serve(end)
        status = 0
    except (BrokenPipeError, ConnectionResetError, EOFError):
        pass  # the parent is gone
    except BaseException:  # noqa: BLE001 - told to the parent, which must not be continued here
        os.write(stack, traceback.format_exc().encode("utf-8", "replace"))
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(status)


def _leave_no_core() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
