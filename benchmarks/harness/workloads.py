"""Three kinds of work of about a millisecond, each linear in its number of iterations.

This file is copied beside the generated tests, so it needs nothing but the standard library and, for one
kind, numpy. Nothing is returned: arms that do a different number of iterations have equal results.
"""

from __future__ import annotations

import time
from collections.abc import Callable

CALL_S = 1e-3
STEP = 25  # iterations come in multiples of it, so that 0.92 of them is a whole number


def arithmetic(iterations: int) -> None:
    """Add up whole numbers in a plain loop."""
    total = 0
    for i in range(iterations):
        total += i * i % 7


def text(iterations: int) -> None:
    """Count words in a dictionary."""
    counts: dict[str, int] = {}
    for i in range(iterations):
        word = f"word {i % 97}"
        counts[word] = counts.get(word, 0) + len(word)


def array(iterations: int) -> None:
    """Square and sum a numpy array of 2000 floats, over and over."""
    import numpy as np

    values = np.arange(2000.0)
    for _ in range(iterations):
        np.add.reduce(values * values)


KINDS: dict[str, Callable[[int], None]] = {"arithmetic": arithmetic, "text": text, "array": array}


def arm(kind: str, iterations: int) -> Callable[[], None]:
    """Return a callable without arguments that does the work."""
    work = KINDS[kind]

    def call() -> None:
        work(iterations)

    return call


def iterations_for(kind: str, seconds: float) -> int:
    """Return how many iterations of `kind` take about `seconds` on this machine, a multiple of `STEP`."""
    work, iterations = KINDS[kind], STEP
    work(iterations)
    while (took := _fastest(work, iterations)) < 4e-3:
        iterations *= 2
    return max(STEP, STEP * round(iterations * seconds / took / STEP))


def _fastest(work: Callable[[int], None], iterations: int) -> float:
    readings = []
    for _ in range(7):
        start = time.perf_counter()
        work(iterations)
        readings.append(time.perf_counter() - start)
    return min(readings)
