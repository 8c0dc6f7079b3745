"""`optbench campaign`: evaluate candidates one after another, and say what became of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, TextIO


def add_parser(commands: Any) -> None:
    """Declare the subcommand with its actions."""
    parser = commands.add_parser("campaign", help="evaluate candidates one after another, with a ledger")
    actions = parser.add_subparsers(dest="action", required=True)
    for name, words in (
        ("run", "measure what is left, then write the report"),
        ("status", "say what became of each candidate so far"),
        ("report", "write the ledger as markdown with a waterfall plot"),
    ):
        action = actions.add_parser(name, help=words)
        action.add_argument("file", type=Path, help="the campaign's TOML file")
        if name == "run":
            action.add_argument(
                "--again",
                action="append",
                default=[],
                metavar="ID",
                help="measure this one once more although it is decided; may be repeated",
            )


def run(chosen: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Do what was asked; 0 when the campaign is done and its claims hold, 1 otherwise, 2 for wrong usage."""
    from ..campaign.errors import CampaignError
    from ..campaign.ledger import Ledger
    from ..campaign.read import read_campaign
    from ..campaign.report import lines, write_report
    from ..campaign.run import claims_hold, run_campaign, status
    from ..report.escape import console, console_lines

    def say(line: str) -> None:
        out.write(console(line) + "\n")
        out.flush()

    try:
        campaign = read_campaign(chosen.file)
        if chosen.action == "run":
            run_campaign(campaign, chosen.again, say)
    except CampaignError as error:
        err.write(f"optbench: {console_lines(error)}\n")
        return 2
    except KeyboardInterrupt:
        err.write("optbench: interrupted; what was decided is kept, the same command goes on from there\n")
        return 1
    ledger = Ledger(campaign.folder)
    result, done = status(campaign, ledger)
    if chosen.action != "status":
        written = write_report(campaign, ledger)
        say(f"written: {written.relative_to(campaign.root).as_posix()}")
    out.writelines(f"{line}\n" for line in lines(campaign, result, done))
    return 1 if claims_hold(campaign, result, done) else 0
