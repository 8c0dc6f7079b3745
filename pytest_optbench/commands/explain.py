"""`optbench explain`: say what reason codes mean."""

from __future__ import annotations

import argparse
from typing import Any, TextIO


def add_parser(commands: Any) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser("explain", help="say what reason codes mean")
    parser.add_argument("codes", nargs="*", metavar="CODE", help="all codes when none is given")


def run(chosen: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Print the codes asked for, or all; 2 when one is not known."""
    from ..report.reasons import REASONS

    unknown = [code for code in chosen.codes if code not in REASONS]
    for code in chosen.codes or sorted(REASONS):
        if code in REASONS:
            out.write(f"{code:<22} {REASONS[code]}\n")
    if unknown:
        err.write(f"optbench: no such reason code: {', '.join(unknown)}; `optbench explain` lists them all\n")
        return 2
    return 0
