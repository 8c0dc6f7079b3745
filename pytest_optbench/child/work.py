"""Work of the ``benchmark`` fixture: one callable with its arguments, or rounds with setup and teardown.

Unlike an arm of ``optbench.compare`` it may return anything, a generator or None included: suites written for
other plugins run as they are.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import Any

from ..measure.arm import Reading
from ..measure.clock import Clock

Callback = Callable[..., Any]


class Call:
    """``target(*args, **kwargs)``, called back to back."""

    setup: object | None = None
    single = False

    def __init__(self, target: Callback, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Refuse what would not run when called."""
        refuse_coroutine_function(target)
        self._call = functools.partial(target, *args, **kwargs) if args or kwargs else target

    def once(self) -> Any:
        """Return the result of one untimed call."""
        return self._call()

    def run(self, loops: int, clock: Clock) -> Reading:
        """Return the times of ``loops`` calls in a row."""
        call, wall_ns = self._call, clock.wall_ns
        cpu_start = clock.cpu_ns()
        start = wall_ns()
        for _ in repeat(None, loops):
            call()
        stop = wall_ns()
        return Reading(loops, stop - start, clock.cpu_ns() - cpu_start, stop - start)


class Rounds:
    """Rounds of ``iterations`` calls, each with an untimed ``setup`` before and ``teardown`` after it.

    ``setup`` may return ``(args, kwargs)`` for the calls of its round; ``teardown`` receives the same arguments
    as the calls. ``single`` work runs once only: then ``result`` is that of the timed call.
    """

    def __init__(
        self,
        target: Callback,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        setup: Callback | None,
        teardown: Callback | None,
        iterations: int,
        single: bool,
    ) -> None:
        """Refuse what would not run when called."""
        refuse_coroutine_function(target)
        self.setup = setup or teardown
        self.single = single
        self._target = target
        self._args, self._kwargs = tuple(args), dict(kwargs)
        self._setup, self._teardown = setup, teardown
        self._iterations = iterations
        self.result: Any = None

    def once(self) -> Any:
        """Return the result of one untimed call, with its setup and teardown."""
        args, kwargs = self._arguments()
        result = self._target(*args, **kwargs)
        if self._teardown is not None:
            self._teardown(*args, **kwargs)
        return result

    def run(self, loops: int, clock: Clock) -> Reading:
        """Return the times of at least ``loops`` calls, in whole rounds."""
        wall = cpu = 0
        rounds = max(1, loops // self._iterations)
        began = clock.wall_ns()
        for _ in repeat(None, rounds):
            args, kwargs = self._arguments()
            call = functools.partial(self._target, *args, **kwargs) if args or kwargs else self._target
            cpu_start = clock.cpu_ns()
            start = clock.wall_ns()
            if self.single:
                self.result = call()
            else:
                for _ in repeat(None, self._iterations):
                    call()
            wall += clock.wall_ns() - start
            cpu += clock.cpu_ns() - cpu_start
            if self._teardown is not None:
                self._teardown(*args, **kwargs)
        return Reading(rounds * self._iterations, wall, cpu, clock.wall_ns() - began)

    def _arguments(self) -> tuple[Sequence[Any], Mapping[str, Any]]:
        given = self._setup() if self._setup is not None else None
        if not given:
            return self._args, self._kwargs
        if self._args or self._kwargs:
            raise TypeError(
                "benchmark.pedantic takes arguments either from args and kwargs or from setup, received both; "
                "let setup return None or leave args and kwargs out"
            )
        args, kwargs = given
        return args, kwargs


def refuse_coroutine_function(target: Callback) -> None:
    """Raise `TypeError` for a coroutine function: calling it would run nothing."""
    if inspect.iscoroutinefunction(target):
        raise TypeError(
            f"benchmark must be given a function that does its work when called, received the coroutine "
            f"function {target!r}; wrap it, for example lambda: asyncio.run(work())"
        )
