"""One child forked from this process: started, talked to, ended, and its end explained.

Only a process with a single thread may be forked: a lock that another thread holds stays locked in the child for ever.
The child leads a process group of its own and is killed with it when the parent goes away. At a native crash, and at
the signal that ends it at a rule's limit, it writes where it is into a file that the parent owns.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import pickle
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from optengine.rules.errors import RuleSetError
from optengine.rules.scratch import ScratchFile

_GRACE_S = 2.0
_TASKS = Path("/proc/self/task")


class CannotFork(RuleSetError):
    """No child can be forked here; the message says why."""


def why_not() -> str | None:
    """Why this process must not be forked; None when it may be."""
    if not hasattr(os, "fork") or not _TASKS.is_dir():
        return "threads of this process cannot be counted on this system"
    threads = sum(1 for _ in _TASKS.iterdir())
    return f"this process has {threads} threads" if threads > 1 else None


class Child:
    """One forked child, as its parent sees it."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        """Fork.

        Raises:
            CannotFork: this process has threads, or the system gives no process.
        """
        from optengine.pool import lifeline

        if (why := why_not()) is not None:
            raise CannotFork(why)
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
            self.pid = os.fork()
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

    def send(self, value: object) -> None:
        """Send *value*; a child that is dead is noticed when nothing comes back."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.end.sendall(pickle.dumps(value, 5))

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
            # A rule wrote to a descriptor that is not its own: nothing that follows can be believed.
            self.spoke_nonsense = True
            os.kill(self.pid, signal.SIGKILL)
            return None

    def end_at_limit(self) -> str:
        """End it by the signal at which it writes where it is, and return that text."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGABRT)
        deadline = time.monotonic() + _GRACE_S
        while not self._reap(os.WNOHANG) and time.monotonic() < deadline:
            time.sleep(0.005)
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
        """How it ended."""
        self._reap(0)
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
            deadline = time.monotonic() + _GRACE_S
            while not self._reap(os.WNOHANG) and time.monotonic() < deadline:
                time.sleep(0.001)
        self._life.close()
        if not self._reap(os.WNOHANG):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._reap(0)
        self.end.close()
        self.stack.close()

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
        _leave_no_core()
        faulthandler.enable(file=stack, all_threads=True)
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
