"""Control: the same work on both sides must not be accepted, or no other decision of this machine counts.

Trap avoided: a harness that is only ever shown real gains looks right whatever it does.
"""

from __future__ import annotations

from typing import Any

import pytest


def moving_average(window: int = 20, length: int = 4000) -> float:
    """Return the sum of a moving average over a saw-tooth series; about a millisecond of plain Python."""
    prices = [100 + i % 17 for i in range(length)]
    total = float(sum(prices[:window]))
    averages = [total / window]
    for i in range(window, length):
        total += prices[i] - prices[i - window]
        averages.append(total / window)
    return sum(averages)


@pytest.mark.optbench(
    title="Control: the same code on both sides",
    group="control",
    expected="0%",
    gate="off",
    notes="A REJECT is the right answer here; the test fails when it is accepted.",
)
def test_identical_code_is_not_accepted(optbench: Any) -> None:
    """A against A."""
    decision = optbench.compare(baseline=moving_average, optimized=moving_average)
    assert decision.verdict != "ACCEPT"
