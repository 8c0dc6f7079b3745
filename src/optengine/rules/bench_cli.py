"""``optengine rules-bench``: measure the validator on this machine and write every run as JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import IO, Any

from optengine.errors import EngineError
from optengine.rules.bench import workload
from optengine.rules.bench.modes import endurance, full, scaling
from optengine.rules.bench.terminated import unwound_by_sigterm
from optengine.rules.cli import write_atomically
from optengine.rules.errors import RulesUsageError

COMMAND = "rules-bench"
MODES = ("full", "scaling", "endurance")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        COMMAND,
        help="measure the validator: modes, grouping, worker counts",
        description="Measure the validator. Verdicts of all modes are compared before any time is. "
        "Exit status: 0 measured, 1 verdicts differ or results are missing, 2 usage error.",
    )
    parser.add_argument("--mode", choices=MODES, default="full", help="what to measure (default: full)")
    parser.add_argument(
        "--workers", type=_counts, default=None, metavar="N,N", help="worker counts (default: 1,2,4,8 or 2)"
    )
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="runs of every arm (default: 3)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write all numbers here as JSON")
    parser.add_argument(
        "--tree", type=Path, metavar="DIR", help="Python files to check (default: the standard library)"
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, metavar="F", help="size of the workloads (default: 1.0)"
    )


def _counts(text: str) -> list[int]:
    try:
        counts = [int(one) for one in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise argparse.ArgumentTypeError(
            f"--workers must be numbers above 0 such as 1,2,4; received {text!r}"
        )
    return counts


def run(args: argparse.Namespace, out: IO[str], err: IO[str]) -> int:
    """Measure, print one line per part to *out*, write the JSON file."""
    try:
        if args.runs < 1 or not args.scale > 0:
            raise RulesUsageError(
                f"--runs and --scale must be above 0; received {args.runs} and {args.scale}."
            )
        with unwound_by_sigterm():
            found = _measure(args, lambda line: _say(out, line))
    except RulesUsageError as error:
        err.write(f"optengine rules-bench: {error}\n")
        return 2
    except EngineError as error:
        err.write(f"optengine rules-bench: {error}\n")
        return 1
    if args.output is not None:
        write_atomically(args.output, json.dumps(found, indent=1) + "\n")
        out.write(f"written to {args.output}\n")
    return 0


def _measure(args: argparse.Namespace, say: Any) -> dict[str, Any]:
    root = args.tree if args.tree is not None else workload.standard_library()
    if args.mode == "scaling":
        return scaling(root, args.workers or [1, 2, 4, 8], args.runs, args.scale, say)
    workers = max(args.workers or [2])
    if args.mode == "endurance":
        return endurance(root, workers, args.runs, say)
    return full(root, workers, args.runs, args.scale, say)


def _say(out: IO[str], line: str) -> None:
    out.write(f"{line}\n")
    out.flush()
