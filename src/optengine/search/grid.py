"""Every point of a grid, in the order of ``itertools.product``, without ever holding the list."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optengine.search.base import SearchAlgorithm, Suggestion
from optengine.search.errors import SpaceError
from optengine.search.parameters import Value
from optengine.search.space import Params, grid_values


class GridSearchAlgorithm(SearchAlgorithm):
    """All combinations of the given values; the last parameter varies fastest.

    Trial k is decoded from k by mixed radix, so memory does not grow with the grid, no point is evaluated
    twice and none depends on a result. A failed trial changes nothing.

    Args:
        param_grid: name -> list of values, or a list of such mappings, walked one after the other (for
            parameters that make sense only together).
        seed: root of the objective's random generators; the grid itself is not random.
    """

    name = "grid"
    window = 64
    order_free = True

    def __init__(
        self, param_grid: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Sequence[Any]]], seed: int = 0
    ) -> None:
        super().__init__(n_iter=None, seed=seed)
        given: Any = [param_grid] if isinstance(param_grid, Mapping) else param_grid
        grids: list[Any] = list(given) if isinstance(given, Iterable) else []
        if not grids or not all(isinstance(grid, Mapping) and grid for grid in grids):
            raise SpaceError(
                "param_grid must map names to lists of values, or be a list of such mappings; received "
                f"{param_grid!r}"
            )
        self._grids: list[dict[str, list[Value]]] = [
            {name: grid_values(name, values) for name, values in grid.items()} for grid in grids
        ]
        self._sizes = [math.prod(len(values) for values in grid.values()) for grid in self._grids]
        self._total = sum(self._sizes)

    @property
    def total(self) -> int:
        """Number of points of the grid."""
        return self._total

    def point(self, index: int) -> Params:
        """The point number ``index``, 0 <= index < total."""
        which = 0
        while index >= self._sizes[which]:
            index -= self._sizes[which]
            which += 1
        grid = self._grids[which]
        params: Params = {}
        for name, values in reversed(grid.items()):
            index, digit = divmod(index, len(values))
            params[name] = values[digit]
        return {name: params[name] for name in grid}

    def propose(self, trial_id: int) -> Suggestion:
        """See the base class."""
        return Suggestion(trial_id, self.point(trial_id))

    def config(self) -> dict[str, Any]:
        """See the base class."""
        return {"param_grid": self._grids}
