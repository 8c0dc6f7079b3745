"""Claim: a run over an unchanged tree takes less than 2 % of a cold run.

96 rules parse the files they read. The baseline runs with an empty store every time, the candidate with a
full one.

Trap avoided: the equality check compares the verdicts of both arms, so a cache that answers fast and wrong is
rejected; the store is opened, read and checked inside the clock.

    pytest --optbench -o addopts= benchmarks/engine/rules_incremental.py
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from optengine.rules import ProcessPoolValidator
from optengine.rules.bench import workload


def verdicts(cache: Path) -> Any:
    """Validate with a store and return the verdicts."""
    validator = ProcessPoolValidator(
        workload.standard_library(),
        workload.files(rounds=4),
        mode="sequential",
        cache_dir=cache,
        ignored=workload.IGNORED,
    )
    return validator.validate().verdicts


@pytest.mark.optbench(
    title="Unchanged tree with a result store", group="rules", min_speedup="50x", expected="98%", max_time=900
)
def test_unchanged(optbench: Any, tmp_path: Path) -> None:
    """A full store against an empty one."""
    folders = (tmp_path / f"cold{number}" for number in itertools.count())
    verdicts(tmp_path / "full")
    optbench.compare(
        baseline=lambda: verdicts(next(folders)),
        optimized=lambda: verdicts(tmp_path / "full"),
        config={"rules": workload.FILE_RULES, "tree": "standard library"},
    )
