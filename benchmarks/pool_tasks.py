"""Small tasks for pools, in a module that workers import without the tests."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Any

from optengine import SharedFrame

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def increment(number: int) -> int:
    """Return the next number: the trivial task."""
    return number + 1


def corners(array: np.ndarray) -> float:
    """Touch a large array and return little."""
    return float(array[0] + array[-1])


def spin(rounds: int) -> int:
    """Keep a CPU busy for a number of rounds."""
    total = 0
    for number in range(rounds):
        total = (total * 31 + number) & 0xFFFF
    return total


@cache
def rounds_per_second() -> float:
    """Return the rounds of `spin` in a second: the best of seven tries of some 10 ms, in this process."""
    rates = []
    for _ in range(7):
        began = time.perf_counter()
        spin(200_000)
        rates.append(200_000 / (time.perf_counter() - began))
    return max(rates)


def mean_of_window(frame: pd.DataFrame, number: int) -> tuple[int, float]:
    """Return the number of rows and the mean of 1,000 closing prices somewhere in the frame: a small computation."""
    start = (number * 7919) % max(1, len(frame) - 1000)
    return len(frame), float(frame["close"].iloc[start : start + 1000].mean())


def on_pickled(task: tuple[pd.DataFrame, int]) -> tuple[int, float]:
    """Work on the frame that came with the task."""
    return mean_of_window(*task)


def on_shared(task: tuple[Any, int]) -> tuple[int, float]:
    """Work on the frame whose handle came with the task."""
    handle, number = task
    return mean_of_window(SharedFrame.attach(handle).frame, number)
