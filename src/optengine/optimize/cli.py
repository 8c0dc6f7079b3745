"""``optengine optimize module:objective --space space.toml ...``: a search from the command line.

Exit status: 0 when the run ended with a best trial, 1 when it did not (too many failures, no complete trial) or its
history could not be written, 2 for wrong usage. The table goes to standard output, bar and errors to standard error.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING, Any

from optengine.errors import EngineError
from optengine.named import named_callable
from optengine.optimize.errors import OptimizeError, TooManyFailuresError

if TYPE_CHECKING:
    from optengine.optimize.trial import Trial

_EXAMPLE = """example:
  optengine optimize strategies:sharpe --space space.toml --algorithm tpe --trials 200 --workers 2 \\
      --checkpoint run.jsonl --resume --out trials.parquet
"""


def add_parser(subparsers: Any) -> None:
    """Add the command's options."""
    parser = subparsers.add_parser(
        "optimize",
        help="search the parameters of an objective with many workers",
        description="Search the parameters of an objective; the history does not depend on the number of workers.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("objective", metavar="MODULE:FUNCTION", help="what to call with each point")
    parser.add_argument(
        "--space", required=True, metavar="FILE", help="search space, one TOML table per parameter"
    )
    parser.add_argument(
        "--algorithm", default="tpe", help="grid, random, tpe, gp, genetic, cmaes or bohb (default tpe)"
    )
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="of the algorithm, in JSON"
    )
    parser.add_argument("--trials", type=int, metavar="N", help="number of evaluations")
    parser.add_argument("--seed", type=int, metavar="N", help="root seed (default: drawn and printed)")
    parser.add_argument("--direction", default="maximize", choices=("maximize", "minimize"))
    parser.add_argument("--workers", type=int, metavar="N", help="default: one per usable CPU")
    parser.add_argument("--backend", default="local", choices=("serial", "local", "ray"))
    parser.add_argument(
        "--ray-address", metavar="ADDRESS", help="of a running cluster; default: start one here"
    )
    parser.add_argument(
        "--window", type=int, metavar="N", help="evaluations in flight at most; fixes the history"
    )
    parser.add_argument(
        "--max-eval-time", type=float, metavar="S", help="seconds before an evaluation is killed"
    )
    parser.add_argument(
        "--memory-limit", metavar="SIZE", help="of an evaluation, like 512MB, before it is killed"
    )
    parser.add_argument(
        "--max-attempts", type=int, default=2, metavar="N", help="for a trial whose worker dies"
    )
    parser.add_argument(
        "--max-failures", default="0.5", metavar="N", help="number or share of failures; 'none' for any"
    )
    parser.add_argument("--max-seconds", type=float, metavar="S", help="wall-clock budget of the run")
    parser.add_argument(
        "--patience", type=int, metavar="N", help="stop after N trials without a better value"
    )
    parser.add_argument("--target", type=float, metavar="VALUE", help="stop when a value is this good")
    parser.add_argument("--checkpoint", metavar="FILE", help="journal of the run (JSON lines)")
    parser.add_argument(
        "--resume", action="store_true", help="continue the run in the checkpoint, if it holds one"
    )
    parser.add_argument("--out", metavar="FILE", help="write the history as .parquet or .csv")
    parser.add_argument(
        "--optuna-storage", metavar="URL", help="also keep the trials as an Optuna study, live"
    )
    parser.add_argument("--no-progress", action="store_true", help="no bar")


def run(args: argparse.Namespace, out: IO[str], err: IO[str]) -> int:
    """Run the command; returns the exit status."""
    optimizer, objective = _prepare(args)
    status = 0
    try:
        optimizer.run(objective)
    except TooManyFailuresError as error:
        print(f"optengine optimize: {error}", file=err)
        status = 1
    _print_result(optimizer, out)
    for line in _errors(optimizer.trials):
        print(f"optengine optimize: {line}", file=err)
    if args.out:
        try:
            optimizer.save(args.out)
        except EngineError as error:
            print(f"optengine optimize: {error}", file=err)
            return 1
    return status or int(optimizer.get_best_result() is None)


def _prepare(args: argparse.Namespace) -> tuple[Any, Callable[..., Any]]:
    from optengine.optimize.history import check_writable
    from optengine.optimize.optimizer import ParallelOptimizer
    from optengine.search.names import algorithm_named
    from optengine.search.space import Space

    if args.out:
        check_writable(args.out)
    if args.resume and not args.checkpoint:
        raise OptimizeError("--resume needs the file to continue; received no --checkpoint")
    objective = named_callable(args.objective, "objective", OptimizeError)
    space = Space.from_toml(args.space)
    seed = args.seed
    if seed is None and args.checkpoint and args.resume:
        seed = _seed_of(args.checkpoint)
    algorithm = algorithm_named(args.algorithm, space, args.trials, seed, **_options(args.option))
    on_trial = None
    if args.optuna_storage:
        from optengine.optimize.optuna_export import OptunaExport

        on_trial = OptunaExport(space, args.optuna_storage, args.objective, args.direction)
    optimizer = ParallelOptimizer(
        algorithm,
        n_jobs=args.workers,
        backend=args.backend,
        max_eval_time=args.max_eval_time,
        memory_limit=args.memory_limit,
        max_attempts=args.max_attempts,
        direction=args.direction,
        window=args.window,
        checkpoint=args.checkpoint,
        progress=not args.no_progress,
        resume=args.resume,
        patience=args.patience,
        target=args.target,
        max_seconds=args.max_seconds,
        max_failures=_limit(args.max_failures),
        on_trial=on_trial,
        backend_options={"address": args.ray_address} if args.ray_address else None,
    )
    return optimizer, objective


def _seed_of(checkpoint: str) -> int | None:
    """The seed of the run in a journal, so that --resume works without repeating it; None for a new file."""
    from pathlib import Path

    from optengine.optimize.journal import read_records

    path = Path(checkpoint)
    if not path.exists() or b"\n" not in path.read_bytes():
        return None
    seed = read_records(path)[0].get("search", {}).get("seed")
    return seed if isinstance(seed, int) else None


def _options(pairs: list[str]) -> dict[str, Any]:
    options = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (name and equals):
            raise OptimizeError(f"--option must be NAME=VALUE; received {pair!r}")
        try:
            options[name.replace("-", "_")] = json.loads(text)
        except ValueError:  # not JSON: a plain text, as a shell user writes it
            options[name.replace("-", "_")] = text
    return options


def _limit(text: str) -> float | None:
    if text.lower() == "none":
        return None
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError as error:
        raise OptimizeError(
            f"--max-failures must be a number, a share or 'none'; received {text!r}"
        ) from error


def _errors(trials: Sequence[Trial], count: int = 3) -> list[str]:
    """One line per wording of failure, the most frequent first, at most ``count`` and how many more."""
    found = Counter(trial.error for trial in trials if trial.state == "failed")
    lines = [f"{times} x failed: {error}" for error, times in found.most_common(count)]
    rest = len(found) - len(lines)
    return [*lines, f"and {rest} other errors, see the column error of --out"] if rest > 0 else lines


def _print_result(optimizer: Any, out: IO[str]) -> None:
    stats = optimizer.stats()
    counts = ", ".join(f"{stats[state]} {state}" for state in ("complete", "failed", "cancelled"))
    print(
        f"{stats['trials']} trials ({counts}) in {stats['seconds']:.1f} s, seed {optimizer.algorithm.seed}",
        file=out,
    )
    if stats["replayed"]:
        print(f"{stats['replayed']} of them taken from the checkpoint", file=out)
    if optimizer.stop_reason:
        print(f"stopped early: {optimizer.stop_reason}", file=out)
    for finding in stats.get("findings", []):
        print(f"note: {finding}", file=out)
    best = optimizer.get_best_result()
    if best is None:
        print("no complete trial", file=out)
        return
    budget = "" if best.budget is None else f" at budget {best.budget:g}"
    print(f"best: trial {best.trial_id}, value {best.value:.6g}{budget}", file=out)
    width = max(len(name) for name in best.params)
    for name, value in best.params.items():
        print(f"  {name:<{width}}  {value}", file=out)
