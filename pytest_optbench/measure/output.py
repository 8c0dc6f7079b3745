"""Output of arms: thrown away during timed runs, counted during one untimed call."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO

from .arm import Arm
from .findings import Finding


@contextmanager
def null_stream() -> Iterator[TextIO]:
    """Yield a text stream that leads nowhere but costs a real write."""
    with open(os.devnull, "w", encoding="utf-8") as stream:  # noqa: PTH123 - os.devnull is not a path
        yield stream


@contextmanager
def diverted_output(stream: TextIO) -> Iterator[None]:
    """Send `sys.stdout` and `sys.stderr` to ``stream`` during the body.

    What arms print thousands of times would otherwise fill the report of the test, and its price would depend
    on the terminal. Output of child processes and of C code is not diverted.
    """
    stdout, stderr = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = stream
    try:
        yield
    finally:
        sys.stdout, sys.stderr = stdout, stderr


def printing(arm: Arm) -> Finding | None:
    """Return a finding when one untimed call of ``arm`` writes to `sys.stdout` or `sys.stderr`.

    Raises `ArmRaised`.
    """
    stream = _ByteCounter()
    with redirect_stdout(stream), redirect_stderr(stream):
        arm.once()
    return stream.finding(arm.name)


class _ByteCounter(io.TextIOBase):
    """A text stream that keeps the number of bytes written and nothing else."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        self.bytes += len(text.encode("utf-8", "surrogateescape"))
        return len(text)

    def finding(self, arm: str) -> Finding | None:
        if not self.bytes:
            return None
        return Finding(
            "arm-prints",
            "warn",
            f"arm {arm!r} writes {self.bytes} bytes to stdout or stderr per call; during timing they go to "
            "the null device, elsewhere they may cost more",
        )
