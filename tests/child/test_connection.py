"""What a child makes of the environment its driver gave it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CONNECT = """
import os, socket, sys
from pytest_optbench.child.connection import connect
from pytest_optbench.measure.channel import CPUS, FD, PARENT
ours, theirs = socket.socketpair()
connect({FD: str(theirs.detach()), PARENT: str(os.getppid()), CPUS: sys.argv[1]})
print(sorted(os.sched_getaffinity(0)))
"""


def connected(cpus: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CONNECT, cpus], capture_output=True, text=True, timeout=240, check=False
    )


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux pins processes to CPUs")
def test_a_child_runs_on_the_cpus_asked_for() -> None:
    """A child that is to be pinned runs on those CPUs and no others."""
    cpu = min(os.sched_getaffinity(0))
    done = connected(str(cpu))
    assert (done.returncode, done.stdout.strip()) == (0, f"[{cpu}]"), done.stderr


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux pins processes to CPUs")
def test_a_child_that_cannot_be_pinned_ends() -> None:
    """It never measures on other CPUs than the report would say: it ends, and its driver has no pair."""
    done = connected("4095")
    assert done.returncode == 1
    assert "--optbench-cpus must name CPUs that every process may use, received '4095'" in done.stderr
