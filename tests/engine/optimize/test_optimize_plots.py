"""The results table and the heat map."""

from __future__ import annotations

from pathlib import Path

import pytest

from optengine.optimize import OptimizeError, ParallelOptimizer
from optengine.optimize.plots import best_table, heat_map
from optengine.search import GridSearchAlgorithm


@pytest.fixture(scope="module")
def run() -> ParallelOptimizer:
    grid = GridSearchAlgorithm({"fast": [1, 2, 3], "slow": [10, 20], "cost": [0.5, None]})
    run = ParallelOptimizer(grid, backend="serial", progress=False)

    def value(params: dict[str, float | None]) -> float:
        if params["fast"] == 2 and params["slow"] == 20:
            raise ValueError("no")
        return float(params["fast"] or 0) * float(params["slow"] or 0) - float(params["cost"] or 0)

    run.run(value)
    return run


def test_the_table_ranks_the_best(run: ParallelOptimizer) -> None:
    """Best first, ties by trial, failures left out, missing values empty."""
    lines = best_table(run.history(), rows=3).splitlines()
    assert lines[0] == "| trial | fast | slow | cost | value |"
    assert lines[2:] == ["| 11 | 3 | 20 |  | 60 |", "| 10 | 3 | 20 | 0.5 | 59.5 |", "| 9 | 3 | 10 |  | 30 |"]
    assert best_table(run.history(), rows=1, minimize=True).splitlines()[2] == "| 0 | 1 | 10 | 0.5 | 9.5 |"


def test_the_heat_map_is_a_repeatable_file(run: ParallelOptimizer, tmp_path: Path) -> None:
    """The same history gives the same bytes, with both names on the axes; unknown names are refused."""
    files = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for file in files:
        heat_map(run.history(), "fast", "slow", file)
    assert files[0].read_bytes() == files[1].read_bytes()
    text = files[0].read_text()
    assert ">fast<" in text
    assert ">slow<" in text
    with pytest.raises(
        OptimizeError, match=r"two of the parameters \['fast', 'slow', 'cost'\]; received 'value'"
    ):
        heat_map(run.history(), "fast", "value", files[0])
