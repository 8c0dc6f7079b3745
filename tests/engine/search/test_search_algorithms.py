"""What single algorithms promise beyond the conformance suite."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from optengine.search import (
    BayesianSearchAlgorithm,
    BOHBSearchAlgorithm,
    CMAESSearchAlgorithm,
    ForeignSearchAlgorithm,
    GeneticSearchAlgorithm,
    GridSearchAlgorithm,
    NotReadyError,
    RandomSearchAlgorithm,
    SearchError,
    Space,
    SpaceError,
)
from optengine.search.density import ParzenDensity
from optengine.search.names import NAMES, algorithm_named
from optengine.testing.search_cases import drive

PLANE = {"x": {"type": "uniform", "low": -5, "high": 5}, "y": {"type": "uniform", "low": -5, "high": 5}}
MIXED = {
    **PLANE,
    "n": {"type": "integer", "low": 1, "high": 9},
    "k": {"type": "categorical", "choices": ["a", "b", "c"]},
}


def bowl(suggestion) -> float:  # type: ignore[no-untyped-def]
    params = suggestion.params
    return -((params["x"] - 1) ** 2) - (params["y"] + 2) ** 2


def test_grid_is_the_product_in_order() -> None:
    """Points come as itertools.product gives them, numpy values as plain Python ones."""
    grid = {"a": np.arange(3), "b": ["x", "y"], "c": (True, None)}
    points = [suggestion.params for suggestion, _ in drive(GridSearchAlgorithm(param_grid=grid))]
    assert points == [dict(zip("abc", values, strict=True)) for values in itertools.product(*grid.values())]
    assert type(points[0]["a"]) is int


def test_a_huge_grid_costs_no_memory() -> None:
    """A grid of 10 ** 12 points knows its total and its last point at once."""
    algorithm = GridSearchAlgorithm({name: range(1000) for name in "abcd"})
    assert algorithm.total == 10**12
    assert algorithm.point(10**12 - 1) == dict.fromkeys("abcd", 999)


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({}, "param_grid must map names to lists"),
        ([], "param_grid must map names to lists"),
        (7, "param_grid must map names to lists of values, or be a list of such mappings; received 7"),
        ({"a": 3}, "grid parameter 'a' must be a list of values; received 3"),
        ({"a": "text"}, "grid parameter 'a' must be a list of values; received 'text'"),
        ({"a": []}, "grid parameter 'a' must have at least one value"),
        ({"a": [math.nan]}, "grid parameter 'a': a parameter value must be finite"),
    ],
)
def test_a_wrong_grid_is_refused(grid: object, message: str) -> None:
    """Each mistake in a grid names the parameter."""
    with pytest.raises(SpaceError) as caught:
        GridSearchAlgorithm(grid)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_a_longer_random_search_begins_with_the_shorter() -> None:
    """The first points do not depend on how many follow."""
    short = [s.params for s, _ in drive(RandomSearchAlgorithm(MIXED, 10, seed=1))]
    long = [s.params for s, _ in drive(RandomSearchAlgorithm(MIXED, 30, seed=1))]
    assert long[:10] == short


def test_a_seed_is_drawn_and_kept_when_none_is_given() -> None:
    """Without a seed two searches differ, and each can be repeated with the seed it drew."""
    first, second = RandomSearchAlgorithm(MIXED, 5), RandomSearchAlgorithm(MIXED, 5)
    assert first.seed != second.seed
    assert drive(RandomSearchAlgorithm(MIXED, 5, first.seed)) == drive(first)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomSearchAlgorithm(PLANE, 0), "n_iter must be a whole number of at least 1; received 0"),
        (
            lambda: RandomSearchAlgorithm(PLANE, 5, seed=-1),
            "seed must be a whole number of at least 0; received -1",
        ),
        (lambda: RandomSearchAlgorithm(PLANE, 5, seed=True), "received True"),
        (
            lambda: GeneticSearchAlgorithm(PLANE, 5, population=2),
            "population must be a whole number of at least 4",
        ),
        (
            lambda: GeneticSearchAlgorithm(PLANE, 5, mutation=2.0),
            "mutation must be a probability from 0 to 1",
        ),
        (lambda: GeneticSearchAlgorithm(PLANE, 5, tournament=0), "tournament must be"),
        (
            lambda: CMAESSearchAlgorithm(PLANE, 5, population=3),
            "population must be a whole number of at least 4",
        ),
        (lambda: CMAESSearchAlgorithm(PLANE, 5, sigma=0), "sigma must be above 0; received 0"),
        (lambda: BayesianSearchAlgorithm(PLANE, 5, sampler="x"), "sampler must be one of ('tpe', 'gp')"),
        (lambda: BayesianSearchAlgorithm(PLANE, 5, startup=0), "startup must be"),
        (
            lambda: BOHBSearchAlgorithm(PLANE, 9, 1),
            "0 < min_budget < max_budget; received min_budget=9, max_budget=1",
        ),
        (lambda: BOHBSearchAlgorithm(PLANE, 1, 9, eta=1), "eta must be above 1; received 1"),
        (lambda: BOHBSearchAlgorithm(PLANE, 1, 9, good_share=2), "good_share must be a share from 0 to 1"),
        (lambda: ForeignSearchAlgorithm(object()), "lacks ['suggest', 'update', 'is_complete']"),
        (
            lambda: algorithm_named("annealing", Space(PLANE), 5, 1),
            "algorithm must be one of grid, random, tpe",
        ),
        (lambda: algorithm_named("random", Space(PLANE), None, 1), "give --trials N"),
        (
            lambda: algorithm_named("random", Space(PLANE), 5, 1, speed=3),
            "does not take these options: {'speed': 3}",
        ),
    ],
)
def test_wrong_arguments_are_refused(make, message: str) -> None:  # type: ignore[no-untyped-def]
    """Each argument out of its range is named with the value received."""
    with pytest.raises(SearchError) as caught:
        make()
    assert message in str(caught.value)


def test_suggest_says_why_there_is_nothing_to_suggest() -> None:
    """A full generation asks for results, a complete search says that it is complete."""
    genetic = GeneticSearchAlgorithm(PLANE, 20, seed=1, population=4)
    for _ in range(4):
        genetic.suggest()
    with pytest.raises(NotReadyError, match="needs the results of pending points first; 4 are pending"):
        genetic.suggest()
    grid = GridSearchAlgorithm({"a": [1]})
    grid.suggest()
    with pytest.raises(SearchError, match="all 1 points were suggested"):
        grid.suggest()


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: GeneticSearchAlgorithm(PLANE, 120, seed=seed),
        lambda seed: CMAESSearchAlgorithm(PLANE, 120, seed=seed),
        lambda seed: BayesianSearchAlgorithm(PLANE, 80, seed=seed),
    ],
    ids=["genetic", "cmaes", "tpe"],
)
def test_model_based_search_beats_random_search_on_a_bowl(make) -> None:  # type: ignore[no-untyped-def]
    """Over five seeds the median best value on a smooth bowl is above that of random search."""
    found, random = [], []
    for seed in range(5):
        algorithm = make(seed)
        drive(algorithm, score=bowl)
        found.append(algorithm.best.score)
        other = RandomSearchAlgorithm(PLANE, 120, seed=seed)
        drive(other, score=bowl)
        assert other.best is not None
        random.append(other.best.score)
    assert np.median(found) > np.median(random)


def test_bohb_beats_random_search_of_equal_total_budget_on_a_bowl() -> None:
    """Over nine seeds the median best value is above that of random search that spends the same sum of budgets."""
    found, random = [], []
    for seed in range(9):
        algorithm = BOHBSearchAlgorithm(PLANE, 1, 27, n_iter=150, seed=seed)
        spent = sum(s.budget or 0.0 for s, _ in drive(algorithm, score=bowl))
        other = RandomSearchAlgorithm(PLANE, round(spent / 27), seed=seed)
        drive(other, score=bowl)
        assert algorithm.best is not None
        assert other.best is not None
        found.append(algorithm.best.score)
        random.append(other.best.score)
    assert np.median(found) > np.median(random)


def test_genetic_never_evaluates_a_point_twice_while_others_are_left() -> None:
    """On a small discrete space most children are new points although the population converges."""
    space = {name: {"type": "integer", "low": 0, "high": 9} for name in "ab"}
    told = drive(
        GeneticSearchAlgorithm(space, 60, seed=2, population=10),
        score=lambda s: -float(sum(s.params.values())),
    )
    assert len({json.dumps(s.params) for s, _ in told}) >= 55


def test_bohb_brackets_are_those_of_the_article() -> None:
    """Budgets 1 to 27 with eta 3 give the four brackets of the docstring, then round again."""
    algorithm = BOHBSearchAlgorithm(PLANE, min_budget=1, max_budget=27, eta=3, seed=1)
    brackets = [algorithm.bracket(index) for index in range(5)]
    assert brackets[0] == [(27, 1.0), (9, 3.0), (3, 9.0), (1, 27.0)]
    assert brackets[1] == [(12, 3.0), (4, 9.0), (1, 27.0)]
    assert brackets[2] == [(6, 9.0), (2, 27.0)]
    assert brackets[3] == [(4, 27.0)]
    assert brackets[4] == brackets[0]
    assert algorithm.total == 69


def test_bohb_promotes_the_best_of_each_rung() -> None:
    """The points at the next budget are the best of the rung below, failures never among them."""
    algorithm = BOHBSearchAlgorithm(PLANE, min_budget=1, max_budget=9, eta=3, n_iter=13, seed=4)
    told = drive(algorithm, window=1, score=lambda s: None if s.params["x"] > 3 else bowl(s))
    rungs = {budget: [(s.params, v) for s, v in told if s.budget == budget] for budget in (1.0, 3.0, 9.0)}
    assert [len(rung) for rung in rungs.values()] == [9, 3, 1]
    for low, high in ((1.0, 3.0), (3.0, 9.0)):
        ranked = sorted((item for item in rungs[low] if item[1] is not None), key=lambda item: -item[1])
        assert [params for params, _ in rungs[high]] == [params for params, _ in ranked[: len(rungs[high])]]


def test_bohb_drops_a_bracket_in_which_everything_failed() -> None:
    """When a rung holds no success its bracket ends and the next one opens."""
    algorithm = BOHBSearchAlgorithm(PLANE, min_budget=1, max_budget=9, eta=3, n_iter=14, seed=4)
    told = drive(algorithm, window=1, score=lambda s: None if s.trial_id < 9 else 1.0)
    assert [s.budget for s, _ in told] == [1.0] * 9 + [3.0] * 5


def test_the_density_integrates_to_one() -> None:
    """Over ordered and unordered coordinates the density sums to one; a single kernel has its worked height."""
    single = ParzenDensity(np.array([[0.5]]), [0])
    single.bandwidths[:] = 0.1
    assert math.isclose(float(np.exp(single.log_density(np.array([[0.5]])))[0]), 3.98942, rel_tol=1e-4)
    rng = np.random.default_rng(0)
    density = ParzenDensity(rng.random((12, 2)), [0, 3])
    grid = (np.arange(400) + 0.5) / 400
    total = sum(
        float(np.exp(density.log_density(np.column_stack([grid, np.full(400, cell)]))).mean())
        for cell in (1 / 6, 0.5, 5 / 6)
    )
    assert math.isclose(total, 1.0, rel_tol=1e-3)


def test_samples_of_the_density_stay_in_the_cube() -> None:
    """Draws lie in [0, 1] and gather where the points are."""
    density = ParzenDensity(np.array([[0.02, 0.1], [0.03, 0.9]]), [0, 0])
    drawn = density.sample(np.random.default_rng(1), 500, widen=3.0)
    assert drawn.shape == (500, 2)
    assert np.all((drawn >= 0) & (drawn <= 1))
    assert np.mean(drawn[:, 0] < 0.3) > 0.9


NAMED = [
    pytest.param(name, marks=pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed"))
    if name == "gp"
    else name
    for name in NAMES
]


@pytest.mark.parametrize("name", NAMED)
def test_algorithms_are_found_by_name(name: str) -> None:
    """Each command-line name builds a search over the space, options reaching it."""
    discrete = Space({"n": {"type": "integer", "low": 1, "high": 3}, "k": MIXED["k"]})
    options = {"min_budget": 1, "max_budget": 9} if name == "bohb" else {}
    algorithm = algorithm_named(name, discrete, 9, 3, **options)
    assert algorithm.name == ("bayesian" if name in ("tpe", "gp") else name)
    assert len(drive(algorithm)) == 9


def test_points_do_not_depend_on_hash_seed_or_process() -> None:
    """Fresh interpreters with different hash seeds ask the same points for every algorithm."""
    program = (
        f"space_text = {json.dumps(MIXED)!r}"
        + """
import json
from optengine.search.names import algorithm_named
from optengine.search import Space
from optengine.testing.search_cases import drive
space = Space(json.loads(space_text))
for name in ("random", "tpe", "genetic", "cmaes", "bohb"):
    options = {"min_budget": 1, "max_budget": 9} if name == "bohb" else {}
    print(json.dumps(drive(algorithm_named(name, space, 25, 3, **options))))
"""
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=120,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert len(outputs.pop().splitlines()) == 5
