"""The subcommands of `optbench`, one module each; what they need is imported when they run."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, Final, Protocol, TextIO

from . import campaign, compare, explain, history, report, run


class Command(Protocol):
    """What every module of this package offers."""

    def add_parser(self, commands: Any) -> None:
        """Declare the subcommand on what ``ArgumentParser.add_subparsers`` returned."""

    def run(self, chosen: argparse.Namespace, out: TextIO, err: TextIO) -> int:
        """Return the exit status; raises `StoreError` for what could not be read or written."""


COMMANDS: Final[Mapping[str, Command]] = {
    "run": run,
    "compare": compare,
    "report": report,
    "explain": explain,
    "history": history,
    "campaign": campaign,
}
