"""Tracers: debuggers, profilers and coverage see every line or call an arm runs, and slow some arms more.

They are taken off once around measuring, not around every run (switching them is itself costly), and put back
afterwards. Tools of `sys.monitoring` (Python 3.12 and later) belong to whoever registered them and cannot be
switched off from outside, so they are only reported.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..core.findings import Finding


@contextmanager
def suspended_tracers() -> Iterator[tuple[Finding, ...]]:
    """Take off the trace and profile functions of this thread and of threads started in the body.

    Yields findings that name what was taken off and what could not be.
    """
    trace, profile = sys.gettrace(), sys.getprofile()
    thread_trace, thread_profile = threading.gettrace(), threading.getprofile()
    found = [
        Finding(
            "tracer-suspended", "info", f"the {kind} function {_name(hook)} was suspended while measuring"
        )
        for kind, hook in (("trace", trace or thread_trace), ("profile", profile or thread_profile))
        if hook is not None
    ]
    found += [
        Finding(
            "tracer-active",
            "warn",
            f"the sys.monitoring tool {tool!r} was active while measuring and cannot be suspended; "
            "run without it",
        )
        for tool in monitoring_tools()
    ]
    sys.settrace(None)
    sys.setprofile(None)
    _set_thread_hooks(None, None)
    try:
        yield tuple(found)
    finally:
        _set_thread_hooks(thread_trace, thread_profile)
        sys.settrace(trace)
        _put_back_profile(profile)


def _put_back_profile(profile: Any) -> None:
    # A profiler written in C (cProfile) shows itself as an object nobody can call; it switches itself on.
    if profile is None or callable(profile):
        sys.setprofile(profile)
    else:
        profile.enable()


def monitoring_tools() -> tuple[str, ...]:
    """Return the names of the registered `sys.monitoring` tools; none before Python 3.12."""
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is None:
        return ()
    tools = (monitoring.get_tool(number) for number in range(6))
    return tuple(str(tool) for tool in tools if tool is not None)


def _set_thread_hooks(trace: object, profile: object) -> None:
    # None switches the hook for new threads off; the stubs only know functions.
    threading.settrace(trace)  # type: ignore[arg-type]
    threading.setprofile(profile)  # type: ignore[arg-type]


def _name(hook: object) -> str:
    kind = hook if hasattr(hook, "__qualname__") else type(hook)
    return f"{getattr(kind, '__module__', '?')}.{getattr(kind, '__qualname__', '?')}"
