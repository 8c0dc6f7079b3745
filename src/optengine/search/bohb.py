"""BOHB: Hyperband's brackets of successive halving, with points drawn from a density model per budget.

Source: Falkner, Klein, Hutter, "BOHB: Robust and Efficient Hyperparameter Optimization at Scale", ICML 2018;
the brackets are those of Li et al., "Hyperband", JMLR 2018. With eta = 3 and budgets 1 to 27 there are four
brackets: 27 points at 1, 9 at 3, 3 at 9, 1 at 27; then 12 at 3, 4 at 9, 1 at 27; 6 at 9, 2 at 27; 4 at 27.

Halving is synchronous: a rung is promoted when it is full, ties go to the earlier point. While a rung waits,
points of the next bracket are handed out, so that workers stay busy; which ones is fixed by the window of the
driver.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optengine.search.base import Best, Floats, SearchAlgorithm, Suggestion, generator, require_whole
from optengine.search.density import ParzenDensity
from optengine.search.errors import SearchError
from optengine.search.space import Params, Space


@dataclass
class _Rung:
    size: int
    budget: float
    points: list[Params] = field(default_factory=list)
    asked: int = 0
    scores: dict[int, float | None] = field(default_factory=dict)


@dataclass
class _Bracket:
    rungs: list[_Rung]
    level: int = 0

    @property
    def rung(self) -> _Rung | None:
        return self.rungs[self.level] if self.level < len(self.rungs) else None


class BOHBSearchAlgorithm(SearchAlgorithm):
    """Many cheap evaluations, few full ones, and a model of where good points lie.

    The objective receives ``context.budget`` between ``min_budget`` and ``max_budget`` (epochs, or a share of
    the history); it pays only when a smaller budget takes less time. ``best`` is the best at the largest
    budget seen. A failed trial is never promoted and counts as a bad point of the model.

    Args:
        param_distributions: description of the space, or a ``Space``.
        min_budget, max_budget: smallest and largest budget, 0 < min_budget < max_budget.
        eta: budgets grow, and rungs shrink, by this factor; above 1.
        n_iter: number of evaluations at any budget; None is one full round of all brackets.
        seed: whole number; None draws one.
        random_fraction: share of points drawn without the model, so that a wrong model cannot trap the
            search.
        good_share: share of the observations at a budget that count as good.
        candidates: how many draws compete for the highest ratio of good to bad density.
    """

    name = "bohb"
    window = 16

    def __init__(
        self,
        param_distributions: Mapping[str, Any] | Space,
        min_budget: float,
        max_budget: float,
        eta: float = 3,
        n_iter: int | None = None,
        seed: int | None = None,
        random_fraction: float = 1 / 3,
        good_share: float = 0.15,
        candidates: int = 64,
    ) -> None:
        super().__init__(n_iter, seed)
        if not 0 < min_budget < max_budget:
            raise SearchError(
                f"budgets must satisfy 0 < min_budget < max_budget; received min_budget={min_budget!r}, "
                f"max_budget={max_budget!r}"
            )
        if eta <= 1:
            raise SearchError(f"eta must be above 1; received {eta!r}")
        for label, share in (("random_fraction", random_fraction), ("good_share", good_share)):
            if not 0 <= share <= 1:
                raise SearchError(f"{label} must be a share from 0 to 1; received {share!r}")
        require_whole("candidates", candidates, least=1)
        self.space = Space.of(param_distributions)
        self.min_budget, self.max_budget, self.eta = float(min_budget), float(max_budget), float(eta)
        self.random_fraction, self.good_share, self.candidates = random_fraction, good_share, candidates
        self._cells = [0 if d.parameter.ordered else d.parameter.cells or 0 for d in self.space.varying]
        self._opened = 0
        self._brackets: list[_Bracket] = []
        self._places: dict[int, tuple[_Bracket, _Rung, int]] = {}
        self._data: dict[float, list[tuple[list[float], float]]] = {}
        self._total = self.n_iter or sum(
            size for index in range(self._halvings + 1) for size, _ in self.bracket(index)
        )

    @property
    def total(self) -> int:
        """Number of evaluations at any budget."""
        return self._total

    @property
    def _halvings(self) -> int:
        # The small excess forgives the rounding of log(27) / log(3).
        return math.floor(math.log(self.max_budget / self.min_budget) / math.log(self.eta) + 1e-9)

    def bracket(self, index: int) -> list[tuple[int, float]]:
        """Rungs of bracket ``index`` (0, 1, ... then round again) as (points, budget), smallest budget first."""
        steps = self._halvings - index % (self._halvings + 1)
        first = math.ceil((self._halvings + 1) / (steps + 1) * self.eta**steps - 1e-9)
        return [
            (
                max(1, math.floor(first * self.eta**-rung + 1e-9)),
                float(f"{self.max_budget * self.eta ** (rung - steps):.12g}"),
            )
            for rung in range(steps + 1)
        ]

    def propose(self, trial_id: int) -> Suggestion:
        """See the base class."""
        for bracket in self._brackets:
            rung = bracket.rung
            if rung is not None and rung.asked < rung.size:
                break
        else:
            rungs = [_Rung(size, budget) for size, budget in self.bracket(self._opened)]
            bracket, rung = _Bracket(rungs), rungs[0]
            self._brackets.append(bracket)
            self._opened += 1
        if bracket.level == 0:
            rung.points.append(self._draw(generator(self.seed, trial_id, 3)))
        self._places[trial_id] = (bracket, rung, rung.asked)
        rung.asked += 1
        return Suggestion(trial_id, rung.points[rung.asked - 1], rung.budget)

    def observe(self, suggestion: Suggestion, score: float | None) -> None:
        """See the base class."""
        bracket, rung, slot = self._places.pop(suggestion.trial_id)
        rung.scores[slot] = score
        worst = -math.inf if score is None else score
        self._data.setdefault(rung.budget, []).append(
            (self.space.encode(suggestion.params, absent=math.nan), worst)
        )
        if len(rung.scores) < rung.size:
            return
        bracket.level += 1
        if bracket.rung is not None:
            alive = [(-value, place) for place, value in rung.scores.items() if value is not None]
            bracket.rung.points = [rung.points[place] for _, place in sorted(alive)[: bracket.rung.size]]
            bracket.rung.size = len(bracket.rung.points)
            if bracket.rung.size == 0:
                bracket.level = len(bracket.rungs)
        self._brackets = [bracket for bracket in self._brackets if bracket.rung is not None]

    def better(self, left: Best, right: Best) -> bool:
        """Whether ``left`` wins: results at a larger budget always count more."""
        return ((left.budget or 0.0), left.score, -left.trial_id) > (
            (right.budget or 0.0),
            right.score,
            -right.trial_id,
        )

    def config(self) -> dict[str, Any]:
        """See the base class."""
        return {
            "space": self.space.to_dict(),
            "n_iter": self.n_iter,
            "min_budget": self.min_budget,
            "max_budget": self.max_budget,
            "eta": self.eta,
            "random_fraction": self.random_fraction,
            "good_share": self.good_share,
            "candidates": self.candidates,
        }

    def _draw(self, rng: np.random.Generator) -> Params:
        size = len(self.space)
        enough = size + 3
        budgets = [budget for budget, data in self._data.items() if len(data) >= enough]
        if not budgets or size == 0 or rng.random() < self.random_fraction:
            return self.space.decode(rng.random(size).tolist())
        data = self._data[max(budgets)]
        # A stable sort keeps equal scores in the order they were told.
        ranked = np.array([units for units, _ in sorted(data, key=lambda item: -item[1])])
        good_count = min(max(size + 1, math.ceil(self.good_share * len(data))), len(data) - 1)
        good = ParzenDensity(_filled(ranked[:good_count], rng), self._cells)
        bad = ParzenDensity(_filled(ranked[good_count:], rng), self._cells)
        drawn = good.sample(rng, self.candidates, widen=3.0)
        gain = good.log_density(drawn) - bad.log_density(drawn)
        return self.space.decode(drawn[int(gain.argmax())].tolist())


def _filled(points: Floats, rng: np.random.Generator) -> Floats:
    """Coordinates of parameters that do not exist at a point, replaced by those of random other points."""
    filled = points.copy()
    for axis in range(points.shape[1]):
        missing = np.isnan(points[:, axis])
        if missing.any():
            known = points[~missing, axis]
            source = known if len(known) else rng.random(len(points))
            filled[missing, axis] = rng.choice(source, int(missing.sum()))
    return filled
