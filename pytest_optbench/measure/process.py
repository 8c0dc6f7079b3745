"""Process pairs: one trial is one fresh child process per lane, interleaved sample by sample.

Children of a pair start together and go through the same benchmarks in the same order. Inside a benchmark
only one of them runs at a time: the others are blocked on their channels. What varies from pair to pair is
what one process cannot vary: hash seed, memory layout, size of the environment.

Nothing here knows pytest or git.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from .lanes import Collected, Lane, PairResult


class ProcessPairs:
    """Runs pairs of children; a context manager that ends every process it started, whatever happens.

    ``lanes`` begins with the baseline. ``looks`` are the numbers of pairs at which decisions may fall, ``seed``
    draws orders, hash seeds and paddings, ``cpus`` pins the children. ``max_time_s`` limits each answer of a
    child; ``compare_results`` has results compared across lanes in the pairs named (indices).
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        *,
        looks: Sequence[int],
        seed: int,
        cpus: Sequence[int] = (),
        max_time_s: float = 60.0,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        """Start nothing yet."""
        self.lanes = tuple(lanes)

    def __enter__(self) -> Self:
        """Return the driver."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill and reap what still runs."""

    def collect(self) -> Mapping[str, Collected]:
        """Start the first pair's children and return, by lane, what they found."""
        raise NotImplementedError

    def pair(self, index: int, benchmarks: Sequence[str], *, compare_results: bool = False) -> PairResult:
        """Measure pair ``index`` (from 0) of these benchmarks (node ids), in this order.

        With ``compare_results`` the result of each optimized lane is compared with the baseline's.
        """
        raise NotImplementedError
