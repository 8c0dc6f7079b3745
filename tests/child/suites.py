"""Suites for children to run, and a driver over them: real processes, few pairs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_optbench.child.command import interpreter
from pytest_optbench.measure.lanes import Lane
from pytest_optbench.measure.process import ProcessPairs

# Plugins of the installation make starting slow; those under test are given by name.
LEAN = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
OWN = ("-p", "pytest_optbench.plugin", "-p", "no:cacheprovider")


def lane(folder: Path, name: str, *arguments: str, environment: dict[str, str] | None = None) -> Lane:
    """Return a lane that runs the tests of ``folder``."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    return Lane(
        name=name,
        arguments=(*OWN, *arguments),
        cwd=folder,
        environment={**inherited, **LEAN, **(environment or {})},
        interpreter=interpreter(("__main__.py",)),
    )


def driver(
    folder: Path, *arguments: str, max_time_s: float = 120.0, looks: Sequence[int] = (4,)
) -> ProcessPairs:
    """Return a driver of two lanes over the tests of ``folder``."""
    lanes = [lane(folder, name, *arguments) for name in ("baseline", "optimized")]
    return ProcessPairs(lanes, looks=looks, seed=11, max_time_s=max_time_s)


def scripted(folder: Path, name: str, script: str) -> Lane:
    """Return a lane whose child is a Python script with ``say`` and ``hear`` instead of pytest."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")}
    return Lane(name, (), folder, environment, (sys.executable, "-c", _SPEAK + script))


_SPEAK = """
import json, os, socket, sys, time
end = socket.socket(fileno=int(os.environ["OPTBENCH_CHILD_FD"]))
lines = end.makefile("r")
def say(**message):
    end.sendall(json.dumps(message).encode() + b"\\n")
def hear():
    return json.loads(lines.readline() or '{"do": "gone"}')
"""
