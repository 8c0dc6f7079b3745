"""CMA-ES on the unit cube, one generation at a time, by the ``cmaes`` package."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from optengine._optional import require
from optengine.search.base import SearchAlgorithm, Suggestion, require_whole
from optengine.search.errors import SearchError
from optengine.search.space import Space


class CMAESSearchAlgorithm(SearchAlgorithm):
    """Covariance matrix adaptation: for continuous and integer parameters whose influence is smooth.

    A generation is asked at once and learnt from when it is told completely. Whole numbers and categories are
    cells of the unit interval; with many unordered categories TPE is the better choice. A failed trial ranks
    last in its generation.

    Args:
        param_distributions: description of the space, or a ``Space``.
        n_iter: number of evaluations; the last generation is cut short when it does not divide.
        seed: whole number; None draws one.
        population: points per generation; None is the usual 4 + 3 ln(d). Also how many can be in flight.
        sigma: first step size, as a share of each parameter's range, above 0.

    Raises:
        MissingExtraError: the package ``cmaes`` is not installed.
    """

    name = "cmaes"

    def __init__(
        self,
        param_distributions: Mapping[str, Any] | Space,
        n_iter: int,
        seed: int | None = None,
        population: int | None = None,
        sigma: float = 0.3,
    ) -> None:
        super().__init__(n_iter, seed)
        self.space = Space.of(param_distributions)
        if population is not None:
            require_whole("population", population, least=4)
        if not sigma > 0:
            raise SearchError(f"sigma must be above 0; received {sigma!r}")
        self._package = require("cmaes", extra="search", feature="CMA-ES search")
        # The package needs two coordinates; spare ones change nothing else.
        size = max(2, len(self.space))
        self.population = population or 4 + math.floor(3 * math.log(size))
        self.sigma = sigma
        self.window = self.population
        self._optimizer = self._package.CMA(
            mean=np.full(size, 0.5),
            sigma=sigma,
            bounds=np.tile([0.0, 1.0], (size, 1)),
            seed=self.seed % 2**32,
            population_size=self.population,
        )
        self._asked_points: dict[int, np.ndarray] = {}
        self._generation: list[tuple[np.ndarray, float | None]] = []
        self._told = 0

    def propose(self, trial_id: int) -> Suggestion | None:
        """See the base class."""
        if trial_id // self.population * self.population > self._told:
            return None
        point = self._optimizer.ask()
        self._asked_points[trial_id] = point
        return Suggestion(trial_id, self.space.decode(point[: len(self.space)].tolist()))

    def observe(self, suggestion: Suggestion, score: float | None) -> None:
        """See the base class."""
        self._told += 1
        self._generation.append((self._asked_points.pop(suggestion.trial_id), score))
        if len(self._generation) < self.population:
            return
        # The package minimises and uses only the ranks, so failures need no more than a value above all
        # others.
        losses = [-score for _, score in self._generation if score is not None]
        worst = max(losses, default=0.0) + 1.0
        self._optimizer.tell(
            [(point, worst if score is None else -score) for point, score in self._generation]
        )
        self._generation = []

    def config(self) -> dict[str, Any]:
        """See the base class."""
        return {
            "space": self.space.to_dict(),
            "n_iter": self.n_iter,
            "population": self.population,
            "sigma": self.sigma,
            "cmaes": getattr(self._package, "__version__", "unknown"),
        }
