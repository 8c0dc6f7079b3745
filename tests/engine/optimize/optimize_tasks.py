"""Objectives for the tests of the optimizer, importable in any worker."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

SPACE = {
    "x": {"type": "uniform", "low": -5, "high": 5},
    "n": {"type": "integer", "low": 1, "high": 9},
    "k": {"type": "categorical", "choices": ["a", "b"]},
    "z": {"type": "conditional", "when": {"k": "b"}, "parameter": {"type": "uniform", "low": 0, "high": 1}},
}


def smooth(params: dict[str, Any]) -> float:
    return -((params["x"] - 1) ** 2) - 0.1 * (params["n"] - 4) ** 2 - params.get("z", 0.3)


def noisy(params: dict[str, Any], context: Any) -> float:
    """Fails for n = 7, reports, and uses the trial's generator."""
    if params["n"] == 7:
        raise ValueError("seven")
    context.report(params["x"], 1)
    return smooth(params) + 0.1 * float(context.rng.normal()) + 0.01 * (context.budget or 0.0)


def jittery(params: dict[str, Any], context: Any) -> float:
    """``noisy`` after a random pause; some trials kill their worker once (marks tell that they did)."""
    time.sleep(os.urandom(1)[0] / 255 * 0.006)
    mark = Path(context.shared("marks")) / str(context.trial_id)
    if int.from_bytes(os.urandom(1)) < 12 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return noisy(params, context)


def slow(params: dict[str, Any]) -> float:
    time.sleep(0.005)
    return smooth(params)


def mean_close(params: dict[str, Any], context: Any) -> float:
    bars = context.shared("bundle").frame("bars")
    return float(bars.loc[bars["symbol"] == params["symbol"], "close"].mean())
