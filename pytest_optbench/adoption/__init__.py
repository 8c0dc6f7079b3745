"""Small programs that stand between a measuring run and what it starts, so that nothing outlives the run.

    pytest ──starts──> keeper ──starts──> child of a pair, or a build
    optbench run ────> spawner ─starts──> whole command

On Linux a process whose parent ends is adopted by the nearest ancestor that asked for it. A program may leave its
process group and session (``setsid``, daemons), but not its ancestry: whatever it started stays below the keeper,
which ends it when the program ends, when it is told to, and when whoever asked is gone, killed or not.

Everything here runs without site-packages: standard library only.
"""

from __future__ import annotations

import os
import sys
from typing import Final

KEEPER: Final = "OPTBENCH_CHILD_PARENT"
"""Variable that tells a kept program the number of its parent: the keeper puts its own there when it is set."""

_START: Final = "import sys; sys.path.append(sys.argv.pop(1)); from {} import main; main()"


def program(module: str) -> tuple[str, ...]:
    """Return the command line of a small Python that runs ``main()`` of ``module`` of this installation."""
    installation = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
    return (sys.executable, "-I", "-S", "-c", _START.format(module), installation)
