"""A real sweep: several thousand walk-forward evaluations over the market, with results table and heat map.

Claim: none about speed. It shows what a run looks like, and how flat or jagged the surface is that the searches climb.

Trap avoided: the best of several thousand results is a selected figure; the table says so, and the heat map shows the
maximum over the other parameters next to which a single cell means little.

Run: ``python benchmarks/engine/optimizer_sweep.py [--workers 2] [--out sweep] [--checkpoint sweep.jsonl]``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from optimizer_quality import load_market

from optengine import GridSearchAlgorithm, ParallelOptimizer
from optengine.optimize.plots import best_table, heat_map
from optengine.strategies import shared_sharpe

GRID = {
    "rule": ["cross"],
    "fast": [2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 50],
    "slow": [55, 70, 90, 115, 145, 185, 235, 300, 400],
    "vol_window": [20, 60, 120, 250],
    "train": [504, 1260, 2520],
    "threshold": [-0.5, 0.0, 0.5],
    "cost": [0.05],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("sweep"))
    parser.add_argument("--checkpoint", type=Path)
    arguments = parser.parse_args()
    market, source = load_market()
    optimizer = ParallelOptimizer(
        GridSearchAlgorithm(GRID),
        arguments.workers,
        shared={"market": market},
        checkpoint=arguments.checkpoint,
    )
    optimizer.run(shared_sharpe)
    arguments.out.mkdir(parents=True, exist_ok=True)
    history = optimizer.history()
    optimizer.save(arguments.out / "trials.parquet")
    heat_map(history, "fast", "slow", arguments.out / "heat_map.svg")
    stats = optimizer.stats()
    text = (
        f"# Walk-forward sweep\n\n{source}; {stats['trials']} evaluations; annualised out-of-sample Sharpe ratio of "
        "the portfolio, "
        "costs included. The best of so many results is a selected one and overstates what to expect.\n\n"
        f"{best_table(history)}\nMedian over all evaluations: {history['value'].median():.3f}\n\n![heat "
        "map](heat_map.svg)\n"
    )
    (arguments.out / "sweep.md").write_text(text, encoding="utf-8")
    print(text)
    print(
        f"{stats['seconds']:.1f} s, driver {1e6 * stats['driver_seconds_per_trial']:.0f} us per trial, "
        f"{stats['workers']}"
    )


if __name__ == "__main__":
    main()
