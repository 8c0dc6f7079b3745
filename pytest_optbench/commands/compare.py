"""`optbench compare`: read two files of another tool (or our own) and say what they suggest, unpaired."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, TextIO

from ..store.errors import StoreError
from .kept import keep, read_history
from .settings import add_settings, settings

_OPTIONS = ("min_speedup", "max_slowdown", "goal", "alpha", "gate", "report_dir", "history", "templates")


def add_parser(commands: Any) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "compare",
        help="compare two files of pytest-benchmark, pyperf, hyperfine or pytest-optbench (unpaired)",
        description="Compare what two files recorded. They were recorded at different times, so nothing here is "
        "ever accepted; what can be said without measuring side by side is said.",
    )
    parser.add_argument("old", type=Path, metavar="OLD", help="the file with the baseline")
    parser.add_argument("new", type=Path, metavar="NEW", help="the file that is judged")
    parser.add_argument(
        "--select",
        action="append",
        default=[],
        metavar="TEXT",
        help="only benchmarks whose name contains TEXT, or matches it where it holds * or ?; may be repeated",
    )
    parser.add_argument(
        "--match",
        action="append",
        nargs=2,
        default=[],
        metavar=("OLDNAME", "NEWNAME"),
        help="compare these two, whatever they are called; may be repeated",
    )
    parser.add_argument(
        "--drift",
        metavar="X",
        help="extra time the machine alone may have caused between the files: 10%%, 0.1 or 1.1x (default 2x)",
    )
    add_settings(parser, _OPTIONS, {"goal": "no-regression (default) or speedup"})


def run(chosen: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Compare, write the documents and apply the gate; 0 passed, 1 not passed, 2 wrong usage."""
    from ..options import OptionError, parse_slowdown

    try:
        asked = settings(chosen, _OPTIONS, {"goal": "no-regression"})
        try:
            drift = None if chosen.drift is None else parse_slowdown(chosen.drift)
        except OptionError as error:
            raise OptionError(f"--drift: {error}") from error
        held = read_history(asked.history, Path.cwd(), err)
    except (OptionError, StoreError) as error:
        err.write(f"optbench compare: {error}\n")
        return 2
    from ..foreign import judge_files
    from .outcome import conclude

    judged = judge_files(
        chosen.old,
        chosen.new,
        asked,
        root=Path.cwd(),
        drift=drift,
        select=chosen.select,
        named=[(a, b) for a, b in chosen.match],
        held=held,
    )
    for line in judged.notes:
        out.write(f"{line}\n")
    status = conclude(judged.documents, judged.folder, asked, out, err, templates=judged.templates)
    try:
        keep(asked.history, Path.cwd(), judged.documents, held, judged.folder)
    except StoreError as error:
        err.write(f"optbench compare: {error}\n")
        status = 1
    for line in judged.missing:
        err.write(f"optbench compare: {line}\n")
    return 1 if judged.missing and asked.gate != "off" else status
