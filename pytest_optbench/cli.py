"""The `optbench` command: what can be done with documents that exist already.

`run` takes its arguments and streams, so tests call it directly; `main` only passes them on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from . import __version__


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:], sys.stdout, sys.stderr))


def run(arguments: Sequence[str], out: TextIO, err: TextIO) -> int:
    """Return the exit status: 0 done, 1 something could not be done, 2 wrong usage."""
    parser = _parser()
    try:
        chosen = parser.parse_args(arguments)
    except SystemExit as stop:  # argparse has printed the usage or the version
        return int(stop.code or 0)
    if chosen.command == "report":
        return _report(chosen.folder, chosen.templates, out, err)
    return _explain(chosen.codes, out, err)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="optbench", description="Work with decisions of pytest --optbench.")
    parser.add_argument("--version", action="version", version=f"optbench {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    report = commands.add_parser("report", help="write all documents of a folder again from its JSON files")
    report.add_argument("folder", type=Path, help="the report folder")
    report.add_argument("--templates", type=Path, help="folder with decision.md.j2 or index.md.j2")
    explain = commands.add_parser("explain", help="say what reason codes mean")
    explain.add_argument("codes", nargs="*", metavar="CODE", help="all codes when none is given")
    return parser


def _report(folder: Path, templates: Path | None, out: TextIO, err: TextIO) -> int:
    from .report import write_decision, write_index
    from .report.templating import check_templates
    from .store.errors import StoreError
    from .store.folder import read_folder

    try:
        if not folder.is_dir():
            raise StoreError(f"the report folder must exist, received {str(folder)!r}; name another")
        check_templates(templates)
        decisions = read_folder(folder).ordered()
        for document in decisions:
            write_decision(folder, document, templates)
        index = write_index(folder, templates)
    except StoreError as error:
        err.write(f"optbench: {error}\n")
        return 1
    for warning in index.warnings:
        err.write(f"optbench: warning: {warning}\n")
    out.write(f"{len(decisions)} decisions written again in {folder}\n")
    return 0


def _explain(codes: Sequence[str], out: TextIO, err: TextIO) -> int:
    from .report.reasons import REASONS

    unknown = [code for code in codes if code not in REASONS]
    for code in codes or sorted(REASONS):
        if code in REASONS:
            out.write(f"{code:<22} {REASONS[code]}\n")
    if unknown:
        err.write(f"optbench: no such reason code: {', '.join(unknown)}\n")
        return 2
    return 0
