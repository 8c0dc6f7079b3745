"""Every shipped algorithm passes the shipped conformance suite."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from optengine.search import (
    BayesianSearchAlgorithm,
    BOHBSearchAlgorithm,
    CMAESSearchAlgorithm,
    ForeignSearchAlgorithm,
    GeneticSearchAlgorithm,
    GridSearchAlgorithm,
    RandomSearchAlgorithm,
    SearchAlgorithm,
    Space,
)
from optengine.testing.search_cases import SearchCases

SPACE = {
    "x": {"type": "uniform", "low": -5, "high": 5},
    "rate": {"type": "log-uniform", "low": 1e-4, "high": 1},
    "n": {"type": "integer", "low": 2, "high": 20, "step": 3},
    "width": {"type": "integer", "low": 1, "high": 300, "log": True},
    "kind": {"type": "categorical", "choices": ["a", "b", None, ("c", 1)]},
    "fixed": {"type": "constant", "value": 3},
    "depth": {
        "type": "conditional",
        "when": {"kind": ["a", "b"]},
        "parameter": {"type": "integer", "low": 1, "high": 4},
    },
    "extra": {
        "type": "conditional",
        "when": {"depth": [1, 2]},
        "parameter": {"type": "uniform", "low": 0, "high": 1},
    },
}

needs_optuna = pytest.mark.skipif(find_spec("optuna") is None, reason="the extra 'search' is not installed")
needs_cmaes = pytest.mark.skipif(find_spec("cmaes") is None, reason="the extra 'search' is not installed")
needs_torch = pytest.mark.skipif(
    find_spec("optuna") is None or find_spec("torch") is None,
    reason="Optuna's Gaussian process needs torch, which is not installed",
)


class TestGrid(SearchCases):
    def make(self, seed: int) -> SearchAlgorithm:
        return GridSearchAlgorithm(
            [{"x": [1, 2.5], "kind": ["a", None, True], "n": range(4)}, {"x": [0.5], "kind": ["z", (1, 2)]}],
            seed=seed,
        )


class TestRandom(SearchCases):
    def make(self, seed: int) -> SearchAlgorithm:
        return RandomSearchAlgorithm(param_distributions=SPACE, n_iter=50, seed=seed)


class TestGenetic(SearchCases):
    def make(self, seed: int) -> SearchAlgorithm:
        return GeneticSearchAlgorithm(param_distributions=SPACE, n_iter=50, seed=seed, population=8)


class TestBOHB(SearchCases):
    def make(self, seed: int) -> SearchAlgorithm:
        return BOHBSearchAlgorithm(
            param_distributions=SPACE, min_budget=1, max_budget=27, eta=3, n_iter=90, seed=seed
        )


class TestBOHBOneRound(SearchCases):
    def make(self, seed: int) -> SearchAlgorithm:
        return BOHBSearchAlgorithm(Space(SPACE), min_budget=0.1, max_budget=1.0, eta=2.5, seed=seed)


@needs_cmaes
class TestCMAES(SearchCases):
    def make(self, seed: int) -> SearchAlgorithm:
        return CMAESSearchAlgorithm(param_distributions=SPACE, n_iter=50, seed=seed)


@needs_cmaes
class TestCMAESOneParameter(SearchCases):
    def make(self, seed: int) -> SearchAlgorithm:
        return CMAESSearchAlgorithm({"x": SPACE["x"]}, n_iter=30, seed=seed, population=5)


@needs_optuna
class TestTPE(SearchCases):
    def make(self, seed: int) -> SearchAlgorithm:
        return BayesianSearchAlgorithm(param_distributions=SPACE, n_iter=24, seed=seed, startup=6)


@needs_torch
class TestGaussianProcess(SearchCases):
    def make(self, seed: int) -> SearchAlgorithm:
        # Fitting the process before each ask is slow, so the space and the run are small.
        space = {name: SPACE[name] for name in ("x", "n", "kind", "depth", "fixed")}
        return BayesianSearchAlgorithm(space, n_iter=9, seed=seed, sampler="gp", startup=5)


class Foreign:
    """A search written without this package: it climbs from the best point so far."""

    def __init__(self, seed: int) -> None:
        self.best = (float("-inf"), float(seed % 7))
        self.told = 0
        self.asked = 0

    def suggest(self) -> dict[str, float]:
        self.asked += 1
        return {"x": self.best[1] + self.asked * 0.37 % 1 - 0.5, "step": self.asked}

    def update(self, params: dict[str, float], score: float | None) -> None:
        self.told += 1
        if score is not None:
            self.best = max(self.best, (score, params["x"]))

    def is_complete(self) -> bool:
        return self.asked >= 20


class TestForeign(SearchCases):
    def make(self, seed: int) -> SearchAlgorithm:
        return ForeignSearchAlgorithm(Foreign(seed), seed=seed)
