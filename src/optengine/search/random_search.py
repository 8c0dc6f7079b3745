"""Independent random points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optengine.search.base import SearchAlgorithm, Suggestion, generator
from optengine.search.space import Space


class RandomSearchAlgorithm(SearchAlgorithm):
    """``n_iter`` independent points of the space.

    Trial k is drawn from its own generator, keyed by (seed, k): it depends neither on results nor on the
    other trials, and a longer search begins with the points of a shorter one. A failed trial changes nothing.

    Args:
        param_distributions: description of the space, or a ``Space``.
        n_iter: number of points.
        seed: whole number; None draws one.
    """

    name = "random"
    window = 64
    order_free = True

    def __init__(
        self, param_distributions: Mapping[str, Any] | Space, n_iter: int, seed: int | None = None
    ) -> None:
        super().__init__(n_iter, seed)
        self.space = Space.of(param_distributions)

    def propose(self, trial_id: int) -> Suggestion:
        """See the base class."""
        coordinates = generator(self.seed, trial_id, 1).random(len(self.space))
        return Suggestion(trial_id, self.space.decode(coordinates.tolist()))

    def config(self) -> dict[str, Any]:
        """See the base class."""
        return {"space": self.space.to_dict(), "n_iter": self.n_iter}
