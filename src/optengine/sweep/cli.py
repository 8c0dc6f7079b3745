"""``optengine sweep data.csv --strategy module:function --grid ...``: a parameter sweep from the command line.

Exit status: 0 when at least one point has a result, 1 when every point failed, 2 for wrong usage (data, grid,
strategy, output), 130 after Ctrl-C. The table goes to standard output, the bar and errors to standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from optengine.sweep.errors import SweepError
from optengine.sweep.grid import parse_axes, points
from optengine.sweep.outcome import Outcome, as_text, best, errors_as_text, metric_names

if TYPE_CHECKING:
    import pandas as pd

_EXAMPLE = """example:
  optengine sweep wti.csv --strategy optengine.sweep.moving_average:moving_average \\
      --grid fast=5:50:5 --grid slow=60:200:20 --workers 2 --out results.parquet
"""


def add_parser(subparsers: Any) -> None:
    """Add the command's options."""
    parser = subparsers.add_parser(
        "sweep",
        help="run a strategy over a grid of parameters",
        description="Run a strategy on one CSV file at every point of a grid; the file is read and stored once.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", metavar="CSV", help="file with a header; ISO dates become timestamps")
    parser.add_argument(
        "--strategy",
        required=True,
        metavar="MODULE:FUNCTION",
        help="called as function(frame, **point); returns a number or a mapping of numbers",
    )
    parser.add_argument(
        "--grid",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="an axis: start:stop:step (stop included when a step lands on it) or a,b,c; repeat for more",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="default: one per usable CPU")
    parser.add_argument("--out", metavar="FILE", help="write every point to this .parquet file")
    parser.add_argument("--sort", metavar="METRIC", help="order of the table (default: the first metric)")
    parser.add_argument("--ascending", action="store_true", help="lowest first instead of highest")
    parser.add_argument("--top", type=int, default=10, metavar="N", help="rows to print (default 10)")
    parser.add_argument("--task-timeout", type=float, metavar="S", help="seconds one point may take")
    parser.add_argument("--no-progress", action="store_true", help="no bar")


def run(args: argparse.Namespace, out: IO[str], err: IO[str]) -> int:
    """Run the command; returns the exit status."""
    from optengine.sweep.output import ParquetOutput
    from optengine.sweep.run import SweepInterrupted, sweep
    from optengine.sweep.strategy import check_takes, load_strategy

    if args.top < 1:
        raise SweepError(f"--top must be at least 1; received {args.top}")
    grid = list(points(parse_axes(args.grid)))
    strategy = load_strategy(args.strategy)
    check_takes(strategy, grid[0])
    frame = read_frame(args.data)
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(ParquetOutput(args.out)) if args.out else None
        began = time.perf_counter()
        interrupted = False
        try:
            outcomes = sweep(
                frame,
                strategy,
                grid,
                workers=args.workers,
                task_timeout=args.task_timeout,
                progress=not args.no_progress,
            )
        except SweepInterrupted as stopped:
            outcomes, interrupted = stopped.outcomes, True
        seconds = time.perf_counter() - began
        if output is not None:
            from optengine.sweep.outcome import to_arrow

            output.write(to_arrow(outcomes))
    failed = sum(outcome.error is not None for outcome in outcomes)
    print(f"{len(outcomes)} points in {seconds:.1f} s, {failed} without a result", file=out)
    _print_best(outcomes, args, out, err)
    for line in errors_as_text(outcomes):
        print(f"optengine sweep: {line}", file=err)
    if args.out:
        print(f"all points are in {args.out}", file=out)
    if interrupted:
        print("optengine sweep: interrupted; points that had not ended are marked cancelled", file=err)
        return 130
    return int(failed == len(outcomes))


def _print_best(outcomes: Sequence[Outcome], args: argparse.Namespace, out: IO[str], err: IO[str]) -> None:
    names = metric_names(outcomes)
    if not names:
        return
    metric = args.sort or names[0]
    if metric not in names:
        # The work is done and saved: a wrong order must not take it away.
        print(
            f"optengine sweep: --sort must be one of {names}; received {metric!r}; used {names[0]!r}",
            file=err,
        )
        metric = names[0]
    shown = best(outcomes, metric, args.top, ascending=args.ascending)
    if shown:
        print(f"best {len(shown)} by {metric}, {'lowest' if args.ascending else 'highest'} first:", file=out)
        print(as_text(shown), file=out)


def read_frame(path: str) -> pd.DataFrame:
    """The CSV file as a frame. Raises SweepError for one without rows, BundleError for one that cannot be read."""
    from optengine.bundle.csv_tables import read_csv

    table = read_csv(Path(path))
    if not table.num_rows:
        raise SweepError(f"the data must have at least one row; received none in {path!r}")
    frame: pd.DataFrame = table.to_pandas()
    return frame
