"""One child process: started, talked to, and ended together with everything it started.

A child runs below a keeper (`adoption`), so that Ctrl-C in the terminal reaches the driver only, and all that tests
start ends with it, in whatever session it is. What it prints goes to an unlinked temporary file of bounded size,
which is shown when it fails.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..adoption import kept
from .channel import FD, PARENT, Channel, ChannelClosed, ChannelTimeout, Nonsense
from .errors import MeasureError
from .lanes import Failure, FailureKind

TAIL: Final = 4000
_MOST_OUTPUT: Final = 2**20
_POLL_S: Final = 0.002
_REAP_S: Final = 0.5  # between the end of the channel and the end of the process


class ChildLost(Exception):
    """A child died, hung or spoke nonsense; ``failure`` says which."""

    def __init__(self, failure: Failure) -> None:
        """Take what happened."""
        super().__init__(failure)
        self.failure = failure


class Child:
    """A running child process of one lane."""

    def __init__(self, lane: str, command: Sequence[str], environment: Mapping[str, str], cwd: Path) -> None:
        """Start ``command``; raises `MeasureError` when that is not possible."""
        self.lane = lane
        self._output = tempfile.TemporaryFile(prefix="optbench-")  # noqa: SIM115 - lives as long as the child
        _append(self._output.fileno())
        ours, theirs = socket.socketpair()
        try:
            if shutil.which(command[0]) is None:  # the keeper can be started whatever it is to keep
                raise FileNotFoundError(errno.ENOENT, "it is no program that can be run")
            self._process = kept.start(
                command,
                theirs.fileno(),
                cwd=cwd,
                env={**environment, FD: str(theirs.fileno()), PARENT: str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            ours.close()
            self._output.close()
            raise MeasureError(
                f"a child process must be startable, received {command[0]!r} in {str(cwd)!r}: {error.strerror}"
            ) from error
        finally:
            theirs.close()
        self._channel = Channel(ours)
        self._failure: Failure | None = None
        self.pid = self._process.pid

    def send(self, do: str, **rest: Any) -> None:
        """Give a command; raises `ChildLost`, again and again once the child is lost."""
        try:
            self._channel.send(do=do, **rest)
        except ChannelClosed as error:
            raise self._lost("died") from error

    def receive(self, timeout_s: float, *expected: str) -> dict[str, Any]:
        """Return the next message, which must be one of the ``expected`` events; raises `ChildLost`."""
        try:
            message = self._channel.receive(timeout_s)
        except ChannelClosed as error:
            raise self._lost("died") from error
        except ChannelTimeout as error:
            raise self.overdue(timeout_s) from error
        except Nonsense as error:
            raise self._lost("nonsense", str(error)) from error
        if message.get("event") not in expected:
            raise self._lost("nonsense", f"expected {' or '.join(expected)}, received {str(message)[:200]}")
        return message

    @property
    def heard(self) -> bool:
        """Whether a message has arrived already; else `fileno` is what to wait on."""
        return self._channel.heard

    def fileno(self) -> int:
        """Return the descriptor to wait on for what the child says."""
        return self._channel.fileno()

    def overdue(self, timeout_s: float) -> ChildLost:
        """End the child for an answer that did not come in time; return the error to raise."""
        return self._lost("hung", f"after {timeout_s:g} s")

    def nonsense(self, what: str) -> ChildLost:
        """End the child for a message whose content makes no sense; return the error to raise."""
        return self._lost("nonsense", what)

    def bound_output(self) -> None:
        """Cut what was printed so far when it has become too much."""
        if os.fstat(self._output.fileno()).st_size > _MOST_OUTPUT:
            os.ftruncate(self._output.fileno(), 0)

    def leave(self, timeout_s: float) -> None:
        """Wait for the child to end by itself, then end it and whatever it left running."""
        if not self._output.closed:
            self._wait(timeout_s)
        self.end()

    def end(self) -> None:
        """Kill the child and all it started, and reap it. May be called twice."""
        if self._output.closed:
            return
        kept.end(self._process)
        self._channel.close()
        self._output.close()

    def _lost(self, kind: FailureKind, what: str = "") -> ChildLost:
        """End the child and return the error that says what happened first, with the last of its output."""
        if self._failure is not None:
            return ChildLost(self._failure)
        if kind == "died":
            what = self._wait(_REAP_S)
        output = self._tail()
        self.end()
        self._failure = Failure(self.lane, kind, f"{what}\n{output}".strip())
        return ChildLost(self._failure)

    def _wait(self, timeout_s: float) -> str:
        """Wait for the end of the process without reaping it; return how it ended."""
        until = time.monotonic() + timeout_s
        while (ended := os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is None:
            if time.monotonic() > until:
                return "closed its channel while running"
            time.sleep(_POLL_S)
        if ended.si_code == os.CLD_EXITED:
            return f"exit status {ended.si_status}"
        return f"killed by {signal.Signals(ended.si_status).name}"

    def _tail(self) -> str:
        size = os.fstat(self._output.fileno()).st_size
        text = os.pread(self._output.fileno(), TAIL, max(0, size - TAIL))
        return text.decode("utf-8", "replace").strip()


def _append(descriptor: int) -> None:
    """Make writes go to the end of the file, wherever a cut has put that."""
    if sys.platform != "win32":
        import fcntl

        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_APPEND)
