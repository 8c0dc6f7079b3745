"""The plain run: every arm once, results compared, nothing timed and nothing heavy imported."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from .measure.arm import Arms
from .measure.equivalence import check
from .measure.errors import ArmRaised, InvalidArm


@dataclass(frozen=True, slots=True)
class Smoke:
    """What a run without ``--optbench`` knows of a comparison: the results agreed, nothing was timed.

    ``accepted`` is True so that ``assert decision.accepted`` holds in a plain run; ``verdict`` is None.
    """

    verdict: None = None
    accepted: bool = True


def smoke(
    baseline: Callable[..., Any],
    candidates: Mapping[str, Callable[..., Any]],
    setup: Callable[..., Any] | None,
    equal: Callable[[Any, Any], Any] | None,
) -> dict[str, Smoke]:
    """Return a `Smoke` by candidate; a difference in results fails the test."""
    with _as_tests_fail(), Arms(baseline, candidates, setup) as arms:
        found = check(arms, equal)
    for name, equivalence in found.items():
        if not equivalence.passed:
            pytest.fail(f"optbench: {name} is not equivalent: {equivalence.message}", pytrace=False)
    return {name: Smoke() for name in candidates}


def call_once(work: Callable[..., Any], setup: Callable[..., Any] | None) -> None:
    """Call ``work`` once, with its set-up."""
    with _as_tests_fail(), Arms(work, {"again": work}, setup) as arms:
        arms.baseline.once()


@contextlib.contextmanager
def _as_tests_fail() -> Iterator[None]:
    """Show what an arm raised with its own traceback, and an arm that cannot be called in one line."""
    try:
        yield
    except ArmRaised as error:
        raise error.original from None
    except InvalidArm as error:
        raise pytest.fail.Exception(f"optbench: {error}", pytrace=False) from None
