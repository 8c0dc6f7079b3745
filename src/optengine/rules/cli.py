"""``optengine validate``: run a rule set on a folder, write a report, and tell by the exit status.

Exit status 0: nothing at or above the level; 1: findings at or above it; 2: the request or the rule set
cannot be used.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import IO

from optengine.rules.errors import RulesUsageError
from optengine.rules.formats import FORMATS, render
from optengine.rules.model import Severity, Status
from optengine.rules.ruleset import load
from optengine.rules.validator import MODES, ProcessPoolValidator

COMMAND = "validate"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        COMMAND,
        help="check a folder with a rule set",
        description="Check a folder with a rule set. "
        "Exit status: 0 clean, 1 findings at or above --fail-on, 2 usage or rule-set error.",
    )
    parser.add_argument("root", type=Path, metavar="ROOT", help="folder to check")
    parser.add_argument(
        "--rules", required=True, metavar="MODULE:RULES", help="rule set to run, as an import path"
    )
    parser.add_argument("--mode", choices=MODES, default="auto", help="where rules run (default: auto)")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="threads or processes (default: what is free)"
    )
    parser.add_argument(
        "--timeout", type=float, default=60.0, metavar="S", help="seconds per rule, 0: none (default: 60)"
    )
    parser.add_argument(
        "--fail-on",
        type=_severity,
        default=Severity.INFO,
        metavar="LEVEL",
        help="lowest severity that gives exit status 1",
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="table", help="format of the report (default: table)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write the report here instead of printing it"
    )
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="store of earlier results: only rules run that must"
    )
    parser.add_argument(
        "--changed-since", metavar="REV", help="git revision whose unchanged files are not hashed again"
    )
    parser.add_argument(
        "--select", action="append", default=[], metavar="ID", help="only this rule and what it requires"
    )
    parser.add_argument(
        "--group", action="append", default=[], metavar="NAME", help="only rules of this group"
    )
    parser.add_argument("--tag", action="append", default=[], metavar="TAG", help="only rules with this tag")
    parser.add_argument(
        "--min-severity", type=_severity, metavar="LEVEL", help="only rules at or above this severity"
    )
    parser.add_argument("--all", action="store_true", help="also list rules that passed (table and markdown)")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar")


def _severity(text: str) -> Severity:
    try:
        return Severity.of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(args: argparse.Namespace, out: IO[str], _: IO[str]) -> int:
    """Run the command; the report goes to *out* or to ``--out``."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    rules = load(args.rules).select(
        ids=args.select, groups=args.group, tags=args.tag, min_severity=args.min_severity
    )
    if not len(rules):
        raise RulesUsageError(
            "at least one rule must be selected; none was. Check --rules and the selection."
        )
    report = ProcessPoolValidator(
        args.root,
        rules,
        mode=args.mode,
        max_workers=args.workers,
        timeout=args.timeout or None,
        cache_dir=args.cache,
        progress=not args.no_progress,
        changed_since=args.changed_since,
    ).validate()
    width = shutil.get_terminal_size((100, 24)).columns
    text = render(report, rules, args.format, width=width, everything=args.all)
    if args.out is None:
        encoding = getattr(out, "encoding", None) or "utf-8"
        out.write(text.encode(encoding, "backslashreplace").decode(encoding))
    else:
        write_atomically(args.out, text)
        counts = ", ".join(f"{count} {name}" for name, count in report.counts.items() if count)
        out.write(f"{counts}; report written to {args.out}\n")
    if all(one.status is Status.SKIP for one in report.results):
        raise RulesUsageError("at least one rule must apply; every rule was skipped. See their messages.")
    return 1 if report.findings(args.fail_on) else 0


def write_atomically(path: Path, text: str) -> None:
    """Write *text* under a temporary name beside *path* and rename it, so that readers see all of it or
    nothing; a link or a device such as ``/dev/stdout`` is written to and stays what it is."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_text(text, encoding="utf-8", newline="\n")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
