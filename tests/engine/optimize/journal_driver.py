"""A run with a journal in a process of its own, to be killed: arguments are algorithm, journal, workers, output."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from optimize_tasks import SPACE, slow

from optengine.optimize import ParallelOptimizer
from optengine.search.names import algorithm_named
from optengine.search.space import Space


def optimizer(name: str, journal: str | None, workers: int) -> ParallelOptimizer:
    options = {"min_budget": 1, "max_budget": 9} if name == "bohb" else {}
    return ParallelOptimizer(
        algorithm_named(name, Space(SPACE), 60, 5, **options),
        workers if workers else None,
        backend="local" if workers else "serial",
        checkpoint=journal,
        progress=False,
        backend_options={"start_method": "fork"} if workers else None,
    )


if __name__ == "__main__":
    run = optimizer(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    run.run(slow)
    Path(sys.argv[4]).write_bytes(run.history_bytes())
