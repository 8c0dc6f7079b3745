"""Two files compared: every benchmark they share is judged, corrected for how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.classic import welch_t
from ..core.control import Control
from ..core.goal import Goal
from ..core.unpaired import ALLOWANCE, Side, Unpaired, adjusted, compare
from ..core.verdicts import Reason
from .errors import ForeignError
from .match import match
from .recorded import File, Recorded


@dataclass(frozen=True)
class Compared:
    """One benchmark found in both files; ``control`` compares code that did not change between them."""

    name: str
    old: Recorded
    new: Recorded
    shown: Unpaired
    control: Control | None


@dataclass(frozen=True)
class Comparison:
    """What two files show. ``differences`` are properties of the machine that differ, in words."""

    old: File
    new: File
    compared: tuple[Compared, ...]
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    differences: tuple[str, ...]

    @property
    def missing(self) -> bool:
        """Whether a benchmark is on one side only."""
        return bool(self.only_old or self.only_new)


def compare_files(
    old: File,
    new: File,
    goal: Goal,
    *,
    alpha: float = 0.05,
    allowance: float = ALLOWANCE,
    select: Sequence[str] = (),
    named: Sequence[tuple[str, str]] = (),
) -> Comparison:
    """Return the comparison of ``new`` with ``old``; see `match` for ``select`` and ``named``.

    Raises `ForeignError` for files of different tools, for one file given twice and when nothing is in common.
    """
    if old.tool != new.tool:
        raise ForeignError(
            f"both files must be of one tool, found {old.name} of {old.tool} and {new.name} of {new.tool}; "
            "each tool's own overhead is in its times, so record both with the same one"
        )
    if old.sha256 == new.sha256 and not named:
        raise ForeignError(
            f"the two files must be two recordings, found the same content twice ({old.name}, {new.name}); "
            "to compare two benchmarks of one file name them with --match OLD NEW"
        )
    matched = match(old, new, select, named)
    differences = tuple(_differences(old, new))
    judged, controls = [], []
    for _, a, b in matched.pairs:
        control = _control(a, b)
        controls.append(control)
        blocking = [
            reason
            for reason, applies in (
                (Reason.ARM_RAISED, a.failed_runs or b.failed_runs),
                (Reason.DIFFERENT_MACHINES, differences),
                (Reason.NOISY_CONTROL, control is not None and not control.clean),
            )
            if applies
        ]
        judged.append(compare(_side(a), _side(b), goal, alpha, allowance, blocking))
    compared = tuple(
        Compared(name, a, b, shown, control)
        for (name, a, b), shown, control in zip(matched.pairs, adjusted(judged), controls, strict=True)
    )
    return Comparison(old, new, compared, matched.only_old, matched.only_new, differences)


def _side(recorded: Recorded) -> Side:
    if recorded.processes:
        return Side.of_processes(recorded.processes)
    summary = recorded.summary
    assert summary is not None, recorded  # every reader gives one or the other
    nan = float("nan")
    return Side(
        mean_s=summary.mean_s,
        sd_s=nan if summary.sd_s is None else summary.sd_s,
        median_s=nan if summary.median_s is None else summary.median_s,
        min_s=nan if summary.min_s is None else summary.min_s,
        n=summary.n or 0,
        one_process=recorded.one_process,
    )


def _differences(old: File, new: File) -> list[str]:
    return [
        f"{key} {old.machine[key]} and {new.machine[key]}"
        for key in old.machine
        if key in new.machine
        and None not in (old.machine[key], new.machine[key])
        and old.machine[key] != new.machine[key]
    ]


def _control(old: Recorded, new: Recorded) -> Control | None:
    """Return old against new of the code that is the same in both files; None where there is none."""
    if not (old.control and new.control and old.control_code and old.control_code == new.control_code):
        return None
    a, b = Side.of_processes(old.control), Side.of_processes(new.control)
    if not (a.usable and b.usable and min(a.n, b.n) > 1):
        return None
    wide = welch_t(np.log(a.units()), np.log(b.units()), 0.01)
    narrow = welch_t(np.log(a.units()), np.log(b.units()), 0.05)
    if not np.isfinite(wide.high):
        return None
    ratio, low, high = (float(np.exp(v)) for v in (wide.estimate, wide.low, wide.high))
    return Control(ratio, low, high, float(np.expm1(narrow.high - narrow.estimate)), a.n + b.n)
