"""The remaining time of a run, and the bar that shows it."""

import io
import os
import subprocess
import sys
import threading

import pytest

from optengine.progress import Estimate, Progress, bar_class


def test_eta_of_equal_tasks_is_exact():
    """With one task per second, the remaining time is the remaining number, at every moment."""
    estimate = Estimate(100, now=0.0)
    assert estimate.state(0, 0, 0.0).eta_s is None
    for second in range(1, 100):
        state = estimate.state(second - 1, 1, float(second))
        assert state.eta_s == pytest.approx(100 - second)
        assert state.rate == pytest.approx(1.0)
    assert estimate.state(99, 1, 100.0).eta_s == 0


def test_eta_is_within_a_tenth_after_a_fifth_of_a_noisy_run():
    """Tasks of 0.5 to 1.5 s: from 20 % of the run on, the estimated end is within 10 % of the run's length."""
    import random

    generator = random.Random(5)
    ends, now = [], 0.0
    for _ in range(500):
        now += generator.uniform(0.5, 1.5)
        ends.append(now)
    estimate = Estimate(500, now=0.0)
    for done, moment in enumerate(ends, 1):
        state = estimate.state(done, 0, moment)
        if done >= 100:
            assert abs(moment + state.eta_s - ends[-1]) < 0.1 * ends[-1]


def test_eta_follows_a_change_of_pace():
    """When tasks become ten times slower the estimate moves towards the new pace."""
    estimate = Estimate(200, now=0.0)
    for second in range(1, 101):
        estimate.state(second, 0, second * 0.1)
    before = estimate.state(100, 0, 10.0).eta_s
    for second in range(1, 11):
        after = estimate.state(100 + second, 0, 10.0 + second).eta_s
    assert before == pytest.approx(10.0, rel=0.05)
    assert after > 2 * before


def test_time_in_which_nothing_arrives_counts():
    """Between two arrivals the remaining time runs down with the clock."""
    estimate = Estimate(10, now=0.0)
    estimate.state(5, 0, 5.0)
    assert estimate.state(5, 0, 5.5).eta_s == pytest.approx(4.5)


def test_progress_is_silent_without_a_terminal(capfd):
    """Asked for a bar while standard error is no terminal, nothing is written and nobody polls."""
    with Progress(3, True) as shown:
        assert shown.interval_s is None
        shown.update(3, 0)
    assert capfd.readouterr().err == ""


def test_a_bar_leaves_no_thread_behind():
    """After a bar was shown this process has no thread more, so a pool may still fork its workers."""
    before = threading.enumerate()
    with bar_class()(total=2, file=io.StringIO()) as shown:
        shown.update(2)
    assert threading.enumerate() == before


def test_progress_shows_a_bar_on_a_terminal():
    """On a terminal the bar shows counts and failures."""
    import fcntl
    import pty
    import struct
    import termios

    code = "from optengine.progress import Progress\nwith Progress(3, True) as shown: shown.update(2, 1)\n"
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    with subprocess.Popen([sys.executable, "-c", code], stderr=theirs) as child:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:
            pass
        assert child.wait() == 0
    os.close(ours)
    assert b"3/3" in shown
    assert b"1 failed" in shown
