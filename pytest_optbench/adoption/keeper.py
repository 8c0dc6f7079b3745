"""Keeps one program: starts it, waits for it, then ends everything it started, and ends as the program did.

Arguments: the number of the process that asks, a descriptor that is the program's alone (``-``: none), and the words
of the program, which gets a session of its own. On SIGTERM, and when who asks is gone, program and all end at once.
"""

from __future__ import annotations

import os
import signal
import sys

from . import KEEPER, tree
from .subreaper import PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE, PR_SET_PDEATHSIG, process_control

_HEARD = {signal.SIGTERM, signal.SIGCHLD}
_RESET = [signal.SIGPIPE, signal.SIGXFSZ]  # Python ignores them, other programs expect them


def main() -> None:
    """Keep the program of the command line."""
    asking, descriptor, *words = sys.argv[1:]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    process_control(PR_SET_CHILD_SUBREAPER, 1)
    process_control(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(asking):
        os._exit(1)  # it died before we asked
    if KEEPER in os.environ:
        os.environ[KEEPER] = str(os.getpid())
    pid = os.posix_spawnp(words[0], words, os.environ, setsid=True, setsigmask=mask, setsigdef=_RESET)
    if descriptor != "-":
        os.close(int(descriptor))  # or its end could not be told from the program's silence
    while not _ended(pid) and signal.sigwait(_HEARD) != signal.SIGTERM:
        pass
    status, _ = tree.end(pid)
    _end_likewise(os.waitstatus_to_exitcode(status))


def _ended(pid: int) -> bool:
    """Return whether the program has ended, without reaping it; reap adopted processes that have."""
    while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
        if found.si_pid == pid:
            return True
        os.waitpid(found.si_pid, 0)
    return False


def _end_likewise(code: int) -> None:
    """End with the same status, or by the same signal, as the program did."""
    if code >= 0:
        os._exit(code)
    process_control(PR_SET_DUMPABLE, 0)  # one core file of it is enough
    if -code not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
    os.kill(os.getpid(), -code)
