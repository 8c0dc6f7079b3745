"""Search algorithms by the names the command line uses."""

from __future__ import annotations

from typing import Any

from optengine.search.base import SearchAlgorithm
from optengine.search.errors import SearchError
from optengine.search.space import Space

NAMES = ("grid", "random", "tpe", "gp", "genetic", "cmaes", "bohb")


def algorithm_named(
    name: str, space: Space, trials: int | None, seed: int | None, **options: Any
) -> SearchAlgorithm:
    """A new algorithm over the space.

    Args:
        name: one of ``NAMES``.
        space: the search space.
        trials: number of evaluations; not used by ``grid``, optional for ``bohb``.
        seed: root seed; None draws one.
        options: further arguments of the algorithm's class.

    Raises:
        SearchError: unknown name or option, or no number of trials where one is needed.
    """
    if name not in NAMES:
        raise SearchError(f"algorithm must be one of {', '.join(NAMES)}; received {name!r}")
    if trials is None and name not in ("grid", "bohb"):
        raise SearchError(f"algorithm {name!r} needs a number of trials; received None; give --trials N")
    try:
        return _build(name, space, trials, seed, options)
    except TypeError as error:
        raise SearchError(f"algorithm {name!r} does not take these options: {options!r} ({error})") from error


def _build(
    name: str, space: Space, trials: int | None, seed: int | None, options: dict[str, Any]
) -> SearchAlgorithm:
    if name == "grid":
        from optengine.search.grid import GridSearchAlgorithm

        return GridSearchAlgorithm(space.grid(), seed=seed or 0, **options)
    if name == "bohb":
        from optengine.search.bohb import BOHBSearchAlgorithm

        return BOHBSearchAlgorithm(space, n_iter=trials, seed=seed, **options)
    assert trials is not None
    if name == "random":
        from optengine.search.random_search import RandomSearchAlgorithm

        return RandomSearchAlgorithm(space, trials, seed, **options)
    if name in ("tpe", "gp"):
        from optengine.search.bayesian import BayesianSearchAlgorithm

        return BayesianSearchAlgorithm(space, trials, seed, sampler=name, **options)
    if name == "genetic":
        from optengine.search.genetic import GeneticSearchAlgorithm

        return GeneticSearchAlgorithm(space, trials, seed, **options)
    from optengine.search.cmaes_search import CMAESSearchAlgorithm

    return CMAESSearchAlgorithm(space, trials, seed, **options)
