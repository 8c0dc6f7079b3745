"""What a child does first: take its end of the channel, tie its life to the driver's, stay on its CPUs.

Whatever it was told through the environment is taken out of it, so that nothing the tests start believes to be
a child of a measuring run too.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import sys
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..measure.address_space import as_before
from ..measure.channel import ARM, CPUS, FD, NAMES, OTHER_TREE, PARENT, SEED, TEMP, TREE, Channel
from ..measure.errors import MeasureError

_PR_SET_PDEATHSIG = 1


class NotAChild(Exception):
    """The plugin was loaded by somebody who is no driver."""


@dataclass(frozen=True)
class Connection:
    """What the driver told this process.

    ``arm`` is the arm to measure, None for all; ``trees`` and ``names`` say which modules to report; ``seed``
    draws the places of timed runs; ``temp`` is the folder for this process's temporary files, not made yet.
    """

    channel: Channel
    arm: str | None
    seed: int
    trees: tuple[Path, ...]
    names: frozenset[str]
    temp: str | None


def connect(environment: MutableMapping[str, str]) -> Connection:
    """Return the connection that ``environment`` describes, and remove the description; raises `NotAChild`."""
    if FD not in environment:
        raise NotAChild(
            "pytest_optbench.child.plugin is for processes that a measuring run starts; "
            "run pytest --optbench --optbench-isolation=process instead of loading it"
        )
    end = socket.socket(fileno=int(environment.pop(FD)))
    os.set_inheritable(end.fileno(), False)
    channel = Channel(end)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            after_in_child=channel.close
        )  # a fork of the tests must not keep the channel open
    as_before(environment)
    _die_with(int(environment.pop(PARENT)))
    cpus = environment.pop(CPUS, "")
    if cpus and hasattr(os, "sched_setaffinity"):
        try:
            os.sched_setaffinity(0, {int(cpu) for cpu in cpus.split(",")})
        except (OSError, ValueError) as error:  # the report would say that it was pinned
            raise MeasureError(
                f"--optbench-cpus must name CPUs that every process may use, received {cpus!r}: {error}"
            ) from error
    trees = [environment.get(name) for name in (TREE, OTHER_TREE)]
    return Connection(
        channel=channel,
        arm=environment.pop(ARM, "") or None,
        seed=int(environment.pop(SEED, "0")),
        trees=tuple(Path(tree).resolve() for tree in trees if tree),
        names=frozenset(filter(None, environment.pop(NAMES, "").split(","))),
        temp=environment.pop(TEMP, "") or None,
    )


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when the driver's dies, also in the middle of a long call."""
    if sys.platform != "linux":
        return
    libc: Any = ctypes.CDLL(None)
    with contextlib.suppress(AttributeError):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it died before we asked
