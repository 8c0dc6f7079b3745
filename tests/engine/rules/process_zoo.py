"""Rules that misbehave in processes, importable by workers."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable
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
    time.sleep(600)
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


def wait_for(holds: Callable[[], bool]) -> None:
    """Return when it holds, or after a minute."""
    end = time.monotonic() + 60
    while not holds() and time.monotonic() < end:
        time.sleep(0.01)


class LeavesABomb:
    """A rule that passes, but leaves a thread that ends the process once a marker is there."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __call__(self, ctx: Context) -> bool:
        """Leave the thread and pass."""
        threading.Thread(target=self.explode, daemon=True).start()
        return ctx.fs.exists("a.txt")

    def explode(self) -> None:
        """Wait for the marker and leave."""
        wait_for(self.marker.exists)
        os._exit(9)


class GetsHit(LeavesABomb):
    """A rule that leaves the marker and waits for the end the first time, and passes the second."""

    def __call__(self, ctx: Context) -> bool:
        """Pass when the marker is there."""
        if not self.marker.exists():
            self.marker.touch()
            time.sleep(60)
        return ctx.fs.exists("a.txt")


class Unshowable(Exception):
    """An error that ends the program of whoever shows it."""

    def __str__(self) -> str:
        """Refuse in the rudest way."""
        raise SystemExit(9)


def raises_unshowable(ctx: Context) -> bool:
    """Raise it."""
    raise Unshowable


class RebuiltUnshowably:
    """A rule that raises an error nobody can show when it is rebuilt."""

    def __call__(self, ctx: Context) -> bool:
        """Pass."""
        return True

    def __reduce__(self) -> Any:
        """Be rebuilt by raising."""
        return (raises_unshowable, (None,))


class TravelsUnshowably:
    """A rule that raises an error nobody can show when it is pickled."""

    def __call__(self, ctx: Context) -> bool:
        """Pass."""
        return ctx.fs.exists("a.txt")

    def __reduce__(self) -> Any:
        """Refuse to travel."""
        raise Unshowable


def answers_by_hand(ctx: Context) -> Outcome:
    """Fail with an outcome whose status is a text."""
    return Outcome("FAIL", "by hand")  # type: ignore[arg-type]


def answers_wrongly_by_hand(ctx: Context) -> Outcome:
    """Give an outcome whose status is none."""
    return Outcome("MAYBE", "by hand")  # type: ignore[arg-type]


def gives_a_huge_number(ctx: Context) -> Outcome:
    """Pass with a number that has no decimal form."""
    return ctx.passed(evidence={"number": 10**6000})


def gives_a_large_set(ctx: Context) -> Outcome:
    """Pass with more than evidence may hold, in an order that differs between processes."""
    return ctx.passed(evidence={f"text {number}" for number in range(12_000)})


class _Holds:
    """An object that shows another one with its address."""

    def __init__(self) -> None:
        self.inner = object()

    def __repr__(self) -> str:
        return f"<holds {self.inner!r}>"


def gives_an_address(ctx: Context) -> Outcome:
    """Pass with the address of an object inside of another."""
    return ctx.passed(evidence=[_Holds()])


def answers_with_an_object(ctx: Context) -> object:
    """Answer with something that is no answer and shows its address."""
    return (one for one in [_Holds()])


def forks_and_goes_on(ctx: Context) -> Outcome:
    """Answer in two processes: PASS here, FAIL in a copy."""
    copy = os.fork()
    if not copy:
        return ctx.failed("from the copy")
    os.waitpid(copy, 0)
    return ctx.passed("from the process itself")


def forks_and_raises(ctx: Context) -> Outcome:
    """Answer here, raise in a copy."""
    copy = os.fork()
    if not copy:
        raise RuntimeError("in the copy")
    os.waitpid(copy, 0)
    return ctx.passed("from the process itself")


class Draws:
    """A rule whose way to end was drawn beforehand."""

    def __init__(self, end: str) -> None:
        self.end = end

    def __call__(self, ctx: Context) -> object:
        """End in that way, having looked at the tree."""
        there = ctx.fs.exists("a.txt")
        ends: dict[str, Any] = {
            "PASS": lambda: ctx.passed("drawn", {"there": there}),
            "FAIL": lambda: ctx.failed("drawn", {"path": "a.txt"}),
            "SKIP": lambda: None,
            "ERROR": lambda: raises_unshowable(ctx),
            "CRASH": lambda: os.kill(os.getpid(), signal.SIGKILL),
            "TIMEOUT": lambda: time.sleep(600),
        }
        return ends[self.end]()


class BuildsOnce:
    """A builder that writes down which process it ran in."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def __call__(self, ctx: Context) -> object:
        """Append this process's number to the log."""
        with self.log.open("a") as file:
            file.write(f"{os.getpid()} ")
        return {"text": ctx.fs.read("a.txt")}


def uses_wide(ctx: Context) -> Outcome:
    """Tell what the run-wide input holds, and which process looked."""
    time.sleep(0.1)
    return ctx.passed(str(os.getpid()), dict(ctx.shared("wide")))


class Asks:
    """A rule or builder that asks for a shared input, at the same time as others when given a barrier."""

    def __init__(self, name: str, meet: threading.Barrier | None = None) -> None:
        self.name = name
        self.meet = meet

    def __call__(self, ctx: Context) -> object:
        """Wait for the others and ask."""
        if self.meet is not None:
            self.meet.wait(120)
        return ctx.shared(self.name)


def breaks_json(ctx: Context) -> bool:
    """Make everything in this process that writes JSON write an empty object."""
    json.dumps = lambda *_, **__: "{}"
    return True


def interrupts_itself(ctx: Context) -> bool:
    """Send the signal of Ctrl-C to this process."""
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.05)
    return True


class Gets:
    """A rule that tells what a shared input holds, and may leave its process then."""

    def __init__(self, name: str, *, leave: bool = False) -> None:
        self.name = name
        self.leave = leave

    def __call__(self, ctx: Context) -> Outcome:
        """Ask, and tell or leave."""
        value = ctx.shared(self.name)
        if self.leave:
            os._exit(0)
        return ctx.passed(evidence=value)


def writes_everywhere(ctx: Context) -> bool:
    """Write to every socket this process holds."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - the number is wanted
        try:
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                os.write(int(name), b"{not json}\n" * 10)
        except OSError:
            continue
    time.sleep(1)
    return True


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
        """Look for it for a minute."""
        wait_for(self.marker.exists)
        return self.marker.exists()


def which_process(ctx: Context) -> Outcome:
    """Tell which process ran it and how often the shared input was built there."""
    return ctx.passed(evidence={"pid": os.getpid(), "built": ctx.shared("counted")})


def build_counted(ctx: Context) -> int:
    """Count builds in this process."""
    global _builds
    _builds += 1
    return _builds


_builds = 0


class Gathers:
    """A rule that tells what the run-wide input holds and which process looked, once two processes do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, ctx: Context) -> object:
        """Wait for company and look."""
        self.meet()
        return ctx.passed(str(os.getpid()), dict(ctx.shared("wide")))

    def meet(self) -> None:
        """Wait until another process came here, too."""
        (self.folder / str(os.getpid())).touch()
        wait_for(lambda: len(list(self.folder.iterdir())) > 1)


class BuildsSlowly(Gathers):
    """A builder that takes a while to find out which process this is: in run 0 until another one builds, too."""

    def __call__(self, ctx: Context) -> int:
        """Take the while."""
        if ctx.config["run"] == 0:
            self.meet()
        time.sleep(0.4)
        return os.getpid()


def never_builds(ctx: Context) -> object:
    """Take longer than anybody waits."""
    time.sleep(120)
    return {}


def uses_slow(ctx: Context) -> Outcome:
    """Tell which process built the slow input."""
    return ctx.passed(evidence=ctx.shared("slow"))


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
