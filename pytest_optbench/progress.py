"""One line on the terminal while a benchmark is measured: pairs done, current estimate, time left.

The line is drawn between trials, never inside a timed region, and only on a terminal. A log gets no more than
a line when measuring has to wait for another session, so that nobody takes the wait for a hang.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol, TextIO

import pytest

_REDRAW_EVERY_S = 0.2


class Progress(Protocol):
    """What the session reports while it works."""

    def phase(self, name: str) -> None:
        """Say what is being done while no pairs are measured."""

    def pairs(self, done: int, planned: int, estimate: str) -> None:
        """Say how many of the planned pairs are measured and what they show so far."""

    def waiting(self, reason: str) -> None:
        """Say what is waited for, from time to time."""


class Silent:
    """Progress without a terminal: only waiting is said, where there is somewhere to say it."""

    def __init__(self, write_line: Callable[[str], None] | None = None) -> None:
        """Write what is waited for as lines of a log."""
        self._write_line = write_line

    def phase(self, name: str) -> None:
        """Do nothing."""

    def pairs(self, done: int, planned: int, estimate: str) -> None:
        """Do nothing."""

    def waiting(self, reason: str) -> None:
        """Write the reason as a line of its own."""
        if self._write_line is not None:
            self._write_line(f"optbench: {reason}")


class TerminalLine:
    """Progress as one rewritten line of a pytest terminal."""

    def __init__(self, reporter: Any, capture: Any, title: str) -> None:
        """Draw through pytest's terminal reporter, with output capture lifted while drawing."""
        self._reporter = reporter
        self._capture = capture
        self._title = title if len(title) <= 40 else title[:39] + "…"
        self._started = time.monotonic()
        self._first_pair: float | None = None
        self._drawn = -_REDRAW_EVERY_S
        self._width = 0

    def phase(self, name: str) -> None:
        """Draw the name of the phase."""
        self._draw(f"{self._title}: {name}", force=True)

    def waiting(self, reason: str) -> None:
        """Draw the reason."""
        self.phase(reason)

    def pairs(self, done: int, planned: int, estimate: str) -> None:
        """Draw the bar; the time left assumes that all planned pairs are needed."""
        now = time.monotonic()
        if done == 0 or self._first_pair is None:
            self._first_pair = now
            left = ""
        else:
            left = f", at most {eta(done, planned, now - self._first_pair)} left"
        self._draw(f"{self._title}: {bar(done, planned)} {done}/{planned} pairs {estimate}{left}")

    def erase(self) -> None:
        """Remove the line."""
        self._draw("", force=True)

    def _draw(self, line: str, force: bool = False) -> None:
        now = time.monotonic()
        if not force and now - self._drawn < _REDRAW_EVERY_S:
            return
        self._drawn = now
        line = line[: max(self._reporter._tw.fullwidth - 1, 10)]
        padding = " " * max(self._width - len(line), 0)
        self._width = len(line)
        lifted = self._capture.global_and_fixture_disabled() if self._capture else nullcontext()
        with lifted:
            self._reporter.write(f"\r{line}{padding}" + ("\r" if not line else ""), flush=True)


def bar(done: int, planned: int, width: int = 20) -> str:
    """Return a bar of ``width`` characters between brackets."""
    filled = width * done // planned if planned else 0
    return f"[{'#' * filled}{'.' * (width - filled)}]"


def eta(done: int, planned: int, elapsed_s: float) -> str:
    """Return the time left as text when ``done`` of ``planned`` equal steps took ``elapsed_s`` seconds."""
    left = elapsed_s / done * (planned - done) if done else 0.0
    return f"{left:.0f} s" if left < 100 else f"{left / 60:.0f} min"


@contextmanager
def progress_bar(config: pytest.Config, title: str, *, enabled: bool) -> Iterator[Progress]:
    """Yield a bar when pytest writes to a terminal, else progress that only says what it waits for."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):
        yield Silent()
        return
    capture = config.pluginmanager.get_plugin("capturemanager")
    if not enabled or not reporter.isatty:

        def write_line(text: str) -> None:
            with capture.global_and_fixture_disabled() if capture else nullcontext():
                reporter.ensure_newline()
                reporter.write_line(text)
                reporter.flush()

        yield Silent(write_line)
        return
    line = TerminalLine(reporter, capture, title)
    try:
        yield line
    finally:
        line.erase()


class _Stream:
    """A text stream, offering what `TerminalLine` asks of pytest's reporter."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def _tw(self) -> _Stream:
        return self

    @property
    def fullwidth(self) -> int:
        return shutil.get_terminal_size().columns

    def write(self, text: str, *, flush: bool = False) -> None:
        self._stream.write(text)
        if flush:
            self._stream.flush()


def _write_line(stream: TextIO, text: str) -> None:
    stream.write(f"{text}\n")
    stream.flush()


@contextmanager
def stream_progress(stream: TextIO, title: str, *, enabled: bool) -> Iterator[Progress]:
    """Yield a bar on ``stream`` when it is a terminal, else progress that only says what it waits for."""
    if not enabled or not stream.isatty():
        yield Silent(lambda text: _write_line(stream, text))
        return
    line = TerminalLine(_Stream(stream), None, title)
    try:
        yield line
    finally:
        line.erase()
