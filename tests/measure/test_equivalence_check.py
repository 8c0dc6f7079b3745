"""The check of arms against each other: fresh calls, user equality, suspicious agreement."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pytest_optbench.measure import ArmRaised, Arms, check
from pytest_optbench.measure.errors import TimeLimitReached
from pytest_optbench.measure.terminated import Terminated


def only(arms: Arms, equal=None):
    (result,) = check(arms, equal).values()
    return result


def test_equal_results_pass():
    """Agreement is checked and passed by the default comparison."""
    result = only(Arms(lambda: [1.0], {"fast": lambda: [1.0]}))
    assert (result.checked, result.passed, result.how, result.message) == (
        True,
        True,
        "default comparison",
        None,
    )
    assert result.findings == ()


def test_a_difference_names_the_candidate_and_the_place():
    """A faster wrong answer is told with place, values and size."""
    result = only(Arms(lambda: {"sum": 10.0}, {"fast": lambda: {"sum": 11.0}}))
    assert result.passed is False
    assert result.message == (
        "fast differs from baseline at result['sum']: expected 10.0, got 11.0 (off by 1, 0.091 of the larger)"
    )


def test_every_candidate_is_held_against_a_fresh_baseline_call():
    """Each candidate has its own baseline call, so one candidate cannot spoil the oracle of the next."""
    log: list[str] = []

    def logged(name: str, value: int):
        def call() -> int:
            log.append(name)
            return value

        return call

    arms = Arms(logged("baseline", 1), {"good": logged("good", 1), "bad": logged("bad", 2)})
    results = check(arms)
    assert log == ["baseline", "good", "baseline", "bad", "baseline"]
    assert {name: result.passed for name, result in results.items()} == {"good": True, "bad": False}


def test_setup_gives_each_call_its_own_input():
    """An arm that sorts its input in place cannot do the work for the other arm."""

    def baseline(values: list[int]) -> list[int]:
        values.sort()
        return values

    def lazy(values: list[int]) -> list[int]:
        return values

    result = only(Arms(baseline, {"lazy": lazy}, lambda: [3, 1, 2]))
    assert result.message.startswith("lazy differs from baseline at result[0]: expected 1, got 3")


def test_returning_the_same_object_is_suspicious():
    """Two arms that return one shared list agree trivially; a finding says so."""
    shared = [3, 1, 2]
    result = only(Arms(lambda: shared.sort() or shared, {"lazy": lambda: shared}))
    assert result.passed is True
    assert [(finding.code, finding.level) for finding in result.findings] == [("same-object", "warn")]
    assert "baseline and lazy returned the very same list, so their results could not differ" in (
        result.findings[0].message
    )


@pytest.mark.parametrize("value", [None, 1, "text", (1, 2), len])
def test_the_same_immutable_object_is_not_suspicious(value):
    """None, numbers, text and the like may well be the same object."""
    assert only(Arms(lambda: value, {"same": lambda: value})).findings == ()


def test_a_baseline_that_disagrees_with_itself_is_told():
    """When the baseline is random, the message says that the candidate may not be at fault."""
    numbers = itertools.count()
    result = only(Arms(lambda: next(numbers), {"fast": lambda: next(numbers)}))
    assert result.passed is False
    assert result.message.endswith(
        "; the baseline does not agree with itself from one call to the next either: "
        "seed what is random, or pass equal="
    )


def test_a_user_equality_decides():
    """equal(expected, actual) replaces the default comparison, in that order of arguments."""
    seen: list[tuple[int, int]] = []

    def close(expected: int, actual: int) -> bool:
        seen.append((expected, actual))
        return abs(expected - actual) <= 1

    result = only(Arms(lambda: 1, {"fast": lambda: 2}), close)
    assert result.passed is True
    assert result.how.endswith(".close")
    assert seen == [(1, 2)]


def unequal(expected: object, actual: object) -> bool:
    return False


def forgetful(expected: object, actual: object) -> None:
    np.testing.assert_allclose(expected, actual)


def asserting(expected: object, actual: object) -> bool:
    assert expected == actual, "row 3 differs"
    return True


def silent(expected: object, actual: object) -> bool:
    raise AssertionError


def ambiguous(expected: object, actual: object) -> object:
    return np.array([True, True])


async def waiting(expected: object, actual: object) -> bool:
    return True


def lazy(expected: object, actual: object):
    yield True


def undecided(expected: object, actual: object) -> object:
    return NotImplemented


@pytest.mark.parametrize(
    ("equal", "message"),
    [
        (unequal, "equal=unequal returned False for expected 1 and got 2"),
        (asserting, "equal=asserting raised AssertionError: row 3 differs"),
        (silent, "equal=silent raised AssertionError: no message"),
        (ambiguous, "equal=ambiguous raised ValueError: The truth value of an array"),
        (waiting, "equal=waiting must answer True or False when called, received <coroutine"),
        (lazy, "equal=lazy must answer True or False when called, received <generator"),
        (undecided, "equal=undecided must answer True or False when called, received NotImplemented"),
    ],
)
def test_a_user_equality_that_does_not_say_yes_means_unequal(equal, message):
    """False, an exception, or an answer that is none: all count as different, with what happened."""
    result = only(Arms(lambda: 1, {"fast": lambda: 2}), equal)
    assert result.passed is False
    assert message in result.message


def test_an_equality_that_returns_nothing_is_explained():
    """An assert-style function returns None, which is not a yes; the message says what to add."""
    result = only(Arms(lambda: 1, {"fast": lambda: 1}), forgetful)
    assert result.passed is False
    assert "a function that asserts and returns nothing needs `return True`" in result.message


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), TimeLimitReached(1.0), Terminated(15)])
def test_what_ends_a_run_passes_through_a_user_equality(ending):
    """Ctrl-C, a time limit and a signal say nothing about the results; they are no difference."""

    def ended(expected: object, actual: object) -> bool:
        raise ending

    with pytest.raises(type(ending)):
        only(Arms(lambda: 1, {"fast": lambda: 1}), ended)


def test_an_arm_that_raises_is_reported():
    """An exception in an arm is not a difference but an error of its own."""

    def failing() -> None:
        raise ValueError("no data")

    with pytest.raises(ArmRaised, match="arm 'fast' raised ValueError: no data"):
        check(Arms(lambda: 1, {"fast": failing}))
