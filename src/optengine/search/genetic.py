"""A genetic search: whole generations, so that it runs in parallel and stays reproducible."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from optengine.search.base import Floats, SearchAlgorithm, Suggestion, generator, require_whole
from optengine.search.errors import SearchError
from optengine.search.space import Params, Space

_REDRAWS = 8
_SPREAD = 0.1


class GeneticSearchAlgorithm(SearchAlgorithm):
    """Tournament selection, uniform crossover and mutation on the unit cube, one generation at a time.

    Generation 0 is random. Each later one is bred when the one before is told completely, from the best
    ``population`` individuals seen so far (so a good one is never lost and never evaluated twice on purpose),
    with a generator keyed by (seed, generation). A child that was evaluated before is redrawn a few times,
    ever more boldly. A failed trial never becomes a parent.

    Args:
        param_distributions: description of the space, or a ``Space``.
        n_iter: number of evaluations; the last generation is cut short when it does not divide.
        seed: whole number; None draws one.
        population: individuals per generation, at least 4; also how many can be in flight.
        crossover: probability in [0, 1] that a child has two parents.
        mutation: probability in [0, 1] that one coordinate mutates; None is one coordinate per child on
            average.
        tournament: how many individuals compete to become a parent.
    """

    name = "genetic"

    def __init__(
        self,
        param_distributions: Mapping[str, Any] | Space,
        n_iter: int,
        seed: int | None = None,
        population: int = 20,
        crossover: float = 0.9,
        mutation: float | None = None,
        tournament: int = 3,
    ) -> None:
        super().__init__(n_iter, seed)
        require_whole("population", population, least=4)
        require_whole("tournament", tournament, least=1)
        for label, share in (("crossover", crossover), ("mutation", mutation)):
            if share is not None and not 0 <= share <= 1:
                raise SearchError(f"{label} must be a probability from 0 to 1; received {share!r}")
        self.space = Space.of(param_distributions)
        self.population = population
        self.crossover = crossover
        self.mutation = mutation
        self.tournament = tournament
        self.window = population
        self._ordered = np.array([d.parameter.ordered for d in self.space.varying], dtype=bool)
        self._children: list[tuple[list[float], Params]] = []
        self._generation = -1
        self._told = 0
        self._genes: dict[int, list[float]] = {}
        self._elite: list[tuple[float, int, list[float]]] = []
        self._seen: set[str] = set()

    def propose(self, trial_id: int) -> Suggestion | None:
        """See the base class."""
        generation, place = divmod(trial_id, self.population)
        if generation > self._generation:
            if self._told < generation * self.population:
                return None
            self._children = self._breed(generation)
            self._generation = generation
        genes, params = self._children[place]
        self._genes[trial_id] = genes
        return Suggestion(trial_id, params)

    def observe(self, suggestion: Suggestion, score: float | None) -> None:
        """See the base class."""
        genes = self._genes.pop(suggestion.trial_id)
        self._told += 1
        if score is not None:
            self._elite.append((-score, suggestion.trial_id, genes))
        if self._told % self.population == 0:
            self._elite = sorted(self._elite)[: self.population]

    def config(self) -> dict[str, Any]:
        """See the base class."""
        return {
            "space": self.space.to_dict(),
            "n_iter": self.n_iter,
            "population": self.population,
            "crossover": self.crossover,
            "mutation": self.mutation,
            "tournament": self.tournament,
        }

    def _breed(self, generation: int) -> list[tuple[list[float], Params]]:
        rng = generator(self.seed, generation, 2)
        parents = [genes for _, _, genes in self._elite]
        children = []
        for _ in range(self.population):
            for redraw in range(_REDRAWS):
                genes = self._child(rng, parents, 1 + redraw)
                params = self.space.decode(genes)
                key = json.dumps(params)
                if key not in self._seen:
                    break
            self._seen.add(key)
            children.append((genes, params))
        return children

    def _child(self, rng: np.random.Generator, parents: list[list[float]], boldness: int) -> list[float]:
        size = len(self.space)
        if len(parents) < 2 or size == 0:
            return [float(part) for part in rng.random(size)]
        first, second = (np.array(parents[self._winner(rng, len(parents))]) for _ in range(2))
        if rng.random() < self.crossover:
            child = np.where(rng.random(size) < 0.5, first, second)
        else:
            child = first.copy()
        rate = 1.0 / size if self.mutation is None else self.mutation
        step = np.where(self._ordered, child + rng.normal(0.0, _SPREAD * boldness, size), rng.random(size))
        child = np.where(rng.random(size) < rate * boldness, _reflect(step), child)
        return [float(part) for part in child]

    def _winner(self, rng: np.random.Generator, count: int) -> int:
        # Parents are sorted best first, so the lowest index drawn wins the tournament.
        return int(rng.integers(0, count, self.tournament).min())


def _reflect(coordinates: Floats) -> Floats:
    """Coordinates folded back into [0, 1] at the borders, which clipping would overpopulate."""
    folded: Floats = 1.0 - np.abs(1.0 - np.abs(coordinates) % 2.0)
    return folded
