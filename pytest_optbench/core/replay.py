"""Looks and the plan must agree: take the planned looks again, and refuse all others."""

from __future__ import annotations

import math

from pytest_optbench.core.goal import Goal
from pytest_optbench.core.judge import LookResult, look
from pytest_optbench.core.pairs import Pairs
from pytest_optbench.core.sequential import PlanError, Schedule


def replay(pairs: Pairs, schedule: Schedule, goal: Goal) -> tuple[LookResult, ...]:
    """Return the looks the plan takes on these pairs, up to the first that stops or the last reached."""
    results: list[LookResult] = []
    for k, n in enumerate(schedule.looks):
        if n > len(pairs) or (results and results[-1].stop):
            break
        results.append(look(pairs.first(n), schedule, k, goal))
    return tuple(results)


def checked_looks(
    pairs: Pairs, schedule: Schedule, looks: tuple[LookResult, ...], goal: Goal, cut_short: bool
) -> tuple[LookResult, ...]:
    """Return the looks unchanged when each one follows from the pairs and the plan.

    cut_short: measuring ended for a reason from outside, so a look that is due may be missing.

    Raises:
        PlanError: a look was added, skipped, moved or does not follow from the data, or pairs were added
            after a look that stopped or past the last one.
    """
    if len(pairs) > schedule.looks[-1]:
        raise PlanError(f"the plan ends at {schedule.looks[-1]} pairs, got {len(pairs)}")
    due = sum(n <= len(pairs) for n in schedule.looks)
    if len(looks) > due:
        raise PlanError(f"{due} looks are due at {len(pairs)} pairs, got {len(looks)}; no look may be added")
    for k, seen in enumerate(looks):
        if k and looks[k - 1].stop:
            raise PlanError(f"look {k} stopped the measurement, got another look after it")
        if seen.index != k or seen.n != schedule.looks[k]:
            raise PlanError(
                f"look {k + 1} is planned at {schedule.looks[k]} pairs, got look {seen.index + 1} at {seen.n}"
            )
        plan = schedule.with_accepted(schedule.candidates - seen.competing)
        if not _same(seen, look(pairs.first(seen.n), plan, k, goal)):
            raise PlanError(f"look {k + 1} does not follow from the recorded pairs and the plan: {seen!r}")
    stopped = bool(looks) and looks[-1].stop
    if stopped and len(pairs) != looks[-1].n:
        raise PlanError(f"look {len(looks)} stopped at {looks[-1].n} pairs, got {len(pairs)} pairs")
    if not stopped and len(looks) < due and not cut_short:
        raise PlanError(
            f"{due} looks are due at {len(pairs)} pairs, got {len(looks)}; no look may be skipped"
        )
    return looks


def _same(a: LookResult, b: LookResult) -> bool:
    close = all(
        math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-15) or (math.isnan(x) and math.isnan(y))
        for x, y in ((a.theta, b.theta), (a.se, b.se), (a.p, b.p), (a.limit, b.limit))
    )
    return close and (a.verdict, a.reason, a.stop, a.n) == (b.verdict, b.reason, b.stop, b.n)
