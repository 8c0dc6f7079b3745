"""Search quality: BOHB, TPE, genetic search and CMA-ES against random search at equal budget, over paired seeds.

Claim: BOHB finds a better strategy than random search that spends the same budget, on the walk-forward strategy over
the market, where the budget of an evaluation is the share of the history it uses (BOHB: a third or the whole). The
other searches stand beside it, whatever comes out.

Trap avoided: one lucky seed proves nothing, so at least ten seeds are paired and the verdict needs a two-sided Wilcoxon
test at 5 %, Holm-adjusted over the searches. Equal budget is the sum of shares, and also the seconds spent are shown,
since a smaller share must really be cheaper. Only evaluations on the whole history count as found. All searches
optimize the same out-of-sample figure they are scored by, so this compares searches, not strategies.

Run: ``python benchmarks/engine/optimizer_quality.py [--seeds 20] [--budget 40] [--json quality.json]``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import wilcoxon

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from markets_data import find_markets

from optengine import (
    BayesianSearchAlgorithm,
    BOHBSearchAlgorithm,
    CMAESSearchAlgorithm,
    GeneticSearchAlgorithm,
    RandomSearchAlgorithm,
)
from optengine.markets import generate, read_real
from optengine.search import SearchAlgorithm
from optengine.strategies import SPACE, Market, walk_forward_sharpe

MANY = 10**6
SEARCHES: dict[str, Callable[[int], SearchAlgorithm]] = {
    "random": lambda seed: RandomSearchAlgorithm(SPACE, MANY, seed),
    "bohb": lambda seed: BOHBSearchAlgorithm(SPACE, 1 / 3, 1, eta=3, n_iter=MANY, seed=seed),
    "tpe": lambda seed: BayesianSearchAlgorithm(SPACE, MANY, seed),
    "genetic": lambda seed: GeneticSearchAlgorithm(SPACE, MANY, seed, population=10),
    "cmaes": lambda seed: CMAESSearchAlgorithm(SPACE, MANY, seed),
}


def load_market() -> tuple[Market, str]:
    folder = find_markets()
    bars, _, _ = read_real(folder) if folder else generate()
    return Market.from_bars(bars), "real series" if folder else "generated series, seed 7"


def best_within(algorithm: SearchAlgorithm, market: Market, budget: float) -> tuple[float, float]:
    """(best value on the whole history, seconds) of a search that may spend ``budget`` whole histories."""
    spent = 0.0
    best = float("-inf")
    began = time.perf_counter()
    while (suggestion := algorithm.ask()) is not None:
        share = suggestion.budget or 1.0
        if spent + share > budget + 1e-9:
            break
        spent += share
        value = walk_forward_sharpe(market, suggestion.params, share)
        if share == 1.0:
            best = max(best, value)
        algorithm.tell(suggestion.trial_id, value)
    return best, time.perf_counter() - began


def compare(seeds: int, budget: float) -> dict[str, Any]:
    market, source = load_market()
    found = {
        name: [best_within(make(seed), market, budget) for seed in range(seeds)]
        for name, make in SEARCHES.items()
    }
    values = {name: np.array([value for value, _ in runs]) for name, runs in found.items()}
    rows = {}
    for name in SEARCHES:
        difference = values[name] - values["random"]
        rows[name] = {
            "mean": float(values[name].mean()),
            "median": float(np.median(values[name])),
            "seconds": float(np.mean([seconds for _, seconds in found[name]])),
            "wins": int((difference > 0).sum()),
            "mean_gain": float(difference.mean()),
            "p": 1.0 if name == "random" else float(wilcoxon(difference).pvalue),
        }
    challengers = sorted((name for name in SEARCHES if name != "random"), key=lambda name: rows[name]["p"])
    adjusted = 0.0
    for rank, name in enumerate(challengers):
        adjusted = max(adjusted, min(1.0, rows[name]["p"] * (len(challengers) - rank)))
        rows[name]["p_holm"] = adjusted
        better = adjusted < 0.05
        rows[name]["verdict"] = (
            ("better" if rows[name]["mean_gain"] > 0 else "worse") if better else "no difference shown"
        )
    return {
        "market": source,
        "seeds": seeds,
        "budget": budget,
        "searches": rows,
        "values": {n: v.tolist() for n, v in values.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--budget", type=float, default=40, help="in evaluations on the whole history")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.seeds < 10:
        parser.error("--seeds must be at least 10; fewer cannot decide")
    result = compare(arguments.seeds, arguments.budget)
    print(
        f"{result['market']}; {result['seeds']} seeds; budget {result['budget']:g} whole histories; value: best "
        "Sharpe ratio\n"
    )
    print(
        "| search | mean | median | wins over random | mean gain | p (Holm) | verdict | seconds "
        "|\n|---|---|---|---|---|---|---|---|"
    )
    for name, row in result["searches"].items():
        tail = (
            "| | | |"
            if name == "random"
            else f"| {row['mean_gain']:+.3f} | {row['p_holm']:.4f} | {row['verdict']} |"
        )
        wins = "" if name == "random" else f"{row['wins']} of {result['seeds']}"
        print(f"| {name} | {row['mean']:.3f} | {row['median']:.3f} | {wins} {tail} {row['seconds']:.1f} |")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
