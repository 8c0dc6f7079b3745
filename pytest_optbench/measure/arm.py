"""Arms: one callable under test, sync or async, called untimed (`Arm.once`) or timed (`Arm.run`).

What is inside the clock readings is the call and a bare ``for`` over `itertools.repeat`; setup, the event
loop's start, garbage collection and every check are outside. The result of a call is dropped inside the timed
region: freeing what an arm built is part of its cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from types import AsyncGeneratorType, GeneratorType, TracebackType
from typing import Any, Self

from .callables import (
    Callback,
    check_callable,
    check_without_arguments,
    is_coroutine_function,
    refuse_awaitable,
    takes_setup_value,
)
from .clock import Clock
from .errors import ArmRaised, InvalidArm, TimeLimitReached
from .event_loop import EventLoop
from .forks import ForkGuard, forks_so_far
from .layout import Place, as_it_comes
from .record import Recordings
from .terminated import Terminated
from .time_limit import TimeLimit


@dataclass(frozen=True, slots=True)
class Reading:
    """One timed run: ``loops`` calls took ``wall_ns`` of wall time and ``cpu_ns`` of processor time.

    ``elapsed_ns`` also holds the setups between the calls, so it says what the run cost.
    """

    loops: int
    wall_ns: int
    cpu_ns: int
    elapsed_ns: int

    @property
    def wall_s(self) -> float:
        """Seconds inside all calls together."""
        return self.wall_ns / 1e9

    @property
    def seconds_per_call(self) -> float:
        """Mean seconds of one call."""
        return self.wall_ns / self.loops / 1e9

    @property
    def cpu_seconds_per_call(self) -> float:
        """Mean processor seconds of one call."""
        return self.cpu_ns / self.loops / 1e9


class Arm:
    """One callable under test.

    With ``setup`` its return value is passed to the arm, if the arm can take an argument. Raises `InvalidArm`
    for what cannot be measured as written.
    """

    def __init__(
        self,
        name: str,
        call: Callback,
        setup: Callback | None = None,
        *,
        loop: EventLoop | None = None,
        limit: TimeLimit | None = None,
        recordings: Recordings | None = None,
    ) -> None:
        """Check ``call`` and ``setup`` without calling them; every call happens within ``limit``.

        What fresh, untimed calls record goes into ``recordings``.
        """
        check_callable(f"arm {name!r}", call)
        if setup is not None:
            check_callable("setup", setup)
            check_without_arguments(setup)
        self.name = name
        self.call = call
        self.setup = setup
        self.is_async = is_coroutine_function(call)
        self._setup_is_async = setup is not None and is_coroutine_function(setup)
        self._takes_value = takes_setup_value(name, call, has_setup=setup is not None)
        self._loop = loop if loop is not None else EventLoop()
        self._limit = limit if limit is not None else TimeLimit(None)
        self._recordings = recordings if recordings is not None else Recordings()
        self._guard = ForkGuard()
        self._forks = False
        self._stage = "arm"
        self.called = False

    @property
    def needs_event_loop(self) -> bool:
        """Whether the arm or its setup is async."""
        return self.is_async or self._setup_is_async

    @property
    def child_came_back(self) -> bool:
        """Whether a process the arm forked returned from the arm instead of ending inside it."""
        return self._guard.child_came_back

    def once(self) -> Any:
        """Return the result of one fresh, untimed call (after its setup).

        Raises `ArmRaised` with the arm's exception as cause, and `InvalidArm` when the result shows that
        nothing ran: an awaitable of a plain function, a generator.
        """
        forks = forks_so_far()
        with self._recordings.listening(self.name), self._shield():
            if self.is_async:
                result = self._loop.run(self._once_async())
            else:
                arguments = self._set_up()
                self._stage = "arm"
                result = self.call(*arguments)
        self._forks = self._forks or forks_so_far() > forks
        self._check_result(result)
        self.called = True
        return result

    def run(self, loops: int, clock: Clock, place: Place = as_it_comes) -> Reading:
        """Return the times of ``loops`` calls in a row, called at ``place``.

        Call `once` before the first run: only there is the result looked at. Raises `ArmRaised`.
        """
        with self._shield():
            if self.is_async:
                reading: Reading = place(self._loop.run, self._run_async(loops, clock))
            elif self.setup is not None:
                reading = place(self._run_with_setup, loops, clock)
            else:
                reading = place(self._run_plain, loops, clock)
        return reading

    def _run_plain(self, loops: int, clock: Clock) -> Reading:
        call = self._checked_call if self._forks else self.call
        wall_ns = clock.wall_ns
        cpu_start = clock.cpu_ns()
        start = wall_ns()
        for _ in repeat(None, loops):
            call()
        stop = wall_ns()
        return Reading(loops, stop - start, clock.cpu_ns() - cpu_start, stop - start)

    def _run_with_setup(self, loops: int, clock: Clock) -> Reading:
        call = self._checked_call if self._forks else self.call
        wall_ns, cpu_ns = clock.wall_ns, clock.cpu_ns
        wall = cpu = 0
        began = wall_ns()
        for _ in repeat(None, loops):
            arguments = self._set_up()
            self._stage = "arm"
            cpu_start = cpu_ns()
            start = wall_ns()
            call(*arguments)
            stop = wall_ns()
            cpu += cpu_ns() - cpu_start
            wall += stop - start
        return Reading(loops, wall, cpu, wall_ns() - began)

    async def _run_async(self, loops: int, clock: Clock) -> Reading:
        call = self._checked_call_async if self._forks else self.call
        wall_ns, cpu_ns = clock.wall_ns, clock.cpu_ns
        wall = cpu = 0
        try:
            began = wall_ns()
            if self.setup is None:
                cpu_start = cpu_ns()
                start = wall_ns()
                for _ in repeat(None, loops):
                    await call()
                stop = wall_ns()
                return Reading(loops, stop - start, cpu_ns() - cpu_start, stop - start)
            for _ in repeat(None, loops):
                arguments = await self._set_up_async()
                self._stage = "arm"
                cpu_start = cpu_ns()
                start = wall_ns()
                await call(*arguments)
                stop = wall_ns()
                cpu += cpu_ns() - cpu_start
                wall += stop - start
            return Reading(loops, wall, cpu, wall_ns() - began)
        finally:
            self._guard.leave_if_child()  # here, before a child touches the loop it shares with its parent

    async def _once_async(self) -> Any:
        try:
            arguments = await self._set_up_async()
            self._stage = "arm"
            return await self.call(*arguments)
        finally:
            self._guard.leave_if_child()

    def _checked_call(self, *arguments: Any) -> None:
        """Call an arm that forks; a child that comes back must not go on: every call would double them."""
        self.call(*arguments)
        self._guard.leave_if_child()

    async def _checked_call_async(self, *arguments: Any) -> None:
        await self.call(*arguments)
        self._guard.leave_if_child()

    def _set_up(self) -> tuple[Any, ...]:
        if self.setup is None:
            return ()
        self._stage = "setup"
        value = self._loop.run(self.setup()) if self._setup_is_async else self.setup()
        refuse_awaitable("setup", value)
        return (value,) if self._takes_value else ()

    async def _set_up_async(self) -> tuple[Any, ...]:
        if self.setup is None:
            return ()
        self._stage = "setup"
        value = self.setup()
        if self._setup_is_async:
            value = await value
        refuse_awaitable("setup", value)
        return (value,) if self._takes_value else ()

    @contextmanager
    def _shield(self) -> Iterator[None]:
        self._stage = "arm"
        try:
            with self._limit.interruptible():
                yield
        except (InvalidArm, KeyboardInterrupt, TimeLimitReached, Terminated):
            raise
        except (
            BaseException
        ) as error:  # a skip is one as well: it must not end a test whose arm was to be judged
            raise ArmRaised(self.name, self._stage, error) from error
        finally:
            self._guard.leave_if_child()

    def _check_result(self, result: object) -> None:
        if not self.is_async:
            refuse_awaitable(f"arm {self.name!r}", result)
        if isinstance(result, (GeneratorType, AsyncGeneratorType)):
            raise InvalidArm(
                f"arm {self.name!r} must do its work when called, received a {type(result).__name__} that "
                "has not run yet; consume it in the arm, for example `return list(...)`"
            )


class Arms:
    """The baseline and its candidates, sharing one setup, one event loop and one time limit.

    A context manager: entering starts the time limit, leaving ends it and closes the event loop. All calls of
    the arms - checks, calibration, timed runs - belong inside. Raises `InvalidArm`.
    """

    def __init__(
        self,
        baseline: Callback,
        candidates: Mapping[str, Callback],
        setup: Callback | None = None,
        *,
        max_time_s: float | None = None,
    ) -> None:
        """Check every arm; ``candidates`` maps names to callables and keeps its order."""
        if not candidates:
            raise InvalidArm("a benchmark needs at least one candidate, received {}; name one")
        self.limit = TimeLimit(max_time_s)
        self.recordings = Recordings()
        self._loop = EventLoop()

        def arm(name: str, call: Callback) -> Arm:
            return Arm(name, call, setup, loop=self._loop, limit=self.limit, recordings=self.recordings)

        self.baseline = arm("baseline", baseline)
        self.candidates = tuple(arm(name, call) for name, call in candidates.items())

    def __iter__(self) -> Iterator[Arm]:
        """Yield the baseline, then the candidates in order."""
        yield self.baseline
        yield from self.candidates

    def __enter__(self) -> Self:
        """Start the time limit."""
        self.limit.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the event loop and end the time limit."""
        try:
            self._loop.close()
        finally:
            self.limit.__exit__(kind, error, trace)
