"""Options: command line, ini file, marker and call become one frozen `Settings`.

The order of precedence is command line, ini file, marker, call: a gate's policy belongs to the project
and to whoever runs it, so a test cannot loosen what they asked for.

This module is loaded in every pytest run, measuring or not: standard library only.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

MIN_TRIALS: Final = 10
QUICK_TRIALS: Final = 4
DEFAULT_MAX_TRIALS: Final = 40
GATES: Final = ("strict", "lenient", "off")
GOALS: Final = ("speedup", "no-regression")
ISOLATIONS: Final = ("inline", "process")


class OptionError(ValueError):
    """An option, ini key, marker key or argument holds a value that cannot be used."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What one benchmark is measured and judged with.

    ``min_speedup`` is time saved as a fraction in [0, 1); ``max_slowdown`` is extra time as a fraction
    (0.05: at most 1.05 times as long); ``max_memory`` is extra memory as a fraction, None when memory is not
    judged; ``max_time`` is in seconds; ``cpus`` are logical CPU numbers,
    empty for no pinning; ``seed`` is None when each benchmark draws and records its own.
    """

    enabled: bool = False
    trials: int = MIN_TRIALS
    max_trials: int = DEFAULT_MAX_TRIALS
    min_speedup: float = 0.05
    max_slowdown: float = 0.05
    max_memory: float | None = None
    goal: str | None = None
    alpha: float = 0.05
    gate: str = "strict"
    base: str | None = None
    build: str | None = None
    isolation: str = "inline"
    report_dir: str = "reports"
    history: str | None = None
    seed: int | None = None
    max_time: float = 60.0
    cpus: tuple[int, ...] = ()
    no_progress: bool = False
    quick: bool = False
    templates: str | None = None


def parse_time_saved(value: object) -> float:
    """Return time saved as a fraction: ``"5%"`` and ``0.05`` are 0.05, ``"1.25x"`` is 1 - 1/1.25 = 0.2."""
    from .core.goal import allows  # the same rule; only a run that gives a margin pays for it

    saved = _fraction(value, lambda ratio: 1 - 1 / ratio if ratio > 0 else math.nan, _SPEEDUP_FORMS)
    if not allows("speedup", saved):
        raise OptionError(
            f"a speedup must lie between 0 % and 100 % of the time (below 100 %), received {value!r}; "
            f"{_SPEEDUP_FORMS}"
        )
    return saved


def parse_slowdown(value: object) -> float:
    """Return extra time as a fraction: ``"5%"``, ``0.05`` and ``"1.05x"`` are all 0.05."""
    from .core.goal import allows  # the same rule; only a run that gives a margin pays for it

    extra = _fraction(value, lambda ratio: ratio - 1, _SLOWDOWN_FORMS)
    if not allows("no-regression", extra):
        raise OptionError(
            f"a slowdown margin must be above 0 % and at most 100 %, received {value!r}; {_SLOWDOWN_FORMS}"
        )
    return extra


def parse_margin(value: object) -> float:
    """Return how much worse something may get, as a fraction: ``"20%"``, ``0.2`` and ``"1.2x"`` are all 0.2."""
    margin = _fraction(value, lambda ratio: ratio - 1, _MARGIN_FORMS)
    if not 0 <= margin < math.inf:
        raise OptionError(f"a margin must be at least 0 %, received {value!r}; {_MARGIN_FORMS}")
    return margin


_MARGIN_FORMS: Final = "write 20% or 0.2 for a fifth more, 200% or 3x for three times as much"
_SPEEDUP_FORMS: Final = "write 5% or 0.05 for time saved, or 1.05x for a ratio"
_SLOWDOWN_FORMS: Final = "write 5% or 0.05 for extra time, or 1.05x for a ratio"


def _fraction(value: object, of_ratio: Callable[[float], float], forms: str) -> float:
    """Return a percentage, a ratio or a fraction as a fraction; NaN for a bare number above 1: 20 is not 2000 %."""
    text = str(value).strip()
    number = _number(text[:-1] if text.endswith(("%", "x", "X")) else text)
    if math.isnan(number):
        raise OptionError(f"a margin must be a number, received {text!r}; {forms}")
    if text.endswith("%"):
        return number / 100
    if text.endswith(("x", "X")):
        return of_ratio(number)
    return number if number <= 1 else math.nan


def _number(value: object) -> float:
    """Return a finite number; NaN for whatever is none."""
    try:
        number = float(str(value))
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _integer(minimum: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        try:
            number = int(str(value).strip())
        except ValueError:
            raise OptionError(f"must be a whole number, received {value!r}") from None
        if number < minimum:
            raise OptionError(f"must be at least {minimum}, received {number}")
        return number

    return parse


def _alpha(value: object) -> float:
    alpha = _number(value)
    if not 0 < alpha <= 0.5:
        raise OptionError(f"must be an error rate above 0 and at most 0.5, received {value!r}; write 0.05")
    return alpha


def _seconds(value: object) -> float:
    seconds = _number(value)
    if not seconds > 0:
        raise OptionError(f"must be a positive number of seconds, received {value!r}")
    return seconds


def parse_cpus(value: object) -> tuple[int, ...]:
    """Return sorted CPU numbers of a list such as ``"0,2-3"``; each must be usable by this process."""
    if isinstance(value, (list, tuple, set, frozenset)):
        value = ",".join(str(part) for part in value)
    cpus: set[int] = set()
    try:
        for part in str(value).split(","):
            first, _, last = part.strip().partition("-")
            cpus.update(range(int(first), int(last or first) + 1))
    except ValueError:
        raise OptionError(f"must be CPU numbers such as 0,2-3, received {value!r}") from None
    if not hasattr(os, "sched_getaffinity"):
        raise OptionError(f"needs a system that can pin processes (Linux), received {value!r}")
    usable = os.sched_getaffinity(0)
    if not cpus or not cpus <= usable:
        raise OptionError(
            f"must name CPUs this process may use ({', '.join(map(str, sorted(usable)))}), received {value!r}"
        )
    return tuple(sorted(cpus))


def _choice(*choices: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if value not in choices:
            raise OptionError(f"must be one of {', '.join(choices)}, received {value!r}")
        return str(value)

    return parse


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in {"1", "true", "yes", "on"}:
        return True
    if text in {"0", "false", "no", "off", ""}:
        return False
    raise OptionError(f"must be true or false, received {value!r}")


def _text(value: object) -> str:
    text = os.fspath(value) if isinstance(value, os.PathLike) else str(value)
    if not text or "\0" in text:
        raise OptionError(f"must not be empty, received {value!r}")
    return str(text)


@dataclass(frozen=True, slots=True)
class _Option:
    """One setting: how it is spelled, parsed and explained."""

    name: str
    parse: Callable[[object], Any]
    metavar: str | None
    help: str

    @property
    def flag(self) -> str:
        return "--optbench" if self.name == "enabled" else f"--optbench-{self.name.replace('_', '-')}"

    @property
    def ini(self) -> str:
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def dest(self) -> str:
        return self.ini


_OPTIONS: Final = (
    _Option("enabled", _flag, None, "measure and decide (without it every arm runs once and is checked)"),
    _Option("trials", _integer(1), "N", "pairs before the first look (default 10, the minimum)"),
    _Option(
        "max_trials",
        _integer(1),
        "N",
        "pairs at the last look (default 40, or --optbench-trials if that is more)",
    ),
    _Option("min_speedup", parse_time_saved, "X", "gain to prove: 5%%, 0.05 or 1.05x (default 5%%)"),
    _Option("max_slowdown", parse_slowdown, "X", "margin of the no-regression goal (default 5%%)"),
    _Option("max_memory", parse_margin, "X", "most extra memory, such as 20%% (default: shown, not judged)"),
    _Option("goal", _choice(*GOALS), "GOAL", "speedup (default) or no-regression (default with a base)"),
    _Option("alpha", _alpha, "A", "family-wise error rate (default 0.05)"),
    _Option("gate", _choice(*GATES), "MODE", "strict: only ACCEPT passes; lenient: INCONCLUSIVE warns; off"),
    _Option("base", _text, "REV", "compare the working tree with a git revision; REV... is the merge base"),
    _Option("build", _text, "CMD", "command to run in both trees first, under --optbench-base"),
    _Option(
        "isolation", _choice(*ISOLATIONS), "MODE", "inline (default), or process: fresh ones for every pair"
    ),
    _Option("report_dir", _text, "DIR", "folder of the documents (default reports)"),
    _Option("history", _text, "URI", "folder or URI that keeps the decisions of every run, as Parquet"),
    _Option("seed", _integer(0), "N", "seed of the order of trials (default: drawn and recorded)"),
    _Option("max_time", _seconds, "S", "soft time limit per benchmark in seconds (default 60)"),
    _Option("cpus", parse_cpus, "LIST", "pin measuring to these CPUs, such as 0,2-3"),
    _Option("no_progress", _flag, None, "show no progress bar"),
    _Option("quick", _flag, None, "allow fewer than 10 pairs; never ACCEPTs"),
    _Option(
        "templates", _text, "DIR", "folder with templates (decision.md.j2, ...) that replace the shipped ones"
    ),
)
_BY_NAME: Final = {option.name: option for option in _OPTIONS}

# What a test may say of itself, beside the settings: title and group name it, expected and rank state the
# author's forecast, notes and risks are printed in the report.
DESCRIPTION_KEYS: Final = ("title", "group", "rank", "expected", "notes", "risks")
# A test cannot switch measuring on, nor choose where the run's documents go.
_RUN_ONLY: Final = frozenset(
    {"enabled", "base", "build", "report_dir", "history", "no_progress", "quick", "templates", "cpus"}
)
TEST_KEYS: Final = tuple(option.name for option in _OPTIONS if option.name not in _RUN_ONLY)


def add_options(parser: Any) -> None:
    """Declare every option and its ini key on a pytest parser."""
    group = parser.getgroup("optbench", "pytest-optbench: prove that an optimization is faster")
    for option in _OPTIONS:
        kind: dict[str, Any] = (
            {"action": "store_true"} if option.metavar is None else {"metavar": option.metavar}
        )
        group.addoption(option.flag, dest=option.dest, default=None, help=option.help, **kind)
        parser.addini(option.ini, option.help.replace("%%", "%"), type="string", default=None)


def run_settings(config: Any) -> tuple[Settings, frozenset[str]]:
    """Return the settings of a pytest run and the names set by the command line or the ini file.

    Raises `OptionError` naming the option or ini key at fault.
    """
    chosen: dict[str, Any] = {}
    for option in _OPTIONS:
        given = config.getoption(option.dest, default=None)
        where = option.flag
        if given is None:
            given, where = config.getini(option.ini) or None, f"ini key {option.ini}"
        if given is not None:  # an empty one on the command line is a variable that was not set
            chosen[option.name] = _parsed(option, given, where)
    return _consistent(chosen), frozenset(chosen)


def benchmark_settings(
    run: Settings, fixed: frozenset[str], marker: Mapping[str, Any], call: Mapping[str, Any]
) -> Settings:
    """Return the settings of one test: those of the run, then its marker, then its call.

    ``fixed`` are the names the command line or the ini file set. Raises `OptionError` naming the key.
    """
    chosen = {field.name: getattr(run, field.name) for field in fields(Settings) if field.name in fixed}
    for source, where in ((marker, "@pytest.mark.optbench"), (call, "optbench.compare")):
        for name, value in source.items():
            if name in DESCRIPTION_KEYS:
                continue
            if name not in TEST_KEYS:
                raise OptionError(
                    f"{where} knows the keys {', '.join(DESCRIPTION_KEYS + TEST_KEYS)}; received {name!r}"
                )
            if value is not None:
                parsed = _parsed(_BY_NAME[name], value, f"{where}({name}=...)")
                chosen.setdefault(name, parsed)
    return _consistent(chosen)


def option_help(name: str) -> tuple[str | None, str]:
    """Return the placeholder (None for a flag) and the help text of a setting, for other command lines."""
    option = _BY_NAME[name]
    return option.metavar, option.help


def command_settings(given: Mapping[str, object]) -> Settings:
    """Return the settings of another command line, where ``--optbench-trials`` is called ``--trials``.

    Raises `OptionError` naming the option.
    """
    try:
        return _consistent(
            {name: _parsed(_BY_NAME[name], value, _BY_NAME[name].flag) for name, value in given.items()}
        )
    except OptionError as error:
        raise OptionError(str(error).replace("--optbench-", "--")) from None


def _parsed(option: _Option, given: object, where: str) -> Any:
    try:
        return option.parse(given)
    except OptionError as error:
        raise OptionError(f"{where}: {error}") from None


def _consistent(chosen: dict[str, Any]) -> Settings:
    """Return settings whose trial counts fit together; fill in those that depend on others."""
    if chosen.get("quick"):
        chosen = {"trials": QUICK_TRIALS, **chosen}
        chosen.setdefault("max_trials", chosen["trials"])
    trials = chosen.get("trials", MIN_TRIALS)
    if trials < MIN_TRIALS and not chosen.get("quick"):
        raise OptionError(
            f"--optbench-trials: at least {MIN_TRIALS} pairs are needed for a verdict, received {trials}; "
            "add --optbench-quick for a look that never ACCEPTs"
        )
    if trials < QUICK_TRIALS:
        raise OptionError(
            f"--optbench-trials: a quick run needs at least {QUICK_TRIALS} pairs, received {trials}"
        )
    if "max_trials" not in chosen:
        chosen["max_trials"] = max(DEFAULT_MAX_TRIALS, trials)
    if chosen["max_trials"] < trials:
        raise OptionError(
            f"--optbench-max-trials: must be at least --optbench-trials ({trials}), "
            f"received {chosen['max_trials']}"
        )
    return Settings(**chosen)
