"""Goals, and how numbers are written."""

from __future__ import annotations

import math

import pytest

from pytest_optbench.core import wording
from pytest_optbench.core.goal import Goal
from pytest_optbench.core.verdicts import EXPLANATION, Reason, Verdict, verdict_of


def test_speedup_goal():
    """5 % time saved is a time ratio of 0.95 and a speedup of 1.0526."""
    goal = Goal("speedup", 0.05)
    assert goal.time_ratio == 0.95
    assert goal.log_threshold == pytest.approx(math.log(0.95))
    assert goal.ratio == pytest.approx(1.0526, abs=1e-4)
    assert goal.one_sided(0.05) == 0.025


def test_no_regression_goal():
    """5 % slower is a time ratio of 1.05 and a speedup of 0.952."""
    goal = Goal("no-regression", 0.05)
    assert goal.log_threshold == pytest.approx(math.log(1.05))
    assert goal.ratio == pytest.approx(0.952, abs=1e-3)
    assert goal.one_sided(0.05) == 0.05


@pytest.mark.parametrize(
    ("kind", "margin", "text"),
    [
        ("speedup", 1.0, "fraction at least 0 and below 1, got 1.0; write 0.05 for 5 %"),
        ("speedup", -0.1, "got -0.1"),
        ("speedup", math.nan, "got nan"),
        ("no-regression", 0.0, "fraction above 0 and at most 1, got 0.0"),
        ("no-regression", 1.01, "fraction above 0 and at most 1, got 1.01; write 0.05 for 5 %"),
        ("no-regression", math.nan, "got nan"),
        ("faster", 0.05, "goal must be one of speedup, no-regression, got 'faster'"),
    ],
)
def test_goals_refuse(kind, margin, text):
    """Unknown goals and margins out of range are refused."""
    with pytest.raises(ValueError, match=text):
        Goal(kind, margin)


def test_twice_as_long_can_be_a_margin():
    """A slowdown of 100 % may be allowed: the optimized arm must be shown to take at most twice as long."""
    goal = Goal("no-regression", 1.0)
    assert (goal.time_ratio, goal.ratio) == (2.0, 0.5)
    assert goal.log_threshold == math.log(2.0)


def test_no_minimum_is_allowed():
    """A speedup goal of 0 asks for any gain."""
    assert Goal("speedup", 0.0).log_threshold == 0.0


def test_every_reason_is_explained():
    """Every reason has an explanation and a verdict; only one opens the gate."""
    assert set(EXPLANATION) == set(Reason)
    assert [r for r in Reason if verdict_of(r) is Verdict.ACCEPT] == [Reason.DEMONSTRATED]
    assert verdict_of(Reason.QUICK) is Verdict.INCONCLUSIVE


def test_numbers():
    """Per cent, ratios and p-values are written as documented."""
    assert wording.percent(0.09931) == "9.93 %"
    assert (wording.percent(-1e-6), wording.percent(-0.0, 0)) == ("0.00 %", "0 %")
    assert wording.percent(math.nan) == "n/a"
    assert (wording.short_percent(0.05), wording.short_percent(-0.0)) == ("5 %", "0 %")
    assert [wording.change(x) for x in (-0.05, -2.5e-6, 0.0, 0.031, 41.5, 2712.3)] == [
        "-5.00 %", "-0.00025 %", "+0.00 %", "+3.10 %", "42.5x as much", "2713x as much"
    ]  # fmt: skip
    assert [wording.size(n) for n in (0, 2047, 50 * 2**20)] == ["0 B", "2.00 KiB", "50.00 MiB"]
    assert wording.quantity(2791.2134, "rows/s") == "2791.21 rows/s"
    assert [wording.quantity(7, unit) for unit in (None, "1", "B", "files")] == ["7", "7", "7 B", "7 files"]
    assert wording.quantity(None, "B") == "n/a"
    assert wording.times(1.11029) == "1.110x"
    assert wording.times(0.00023816) == "0.000238x"
    assert wording.times(math.inf) == "n/a"
    assert wording.p_value(9e-7) == "<1e-6"
    assert wording.p_value(0.0342) == "0.034"
    assert wording.p_value(math.nan) == "n/a"
