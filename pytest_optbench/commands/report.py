"""`optbench report`: write all documents of a folder again from its JSON files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, TextIO


def add_parser(commands: Any) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser("report", help="write all documents of a folder again from its JSON files")
    parser.add_argument("folder", type=Path, help="the report folder")
    parser.add_argument("--png", action="store_true", help="draw PNG pictures as well (extra: report)")
    parser.add_argument(
        "--templates", type=Path, metavar="DIR", help="folder with templates that replace the shipped ones"
    )


def run(chosen: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Write all documents and the index; 1 without decisions or when a file had to be left out; raises `StoreError`."""
    from ..report import write_decision, write_index, write_pictures
    from ..report.templating import check_templates
    from ..store.errors import StoreError
    from ..store.folder import read_folder

    folder, templates = chosen.folder, chosen.templates
    if not folder.is_dir():
        raise StoreError(f"the report folder must exist, received {str(folder)!r}; name another")
    check_templates(templates)
    found = read_folder(folder)
    decisions = found.ordered()
    if not decisions:
        for warning in found.warnings:
            err.write(f"optbench: warning: {warning}\n")
        err.write(
            f"optbench: a report folder must hold decisions, received {str(folder)!r}, which holds none\n"
        )
        return 1
    for document in decisions:
        write_decision(folder, document, templates)
    index = write_index(folder, templates)
    for warning in index.warnings:
        err.write(f"optbench: warning: {warning}\n")
    if chosen.png:
        write_pictures(folder, read_folder(folder).ordered())
    out.write(f"{len(decisions)} decisions written again in {folder}\n")
    return 1 if index.warnings else 0
