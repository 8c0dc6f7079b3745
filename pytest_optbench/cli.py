"""The `optbench` command: what can be done with decisions, beside measuring them in pytest.

Every subcommand is one module of `pytest_optbench.commands` with two functions: ``add_parser(commands)``
declares its arguments, ``run(arguments, out, err)`` returns the exit status (0 done, 1 something could not be
done or a gate did not pass, 2 wrong usage). `run` takes its arguments and streams, so tests call it directly;
`main` only passes them on.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from . import __version__
from .commands import COMMANDS


def main() -> None:
    """Run the command line of this process."""
    try:
        status = run(sys.argv[1:], sys.stdout, sys.stderr)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)


def run(arguments: Sequence[str], out: TextIO, err: TextIO) -> int:
    """Return the exit status of one command line; whatever a command knows to report goes to ``err``."""
    from .store.errors import StoreError

    parser = argparse.ArgumentParser(prog="optbench", description="Work with decisions of pytest --optbench.")
    parser.add_argument("--version", action="version", version=f"optbench {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for command in COMMANDS.values():
        command.add_parser(commands)
    try:
        chosen = parser.parse_args(arguments)
    except SystemExit as stop:  # argparse has printed the usage or the version
        return int(stop.code or 0)
    try:
        return COMMANDS[chosen.command].run(chosen, out, err)
    except StoreError as error:
        err.write(f"optbench: {error}\n")
        return 1
