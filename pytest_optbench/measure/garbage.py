"""Garbage collection: the same state before every run of every arm.

The heap that existed before measuring is frozen, so that a full collection before each run looks only at what
arms left behind and stays cheap. Whether the collector runs *during* the arms is left as the program had it,
because it is part of how the code performs, and is put back should an arm change it.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Collector:
    """Brings the collector into the same state before each run; made by `equal_collector_state`."""

    def __init__(self) -> None:
        """Remember whether the collector is enabled."""
        self.enabled = gc.isenabled()
        self.frozen = 0

    def freeze(self) -> None:
        """Collect, then take every living object out of later collections (until the context ends)."""
        gc.collect()
        gc.freeze()
        self.frozen = gc.get_freeze_count()

    def before_run(self) -> None:
        """Put back whether the collector is enabled and collect what earlier runs left."""
        if gc.isenabled() != self.enabled:
            _switch(self.enabled)
        gc.collect()

    def record(self) -> dict[str, Any]:
        """Return the state all runs had, as plain JSON values."""
        return {
            "enabled": self.enabled,
            "thresholds": list(gc.get_threshold()),
            "frozen_objects": self.frozen,
            "collected": "before every run",
        }


@contextmanager
def equal_collector_state() -> Iterator[Collector]:
    """Freeze the heap for the body; afterwards thaw it and restore whether the collector is enabled.

    Objects that the program itself had frozen are thawed with the rest: Python keeps one frozen set only.
    """
    collector = Collector()
    collector.freeze()
    try:
        yield collector
    finally:
        gc.unfreeze()
        _switch(collector.enabled)


@contextmanager
def equal_collector_state_kept() -> Iterator[Collector]:
    """Do what `equal_collector_state` does, but leave the heap frozen: the next one then need not go through it.

    For a process that measures one thing after the other; `gc.unfreeze` thaws everything.
    """
    collector = Collector()
    collector.freeze()
    try:
        yield collector
    finally:
        _switch(collector.enabled)


@contextmanager
def heap_set_aside() -> Iterator[None]:
    """Keep every object that lives now out of collections in the body, garbage among them included.

    Collecting it first would take longer than most of what is looked at; what does not change during a call does
    not change how much more memory the call needs.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _switch(enabled: bool) -> None:
    if enabled:
        gc.enable()
    else:
        gc.disable()
