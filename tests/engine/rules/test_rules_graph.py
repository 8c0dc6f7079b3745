"""Dependencies: batches, circles shown as paths, missing ids named."""

from __future__ import annotations

import itertools
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optengine.rules import graph
from optengine.rules.errors import DependencyCycle, DuplicateRule, UnknownDependency, UnknownSelection


def test_batches_follow_the_longest_chain() -> None:
    """A rule is in the batch after the last one it requires, and order within a batch is that of
    registration."""
    requires = {"d": ["b", "c"], "a": [], "b": ["a"], "c": ["b"], "e": [], "f": ["e", "e"]}
    assert graph.batches(requires) == [["a", "e"], ["b", "f"], ["c"], ["d"]]


def test_no_rules_make_no_batches() -> None:
    """An empty set gives no batch."""
    assert graph.batches({}) == []


@pytest.mark.parametrize(
    ("requires", "path"),
    [
        ({"a": ["a"]}, "a -> a"),
        ({"x": ["a"], "a": ["b"], "b": ["c"], "c": ["a"]}, "a -> b -> c -> a"),
        ({"a": [], "b": ["a", "c"], "c": ["b"]}, "b -> c -> b"),
    ],
)
def test_circles_are_shown_as_a_path(requires: dict[str, list[str]], path: str) -> None:
    """A circle is reported as the path through it, without the rules that merely lead there."""
    with pytest.raises(DependencyCycle, match=f"found {path}\\. Remove one"):
        graph.batches(requires)


def test_missing_ids_are_named_with_the_rule_and_near_names() -> None:
    """An unknown requirement names the rule that has it, the id, and ids that look like it."""
    with pytest.raises(
        UnknownDependency, match=r"b -> AR0O1 ends at an id that is not registered\. Did you mean 'AR001'"
    ):
        graph.batches({"AR001": [], "b": ["AR0O1"]})


def test_deep_chains_are_no_problem() -> None:
    """A chain far deeper than the interpreter's stack is cut into as many batches."""
    requires = {str(n): [str(n - 1)] if n else [] for n in range(5000)}
    assert len(graph.batches(requires)) == 5000
    requires["0"] = ["4999"]
    with pytest.raises(DependencyCycle):
        graph.batches(requires)


@given(st.lists(st.sets(st.integers(0, 19), max_size=4), min_size=1, max_size=20))
def test_random_graphs_are_cut_or_refused(needs: list[set[int]]) -> None:
    """Either a real circle is shown, or every rule stands in one batch after everything it requires."""
    requires = {str(n): [str(m) for m in sorted(some) if m < len(needs)] for n, some in enumerate(needs)}
    try:
        batches = graph.batches(requires)
    except DependencyCycle as error:
        path = error.path
        assert path[0] == path[-1]
        assert all(after in requires[before] for before, after in itertools.pairwise(path))
        return
    place = {name: number for number, batch in enumerate(batches) for name in batch}
    assert sorted(place) == sorted(requires)
    for name, needed in requires.items():
        assert place[name] == max((place[one] + 1 for one in needed), default=0)


def test_a_rule_is_ready_once_its_own_requirements_are_done() -> None:
    """What is ready depends on a rule's own requirements, not on others of its batch, and is given once."""
    frontier = graph.Frontier({"a": [], "b": [], "after-b": ["b"], "after-both": ["a", "after-b", "a"]})
    assert frontier.take() == ["a", "b"]
    frontier.finish("b")
    assert (frontier.take(), frontier.take()) == (["after-b"], [])
    frontier.finish("after-b")
    assert frontier.take() == []
    frontier.finish("a")
    assert frontier.take() == ["after-both"]


def test_the_longest_chain_of_followers_is_counted() -> None:
    """A rule's number is the length of the longest chain that waits for it, and 0 at the end of every chain."""
    requires = {"a": [], "b": ["a"], "c": ["b"], "d": ["a"], "e": []}
    assert graph.followers(requires) == {"a": 2, "b": 1, "c": 0, "d": 0, "e": 0}


def test_closure_keeps_all_that_is_required() -> None:
    """The closure of a rule holds everything below it, in the order of registration."""
    requires = {"a": [], "b": ["a"], "c": [], "d": ["b"]}
    assert graph.closure(requires, ["d"]) == ["a", "b", "d"]


@pytest.mark.parametrize(
    "error",
    [
        DuplicateRule("A"),
        UnknownDependency("A", "B", ["C"]),
        DependencyCycle(["A", "B", "A"]),
        UnknownSelection("tag", "x", ["y"]),
    ],
)
def test_errors_survive_pickling(error: Exception) -> None:
    """Errors keep their fields and their text across processes."""
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert vars(again) == vars(error)
