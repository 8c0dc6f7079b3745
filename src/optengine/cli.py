"""``optengine``: a thin dispatcher. Every command lives in its own module and is imported only when it is
asked for.

A command's module has ``add_parser(subparsers)`` and ``run(args, out, err) -> int``. What it cannot do it raises, as an
``EngineError`` or ``OSError``: told in one line here, with exit status 2.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import IO

from optengine import __version__
from optengine._optional import missing_engine
from optengine.errors import EngineError

#: Command, the module that implements it, and its line of help.
COMMANDS: tuple[tuple[str, str, str], ...] = (
    ("validate", "optengine.rules.cli", "check a folder with a rule set"),
    ("rules-bench", "optengine.rules.bench_cli", "measure the validator: modes, grouping, worker counts"),
    ("optimize", "optengine.optimize.cli", "search the parameters of an objective with many workers"),
    ("sweep", "optengine.sweep.cli", "run a strategy over a grid of parameters"),
)


def _parser(command: str | None) -> argparse.ArgumentParser:
    """The parser; only *command* gets its options, the others are listed by name."""
    parser = argparse.ArgumentParser(prog="optengine", description="Parallel engine: commands.")
    parser.add_argument("--version", action="version", version=f"optengine {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module, text in COMMANDS:
        if name == command:
            import_module(module).add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=text)
    return parser


def run(argv: Sequence[str], out: IO[str], err: IO[str]) -> int:
    """Run one command with its output on *out* and *err*; returns the exit status (2: usage error, 130: Ctrl-C)."""
    known = {name: module for name, module, _ in COMMANDS}
    command = next((word for word in argv if word in known), None)
    try:
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                args = _parser(command).parse_args(list(argv))
        except SystemExit as leave:  # of the parser: --help, --version or a usage error
            return leave.code if isinstance(leave.code, int) else 0 if leave.code is None else 2
        status: int = import_module(known[args.command]).run(args, out, err)
    except (EngineError, OSError) as error:
        err.write(f"optengine {command}: {error}\n")
        return 2
    except KeyboardInterrupt:
        err.write(f"optengine {command}: interrupted\n")
        return 130
    except SystemExit as leave:
        # Whatever status it asked for: the command has not done its work, and 0 would say that it has.
        err.write(
            f"optengine {command}: the code it runs must not end the program; it left with {leave.code!r}\n"
        )
        return 2
    except ImportError as error:
        missing = missing_engine(f"optengine {command}", error)
        if missing is None:
            raise
        err.write(f"{missing}\n")
        return 2
    return status


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the console script: :func:`run` with the process's own arguments and streams."""
    return run(sys.argv[1:] if argv is None else argv, sys.stdout, sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
