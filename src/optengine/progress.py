"""Progress of a batch: done, failed, rate and remaining time, shown by tqdm or given to a callable."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

INTERVAL_S = 0.1


@dataclass(frozen=True)
class ProgressState:
    """How far a batch is. ``rate`` in tasks per second and ``eta_s`` in seconds are ``None`` until known."""

    total: int
    done: int
    failed: int
    elapsed_s: float
    rate: float | None
    eta_s: float | None


ProgressOption = bool | Callable[[ProgressState], Any]


class Estimate:
    """Remaining time from two rates that count half each: the mean since the first results and the recent one.

    The mean is the steadier guess for equal tasks, the recent rate follows a change of pace. Recent means: tasks and
    seconds counted with a weight that fades over a quarter of the time run so far, at least ``recent_s`` seconds.
    What came before the first results, the start of the workers, happens once and is no part of either rate.
    """

    def __init__(self, total: int, now: float, recent_s: float = 5.0) -> None:
        self._total = total
        self._began = now
        self._last_time = now
        self._last_ended = 0
        self._first: tuple[float, int] | None = None
        self._recent_s = recent_s
        self._faded_seconds = 0.0
        self._faded_tasks = 0.0

    def state(self, done: int, failed: int, now: float) -> ProgressState:
        """The progress at time ``now`` (seconds, any monotonic origin)."""
        ended, elapsed = done + failed, now - self._began
        step, arrived = now - self._last_time, ended - self._last_ended
        if step > 0 and arrived > 0:
            if self._first is None:
                self._first = (now, ended)
            else:
                fade = math.exp(-step / max(self._recent_s, elapsed / 4))
                self._faded_seconds = self._faded_seconds * fade + step
                self._faded_tasks = self._faded_tasks * fade + arrived
            self._last_time, self._last_ended = now, ended
        if self._first is None:
            return ProgressState(self._total, done, failed, elapsed, None, None)
        began, before = self._first
        if self._faded_tasks:
            mean = (self._last_ended - before) / (self._last_time - began)
            rate = 0.5 * (mean + self._faded_tasks / self._faded_seconds)
        else:
            rate = before / (began - self._began)
        # Time since the last arrival already belongs to the task under way.
        remaining = (self._total - ended) / rate - (now - self._last_time)
        return ProgressState(self._total, done, failed, elapsed, rate, max(0.0, remaining))


class Progress:
    """Shows the progress of one batch while in its ``with`` block.

    ``option``: ``False`` nothing, ``True`` a tqdm bar if standard error is a terminal, or a callable.
    """

    def __init__(
        self, total: int, option: ProgressOption, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._estimate = Estimate(total, clock())
        self._callback = option if callable(option) else None
        self._bar: Any = _bar(total) if option is True else None
        self._shown = 0

    @property
    def interval_s(self) -> float | None:
        """How often :meth:`update` should be called; ``None``: not at all while waiting."""
        return None if self._bar is None and self._callback is None else INTERVAL_S

    def update(self, done: int, failed: int) -> None:
        """Show that ``done`` tasks succeeded and ``failed`` did not."""
        if self._bar is None and self._callback is None:
            return
        state = self._estimate.state(done, failed, self._clock())
        if self._callback is not None:
            self._callback(state)
        if self._bar is not None:
            ended = done + failed
            eta = "" if state.eta_s is None else f", {state.eta_s:.0f} s left"
            self._bar.set_postfix_str(f"{failed} failed{eta}", refresh=False)
            self._bar.update(ended - self._shown)
            self._shown = ended

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()


def _bar(total: int) -> Any:
    if not sys.stderr.isatty():
        return None
    try:
        bar = bar_class()
    except ImportError:  # a bar is a comfort: without tqdm the work goes on
        return None
    return bar(total=total, unit="task", dynamic_ncols=True)


def bar_class() -> Any:
    """Return tqdm's bar without its monitor thread.

    That thread outlives the bar, and beside a thread no pool may fork its workers. Raises ImportError.
    """
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc,type-arg,unused-ignore]
        monitor_interval = 0

    return Bar
