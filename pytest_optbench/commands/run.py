"""`optbench run`: compare two whole commands, run in turn, and decide as for a test."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from ..store.errors import StoreError
from .kept import keep, read_history
from .settings import add_settings, settings

if TYPE_CHECKING:
    from ..options import Settings
    from ..wholecommand.command import Command
    from ..wholecommand.judge import Benchmark

_OPTIONS = (
    "trials", "max_trials", "min_speedup", "max_slowdown", "max_memory", "goal", "alpha", "gate", "report_dir",
    "history", "seed", "max_time", "cpus", "no_progress", "quick", "templates",
)  # fmt: skip
_MAX_TIME_S = 600
_INTERRUPTED = 130
_WORDS = {
    "goal": "speedup (default) or no-regression",
    "max_time": f"time limit in seconds (default {_MAX_TIME_S})",
}


def add_parser(commands: Any) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "run",
        help="compare whole commands, run in turn side by side",
        description="Run a baseline and an optimized command in turn, in random balanced order, and decide "
        "whether the optimized one is faster. Starting the process is part of every time.",
    )
    parser.add_argument("--baseline", required=True, metavar="CMD", help="the command to beat")
    parser.add_argument(
        "--optimized", required=True, action="append", metavar="CMD",
        help="the command that is judged; may be repeated for several candidates",
    )  # fmt: skip
    parser.add_argument("--setup", metavar="CMD", help="run before every run, untimed")
    parser.add_argument(
        "--cwd", type=Path, metavar="DIR", help="folder the commands run in (default: this one)"
    )
    parser.add_argument("--title", metavar="TEXT", help="name of the decision")
    parser.add_argument(
        "--shell", action="store_true", help="let /bin/sh run the commands (pipes, variables)"
    )
    parser.add_argument(
        "--no-equal-output", action="store_true", help="do not require both to write the same to stdout"
    )
    add_settings(parser, _OPTIONS, _WORDS)


def run(chosen: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Measure, decide and apply the gate; 0 passed, 1 not passed, 2 wrong usage, 130 interrupted."""
    from ..options import OptionError

    try:
        asked = settings(chosen, _OPTIONS, {"goal": "speedup", "max_time": _MAX_TIME_S})
        benchmark = _benchmark(chosen, asked)
        benchmark = replace(benchmark, held=read_history(asked.history, benchmark.root, err))
    except (OptionError, StoreError, ValueError) as error:
        err.write(f"optbench run: {error}\n")
        return 2
    import json

    from ..measure.errors import MeasureError
    from ..progress import stream_progress
    from ..wholecommand.judge import run_commands
    from .outcome import conclude

    before = signal.signal(signal.SIGTERM, _end)
    try:
        with stream_progress(
            err, benchmark.title or "optbench run", enabled=not asked.no_progress
        ) as progress:
            outcome = run_commands(benchmark, progress)
    except MeasureError as error:
        err.write(f"optbench run: {error}\n")
        return 2
    except KeyboardInterrupt:
        err.write("optbench run: interrupted; nothing was decided and no command is left running\n")
        return _INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
    documents = [json.loads(result.document) for result in outcome.results]
    here = Path.cwd()
    templates = Path(here, asked.templates) if asked.templates else None
    status = conclude(documents, Path(here, asked.report_dir), asked, out, err, templates)
    try:
        keep(asked.history, benchmark.root, documents, benchmark.held, Path(here, asked.report_dir))
    except StoreError as error:
        err.write(f"optbench run: {error}\n")
        return 1
    return status


def _benchmark(chosen: argparse.Namespace, asked: Settings) -> Benchmark:
    from ..wholecommand.command import Command
    from ..wholecommand.judge import Benchmark

    cwd = Path(chosen.cwd or Path.cwd()).resolve()
    if not cwd.is_dir():
        raise ValueError(f"--cwd must be a folder, received {str(chosen.cwd)!r}")

    def parse(text: str) -> Command:
        return Command.parse(text, cwd, shell=chosen.shell)

    candidates: dict[str, Command] = {}
    for text in chosen.optimized:
        if text in candidates:
            raise ValueError(f"every --optimized must be another command, received {text!r} twice")
        candidates[text] = parse(text)
    if len(candidates) == 1:
        candidates = {"optimized": parse(chosen.optimized[0])}
    baseline = parse(chosen.baseline)
    setup = parse(chosen.setup) if chosen.setup else None
    return Benchmark(
        baseline=baseline,
        candidates=candidates,
        settings=asked,
        cwd=cwd,
        root=Path.cwd(),
        line=tuple(_line(chosen, baseline, candidates.values(), setup)),
        title=chosen.title,
        setup=setup,
        equal_output=not chosen.no_equal_output,
    )


def _line(
    chosen: argparse.Namespace, baseline: Command, candidates: Iterable[Command], setup: Command | None
) -> Iterator[str]:
    """Yield the words to repeat the run with, without folders of this machine."""
    yield "run"
    yield f"--baseline={baseline.shown}"
    yield from (f"--optimized={command.shown}" for command in candidates)
    if setup is not None:
        yield f"--setup={setup.shown}"
    yield from (
        flag for flag in ("--shell", "--no-equal-output") if getattr(chosen, flag[2:].replace("-", "_"))
    )
    for name in _OPTIONS:
        value = getattr(chosen, name)
        if value is not None:
            flag = f"--{name.replace('_', '-')}"
            yield flag if value is True else f"{flag}={value}"


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    """Leave as on Ctrl-C: contexts end commands, release the lock and remove files."""
    raise KeyboardInterrupt
