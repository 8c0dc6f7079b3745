"""Layout: where the frames of a timed run lie in memory, drawn anew for every run.

A Python frame that happens to lie a multiple of 4096 bytes from something its loop touches makes the processor wait
for stores that are none of its business ("4K aliasing"): the very same function takes up to a quarter longer at some
positions (`python -m benchmarks.harness.frame_layout` sweeps over them). A function and a lambda that calls it have
their frames at different positions, the same ones in every run of a process; then no number of trials tells layout
from code. Here each run is called through a frame of random size, so layout becomes noise that medians remove.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any, Final, Protocol, TypeVar

T = TypeVar("T")

PAGE: Final = 4096  # bytes: the distance at which addresses alias
STEP: Final = 16
_SLOT: Final = 8  # bytes of one entry of a frame's value stack
_DEPTHS: Final = 8


class Place(Protocol):
    """Calls something at some place of the stack."""

    def __call__(self, call: Callable[..., T], /, *arguments: Any) -> T:
        """Return what ``call(*arguments)`` returns."""


def as_it_comes(call: Callable[..., T], /, *arguments: Any) -> T:
    """Return ``call(*arguments)``, called where the caller happens to be."""
    return call(*arguments)


class RandomPlace:
    """Calls something from a random place of both stacks, by the generator of ``seed``.

    The interpreter's stack of frames moves by a multiple of `STEP` bytes below `PAGE`, the C stack by up to
    seven nested calls of a C function.
    """

    def __init__(self, seed: int) -> None:
        """Draw nothing yet."""
        self._random = random.Random(f"layout {seed}")

    def __call__(self, call: Callable[..., T], /, *arguments: Any) -> T:
        """Return what ``call(*arguments)`` returns, and let its exceptions through."""
        through = _frame_larger_by(STEP * self._random.randrange(PAGE // STEP))
        nested = (operator.call,) * self._random.randrange(_DEPTHS)
        result: T = through(*nested, call, *arguments)
        return result


class FixedPlace:
    """Calls something always from the same place, ``offset`` bytes further on: for showing what layout does."""

    def __init__(self, offset: int) -> None:
        """Take the place; raises `ValueError` for an offset that is negative or no multiple of `STEP`."""
        if offset < 0 or offset % STEP:
            raise ValueError(f"the offset must be a multiple of {STEP} of at least 0, received {offset}")
        self._through = _frame_larger_by(offset)

    def __call__(self, call: Callable[..., T], /, *arguments: Any) -> T:
        """Return what ``call(*arguments)`` returns, and let its exceptions through."""
        result: T = self._through(call, *arguments)
        return result


@cache
def _frame_larger_by(size: int) -> Callable[..., Any]:
    """Return a function that calls its first argument with the others, in a frame ``size`` bytes larger."""
    code = as_it_comes.__code__
    return FunctionType(code.replace(co_stacksize=code.co_stacksize + size // _SLOT), {})
