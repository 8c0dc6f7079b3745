"""Rules that misbehave in processes, importable by workers."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from optengine.rules import Context, Outcome, RuleSet


def good(ctx: Context) -> Outcome:
    """Look and pass."""
    return ctx.passed("fine", evidence={"there": ctx.fs.exists("a.txt")})


def hangs_in_compiled_code(ctx: Context) -> bool:
    """A regular expression that backtracks for hours and never lets another thread run."""
    return re.match(r"(a+)+$", "a" * 60 + "b") is None


def stops_itself(ctx: Context) -> bool:
    """Stop the whole process, its timers included."""
    os.kill(os.getpid(), signal.SIGSTOP)
    return True


def takes_the_timer_away(ctx: Context) -> bool:
    """Cancel the timer that would end it, and hang."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    time.sleep(60)
    return True


def sends_the_timers_signal(ctx: Context) -> bool:
    """End by the signal of the timer, long before the limit."""
    os.kill(os.getpid(), signal.SIGALRM)
    return True


def segfaults(ctx: Context) -> bool:
    """Read address zero."""
    ctypes.string_at(0)
    return True


def exits(ctx: Context) -> bool:
    """Leave without a word."""
    os._exit(0)


def hangs(ctx: Context) -> bool:
    """Wait."""
    time.sleep(60)
    return True


class CrashesOnce:
    """Ends its process the first time and passes the second: a flaky rule."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __call__(self, ctx: Context) -> bool:
        """Leave a mark and die, or pass when the mark is there."""
        if not self.marker.exists():
            self.marker.touch()
            os._exit(1)
        return True


class OnlyHere:
    """A rule that cannot be pickled."""

    def __call__(self, ctx: Context) -> Outcome:
        """Pass with the process that ran it."""
        return ctx.passed(evidence={"pid": os.getpid()})

    def __reduce__(self) -> Any:
        """Refuse to travel."""
        raise TypeError("this rule does not travel")


class NotThere:
    """A rule that can be pickled but not rebuilt."""

    def __call__(self, ctx: Context) -> Outcome:
        """Pass with the process that ran it."""
        return ctx.passed(evidence={"pid": os.getpid()})

    def __reduce__(self) -> Any:
        """Be rebuilt by something that raises."""
        return (int, ("not a number",))


class EndsTheLoader:
    """A rule that ends the process that rebuilds it, before it could be started."""

    def __call__(self, ctx: Context) -> bool:
        """Pass."""
        return True

    def __reduce__(self) -> Any:
        """Be rebuilt by leaving."""
        return (os._exit, (1,))


def leaves_a_bomb(ctx: Context) -> bool:
    """Pass, but leave a thread that ends the process a little later."""
    threading.Timer(0.2, os._exit, [9]).start()
    return ctx.fs.exists("a.txt")


def takes_a_while(ctx: Context) -> bool:
    """Pass after half a second."""
    time.sleep(0.5)
    return ctx.fs.exists("a.txt")


def prints_much(ctx: Context) -> bool:
    """Fill the output."""
    sys.stdout.write("x" * 10_000_000)
    return True


def large_evidence(ctx: Context) -> Outcome:
    """Give ten megabytes of evidence."""
    return ctx.passed(evidence=["x" * 90_000] * 110)


class Leaves:
    """A rule that leaves a marker."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __call__(self, ctx: Context) -> bool:
        """Leave it and pass."""
        self.marker.touch()
        return True


class Awaits(Leaves):
    """A rule that passes only if a marker is left while it runs."""

    def __call__(self, ctx: Context) -> bool:
        """Look for it for half a minute."""
        for _ in range(600):
            if self.marker.exists():
                return True
            time.sleep(0.05)
        return False


def which_process(ctx: Context) -> Outcome:
    """Tell which process ran it and how often the shared input was built there."""
    return ctx.passed(evidence={"pid": os.getpid(), "built": ctx.shared("counted")})


def build_counted(ctx: Context) -> int:
    """Count builds in this process."""
    global _builds
    _builds += 1
    return _builds


_builds = 0


def batched(count: int = 384, batches: int = 9) -> RuleSet:
    """*count* rules in *batches* layers, in groups, with one that crashes and one that hangs in the
    middle."""
    rules = RuleSet()
    per_batch = -(-count // batches)
    for number in range(count):
        layer, place = divmod(number, per_batch)
        check = {(4, 7): exits, (4, 11): hangs}.get((layer, place), good)
        rules.add(
            f"R{number:03}",
            check,
            requires=[f"R{(layer - 1) * per_batch + place:03}"] if layer else [],
            group=f"g{place % 6}" if place % 7 else None,
            timeout=1.0 if check is hangs else None,
        )
    return rules
