"""Copies of this process that a rule made and let go on: they end before they can answer a second time."""

from __future__ import annotations

import os


def end_a_copy(process: int) -> None:
    """End this process unless it is *process*, the one the rule was started in.

    A rule that forks and returns in both processes would otherwise be followed by two of everything: results, files
    written, reports printed.
    """
    if os.getpid() != process:
        os._exit(0)
