"""How a child is started: the same interpreter with the same flags, and the same start of imports as the parent's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import launch


def interpreter(program: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the command line of a child before its pytest arguments.

    ``program`` is the `sys.argv` of the process the user started, by default that of this one: run as
    ``python -m pytest`` imports start in the current folder, run as ``pytest`` they do not.
    """
    name = Path((program or sys.argv or ("",))[0]).name
    known: Any = subprocess
    flags = known._args_from_interpreter_flags()  # what multiprocessing starts its children with
    mode = "cwd" if name == "__main__.py" and not getattr(sys.flags, "safe_path", False) else "-"
    return (sys.executable, *flags, launch.__file__, mode)
