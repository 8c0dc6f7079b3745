"""Claim: running rules that share a parsed input together beats one task per rule by at least 5x.

75 cheap rules look at one index of syntax nodes, as linters do. The baseline gives each rule a task of its
own that parses for itself; the candidate runs them as one unit.

Trap avoided: this gain is not parallelism, so both arms run in the same mode, and it is never multiplied with
a pool's.

    pytest --optbench -o addopts= benchmarks/engine/rules_grouping.py
"""

from __future__ import annotations

from typing import Any

import pytest

from optengine.rules import ProcessPoolValidator
from optengine.rules.bench import workload

WORKERS = 2


def verdicts(mode: str, *, grouping: bool) -> Any:
    """Validate with the cheap rules and return the verdicts."""
    validator = ProcessPoolValidator(
        workload.standard_library(),
        workload.light(),
        mode=mode,
        max_workers=WORKERS,
        ignored=workload.IGNORED,
        grouping=grouping,
    )
    return validator.validate().verdicts


@pytest.mark.parametrize("mode", ["sequential", "processes"])
@pytest.mark.optbench(
    title="Rules grouped by their input", group="rules", min_speedup="5x", expected="60x", max_time=1800
)
def test_grouped(optbench: Any, mode: str) -> None:
    """One unit for the group against one task per rule, in one process and in a pool."""
    optbench.compare(
        baseline=lambda: verdicts(mode, grouping=False),
        optimized=lambda: verdicts(mode, grouping=True),
        config={"rules": workload.LIGHT_RULES, "mode": mode, "workers": WORKERS},
    )
