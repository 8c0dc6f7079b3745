"""The soft and the hard time limit, with real signals and short limits."""

from __future__ import annotations

import asyncio
import math
import re
import signal
import threading
import time

import pytest

from pytest_optbench.measure.arm import Arms
from pytest_optbench.measure.equivalence import check
from pytest_optbench.measure.errors import TimeLimitReached
from pytest_optbench.measure.time_limit import TimeLimit

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no SIGALRM")


def test_without_a_limit_nothing_is_installed():
    """No limit means no handler, no timer and never reached."""
    before = signal.getsignal(signal.SIGALRM)
    with TimeLimit(None) as limit:
        assert signal.getsignal(signal.SIGALRM) is before
        assert limit.hard_limit == "off: no time limit is set"
        assert not limit.reached
        assert limit.seconds == math.inf


def test_handler_and_timer_are_put_back():
    """A timer of somebody else that is due later keeps its deadline and its handler."""
    fired: list[int] = []
    old_handler = signal.signal(signal.SIGALRM, lambda number, frame: fired.append(number))
    old_timer = signal.setitimer(signal.ITIMER_REAL, 100)
    try:
        with TimeLimit(1.0) as limit:
            assert limit.hard_limit == "on: an arm is interrupted after 2.5 s"
            assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 2.5
            time.sleep(0.05)
        remaining = signal.getitimer(signal.ITIMER_REAL)[0]
        assert 90 < remaining < 99.96
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        time.sleep(0.5)
        assert fired == [signal.SIGALRM]
    finally:
        signal.signal(signal.SIGALRM, old_handler)
        signal.setitimer(signal.ITIMER_REAL, *old_timer)


def test_an_earlier_timer_of_somebody_else_is_left_alone():
    """When another timer is due first, the hard limit stays off and says why."""
    old_timer = signal.setitimer(signal.ITIMER_REAL, 50)
    try:
        with TimeLimit(1000) as limit:
            assert re.fullmatch("off: another timer is due first, in (50|4[0-9]) s", limit.hard_limit)
            assert signal.getitimer(signal.ITIMER_REAL)[0] > 40
    finally:
        signal.setitimer(signal.ITIMER_REAL, *old_timer)


def test_other_threads_have_only_the_soft_limit():
    """Signals reach the main thread only, so in another thread the hard limit is off."""
    states: list[str] = []

    def enter() -> None:
        with TimeLimit(1) as limit:
            states.append(limit.hard_limit)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert states == ["off: signals reach the main thread only"]


def test_the_alarm_waits_until_an_arm_runs():
    """Outside interruptible code the alarm changes nothing; the next arm is not even started."""
    started: list[str] = []
    limit = TimeLimit(0.01)
    limit.hard_seconds = 0.1
    with limit:
        time.sleep(0.3)
        assert limit.reached
        with pytest.raises(TimeLimitReached, match=r"after 0\.1 s"), limit.interruptible():
            started.append("arm")
    assert started == []


def test_an_arm_that_swallows_the_interruption_is_interrupted_again():
    """Even `except BaseException` cannot hold on for ever: the alarm repeats."""
    caught: list[BaseException] = []

    def stubborn() -> None:
        for _ in range(2):
            try:
                time.sleep(1000)
            except BaseException as error:
                caught.append(error)
        time.sleep(1000)

    arms = Arms(stubborn, {"same": stubborn}, max_time_s=0.1)
    arms.limit.hard_seconds = 0.2
    with arms, pytest.raises(TimeLimitReached):
        arms.baseline.once()
    assert [type(error) for error in caught] == [TimeLimitReached] * 2


def test_an_async_arm_that_waits_for_ever_is_interrupted():
    """The hard limit also reaches an arm that idles in its event loop."""

    async def forever() -> None:
        await asyncio.sleep(1000)

    arms = Arms(forever, {"same": forever}, max_time_s=0.1)
    arms.limit.hard_seconds = 0.2
    with arms, pytest.raises(TimeLimitReached):
        arms.baseline.once()


def test_an_equality_that_never_returns_is_interrupted():
    """A user's equal= hangs no longer than an arm may."""
    arms = Arms(lambda: 1, {"same": lambda: 1}, max_time_s=0.1)
    arms.limit.hard_seconds = 0.2
    with arms, pytest.raises(TimeLimitReached):
        check(arms, lambda expected, actual: time.sleep(1000))
