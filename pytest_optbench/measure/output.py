"""Output of arms: thrown away during timed runs, counted during one untimed call."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from ..core.findings import Finding


@contextmanager
def null_stream() -> Iterator[TextIO]:
    """Yield a text stream that leads nowhere but costs a real write."""
    with open(os.devnull, "w", encoding="utf-8") as stream:  # noqa: PTH123 - os.devnull is not a path
        yield stream


@contextmanager
def diverted_output(stream: Any) -> Iterator[None]:
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


class OutputCount(io.TextIOBase):
    """A text stream that keeps the number of bytes written and nothing else."""

    encoding = "utf-8"

    def __init__(self, arm: str) -> None:
        """Take the name of the arm that writes."""
        self.arm = arm
        self.bytes = 0

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str, /) -> int:
        """Count ``text``."""
        self.bytes += len(text.encode("utf-8", "surrogateescape"))
        return len(text)

    def findings(self) -> tuple[Finding, ...]:
        """Return a finding if anything was written."""
        if not self.bytes:
            return ()
        return (
            Finding(
                "arm-prints",
                "warn",
                f"arm {self.arm!r} writes {self.bytes} bytes to stdout or stderr per call; while timing they "
                "go to the null device, elsewhere they may cost more",
            ),
        )


@contextmanager
def counted_output(arm: str) -> Iterator[OutputCount]:
    """Count what is written to `sys.stdout` and `sys.stderr` in the body instead of writing it."""
    count = OutputCount(arm)
    with diverted_output(count):
        yield count
