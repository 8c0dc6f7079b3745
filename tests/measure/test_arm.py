"""One arm: how it is called, timed and guarded."""

from __future__ import annotations

import asyncio
import functools
import os
import subprocess
import sys
import textwrap
import time

import pytest
from fake_clock import FakeClock, StillClock

from pytest_optbench.measure.arm import Arm, Arms
from pytest_optbench.measure.clock import SYSTEM_CLOCK, resolution_s
from pytest_optbench.measure.errors import ArmRaised, InvalidArm, MeasureError
from pytest_optbench.measure.event_loop import EventLoop


def test_system_clock_resolution_is_what_neighbouring_readings_show():
    """The real clock resolves better than a millisecond and never claims zero."""
    assert 0 < resolution_s(SYSTEM_CLOCK) < 1e-3


def test_resolution_is_the_smallest_difference_seen():
    """A clock that steps by 250 ns has a resolution of 250 ns."""
    assert resolution_s(FakeClock(tick_ns=250)) == 250e-9


def test_a_clock_that_stands_still_is_refused():
    """A clock that never moves is an error that says so."""
    with pytest.raises(ValueError, match="a clock must advance; 200000 readings of StillClock"):
        resolution_s(StillClock())


def test_cpu_time_counts_children_waited_for():
    """Processor time of a child process is part of the reading once the child was reaped."""
    before = SYSTEM_CLOCK.cpu_ns()
    code = "import time\nwhile time.process_time() < 0.2: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert SYSTEM_CLOCK.cpu_ns() - before > 150_000_000


def test_a_plain_run_times_all_calls_between_two_readings():
    """Five calls of 300 ns, with a clock read in 1 ns, take 1501 ns of wall and 500 ns of processor time."""
    clock = FakeClock()
    arm = Arm("a", lambda: clock.advance(300, 100))
    arm.once()
    reading = arm.run(5, clock)
    assert (reading.loops, reading.wall_ns, reading.cpu_ns) == (5, 1501, 500)
    assert reading.seconds_per_call == pytest.approx(300.2e-9)
    assert reading.cpu_seconds_per_call == pytest.approx(100e-9)
    assert reading.elapsed_ns == reading.wall_ns


def test_setup_runs_before_every_call_and_outside_the_clock():
    """A setup of 10 ms before each of three 300 ns calls costs elapsed time, but is not timed."""
    clock = FakeClock()
    values = iter(range(100))
    seen: list[int] = []

    def setup() -> int:
        clock.advance(10_000_000, 10_000_000)
        return next(values)

    def work(value: int) -> None:
        seen.append(value)
        clock.advance(300, 200)

    arm = Arm("a", work, setup)
    arm.once()
    reading = arm.run(3, clock)
    assert seen == [0, 1, 2, 3]
    assert (reading.wall_ns, reading.cpu_ns) == (3 * 301, 600)
    assert reading.elapsed_ns > 30_000_000


def test_setup_without_a_taker_is_still_called():
    """An arm that takes no argument is called without the setup's value."""
    calls: list[str] = []
    arm = Arm("a", lambda: calls.append("arm"), lambda: calls.append("setup"))
    arm.once()
    assert calls == ["setup", "arm"]


def test_once_returns_the_result_of_a_fresh_call():
    """The value of setup goes in and the arm's result comes out."""
    assert Arm("a", lambda value: value + 1, lambda: 41).once() == 42


def test_async_arm_is_timed_inside_the_loop():
    """Only the awaits are timed: four of 700 ns take 2801 ns, without the loop's own start."""
    clock = FakeClock()

    async def work() -> str:
        clock.advance(700)
        await asyncio.sleep(0)
        return "done"

    with Arms(work, {"same": work}) as arms:
        assert arms.baseline.is_async
        assert arms.baseline.once() == "done"
        assert arms.baseline.run(4, clock).wall_ns == 2801


def test_async_setup_is_awaited_for_async_and_sync_arms():
    """An async setup gives its awaited value to both kinds of arms, untimed."""
    clock = FakeClock()

    async def setup() -> int:
        clock.advance(5_000)
        return 3

    async def slow(value: int) -> int:
        clock.advance(100 * value)
        return value

    def fast(value: int) -> int:
        clock.advance(10 * value)
        return value

    with Arms(slow, {"fast": fast}, setup) as arms:
        assert [arm.once() for arm in arms] == [3, 3]
        assert [arm.run(2, clock).wall_ns for arm in arms] == [2 * 301, 2 * 31]
        assert all(arm.needs_event_loop for arm in arms)


def test_sync_setup_works_for_an_async_arm():
    """A plain setup may feed an async arm."""

    async def work(value: list[int]) -> int:
        return sum(value)

    with Arms(work, {"same": work}, lambda: [1, 2]) as arms:
        assert arms.baseline.once() == 3
        assert arms.baseline.run(2, FakeClock()).wall_ns == 2


def test_async_callable_objects_and_partials_are_recognised():
    """functools.partial of a coroutine function and objects with async __call__ are async arms."""

    async def fetch(count: int) -> int:
        return count

    class Fetcher:
        async def __call__(self) -> int:
            return 8

    with Arms(functools.partial(fetch, 7), {"object": Fetcher()}) as arms:
        assert [arm.once() for arm in arms] == [7, 8]


def test_async_arms_are_refused_inside_a_running_loop():
    """Measuring async arms from an async test is an error that names the cure."""

    async def work() -> None: ...

    async def test_body() -> None:
        with Arms(work, {"same": work}) as arms:
            arms.baseline.once()

    with pytest.raises(InvalidArm, match=r"without a running event loop.*make the test a plain `def"):
        asyncio.run(test_body())


def test_the_tests_own_event_loop_stays_current():
    """A loop the program has set as current survives the benchmark's own loop."""

    async def work() -> int:
        return 1

    mine = asyncio.new_event_loop()
    asyncio.set_event_loop(mine)
    try:
        with Arms(work, {"same": work}) as arms:
            arms.baseline.once()
        assert asyncio.get_event_loop_policy().get_event_loop() is mine
    finally:
        asyncio.set_event_loop(None)
        mine.close()


def test_leaving_the_arms_cancels_tasks_left_in_the_loop():
    """A background task an arm started is cancelled when the arms are closed."""
    ended: list[str] = []
    background: set[asyncio.Task[None]] = set()

    async def linger() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append("cancelled")

    async def work() -> None:
        background.add(asyncio.create_task(linger()))
        await asyncio.sleep(0)

    with Arms(work, {"same": work}) as arms:
        arms.baseline.once()
        assert ended == []
    assert ended == ["cancelled"]


async def _coroutine() -> int:
    return 1


async def _async_generator():
    yield 1


def _generator():
    yield 1


def test_a_plain_function_that_returns_an_awaitable_is_refused():
    """A lambda around a coroutine function did no work; the error says to pass the function itself."""
    with pytest.raises(
        InvalidArm, match=r"arm 'a' must do its work.*awaitable \(coroutine\).*functools.partial"
    ):
        Arm("a", lambda: _coroutine()).once()


def test_a_setup_that_returns_an_awaitable_is_refused():
    """The same holds for setup, for sync and async arms."""
    with pytest.raises(InvalidArm, match=r"setup must do its work.*awaitable"):
        Arm("a", lambda value: value, lambda: _coroutine()).once()

    async def work(value: object) -> object:
        return value

    loop = EventLoop()
    try:
        with pytest.raises(InvalidArm, match=r"setup must do its work.*awaitable"):
            Arm("a", work, lambda: _coroutine(), loop=loop).once()
    finally:
        loop.close()


@pytest.mark.parametrize("call", [_generator, _async_generator])
def test_generator_functions_are_refused_before_anything_runs(call):
    """A generator function does nothing when called, so it cannot be an arm."""
    with pytest.raises(
        InvalidArm, match=r"arm 'a' must do its work when called, received the generator function"
    ):
        Arm("a", call)


def test_a_returned_generator_is_refused():
    """A function that returns a generator has not done the work either."""
    with pytest.raises(InvalidArm, match=r"received a generator that has not run yet.*return list"):
        Arm("a", lambda: (i for i in range(3))).once()


@pytest.mark.parametrize(
    ("call", "setup", "message"),
    [
        (3, None, r"arm 'a' must be callable, received 3; pass a function, not its result"),
        (len, 3, r"setup must be callable, received 3"),
        (
            lambda x: x,
            None,
            r"callable without arguments, received one with the signature \(x\).*or make them in",
        ),
        (
            lambda x, y: x,
            lambda: 1,
            r"without arguments or with the setup's value, received one with the signature \(x, y\)",
        ),
        (
            lambda: 1,
            lambda x: x,
            r"setup must be callable without arguments.*signature \(x\).*functools.partial",
        ),
    ],
)
def test_arms_that_cannot_be_called_are_refused(call, setup, message):
    """Wrong arms and setups fail at construction with what was received and the cure."""
    with pytest.raises(InvalidArm, match=message):
        Arm("a", call, setup)


def test_callables_without_a_signature_are_called_as_the_setup_implies():
    """Builtins that do not tell their signature get the setup's value."""
    assert Arm("a", max, lambda: [3, 1]).once() == 3
    assert Arm("a", dict, dict).once() == {}


def test_no_candidates_is_an_error():
    """A benchmark with nothing to compare is refused."""
    with pytest.raises(InvalidArm, match=r"needs at least one candidate, received \{\}"):
        Arms(lambda: 1, {})


@pytest.mark.parametrize("error", [ValueError("no data"), SystemExit("no data")])
def test_what_an_arm_raises_is_kept_with_the_arms_name(error):
    """An exception in an arm, even SystemExit, becomes ArmRaised from the original."""

    def work() -> None:
        raise error

    for call in (Arm("fast", work).once, lambda: Arm("fast", work).run(3, FakeClock())):
        with pytest.raises(
            ArmRaised, match=rf"^arm 'fast' raised {type(error).__name__}: no data$"
        ) as caught:
            call()
        assert caught.value.original is error
        assert caught.value.__cause__ is error
        assert isinstance(caught.value, MeasureError)


def test_what_setup_raises_names_the_setup():
    """An exception in setup is told apart from one in the arm."""

    def setup() -> None:
        raise KeyError("table")

    with pytest.raises(ArmRaised, match=r"^setup of arm 'fast' raised KeyError: 'table'$"):
        Arm("fast", lambda value: value, setup).run(2, FakeClock())


def test_an_async_arm_that_raises_is_reported_the_same_way():
    """Exceptions cross the event loop unchanged."""

    async def work() -> None:
        raise ValueError("lost")

    with Arms(work, {"same": work}) as arms, pytest.raises(ArmRaised, match="'same' raised ValueError: lost"):
        arms.candidates[0].run(1, FakeClock())


def test_keyboard_interrupt_is_not_an_arms_error():
    """Ctrl-C inside an arm stays Ctrl-C."""

    def work() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Arm("a", work).once()


FORKING = """
    import os, sys
    sys.path[:0] = {paths!r}
    from fake_clock import FakeClock
    from pytest_optbench.measure.arm import Arms

    def forks():
        child = os.fork()
        if child:
            os.waitpid(child, 0)

    async def forks_async():
        forks()

    with Arms({call}, {{"plain": lambda *_: None}}, {setup}) as arms:
        arms.baseline.once()
        reading = arms.baseline.run(4, FakeClock())
        print(reading.loops, arms.baseline.child_came_back, arms.candidates[0].child_came_back, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
@pytest.mark.parametrize(
    ("call", "setup"), [("forks", None), ("forks_async", None), ("lambda _: forks()", "dict")]
)
def test_a_forked_child_that_comes_back_is_ended(call, setup):
    """Children that return from an arm leave at once: one process goes on and knows that it happened."""
    source = textwrap.dedent(FORKING).format(call=call, setup=setup, paths=sys.path)
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "4 True False\n", "")


def test_a_child_that_ends_inside_the_arm_is_fine():
    """Forking is allowed as long as the child ends inside the arm."""
    source = textwrap.dedent(FORKING).format(call="forks", setup=None, paths=sys.path)
    source = source.replace("if child:", "if not child: os._exit(0)\n    else:")
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "4 False False\n", "")


def test_real_runs_time_real_work():
    """With the system clock, calls that sleep 5 ms are timed as at least 5 ms each."""
    reading = Arm("a", lambda: time.sleep(0.005)).run(2, SYSTEM_CLOCK)
    assert reading.wall_s >= 0.01
    assert reading.cpu_ns < reading.wall_ns
