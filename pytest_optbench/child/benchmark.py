"""The ``benchmark`` fixture in a child: what suites written for pytest-benchmark and pytest-codspeed call.

How often and in which rounds to run is the driver's business, so counts the suite gives are read for their
meaning only: ``iterations`` calls make a round, and ``rounds=1, iterations=1`` without setup (what ``pedantic``
defaults to) means that the work may run once only.
"""

from __future__ import annotations

import importlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from .fixture import CHILD, plain
from .region import Work
from .work import Call, Rounds


class BenchmarkFixture:
    """One benchmark of one test: called, or used through `pedantic`, once."""

    def __init__(self, item: pytest.Function) -> None:
        """Read name, parameters and group of the test."""
        case = getattr(item, "callspec", None)
        marker = item.get_closest_marker("benchmark")
        self.name: str = item.name
        self.fullname: str = item.nodeid
        self.group: str | None = marker.kwargs.get("group") if marker else None
        self.param: str | None = case.id if case else None
        self.params: Mapping[str, Any] | None = case.params if case else None
        self.extra_info: dict[str, Any] = {}
        self.enabled = True
        self.disabled = False
        self.has_error = False
        self.skipped = False
        self.stats: Statistics | None = None
        self._item = item
        self._undo: list[Callable[[], Any]] = []
        self._used = ""

    def __call__(self, function_to_benchmark: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Have the call timed and return the result of one."""
        self._once("benchmark(...)")
        return self._serve(Call(function_to_benchmark, args, kwargs))

    def pedantic(
        self,
        target: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        setup: Callable[[], Any] | None = None,
        teardown: Callable[..., Any] | None = None,
        rounds: int = 1,
        warmup_rounds: int = 0,
        iterations: int = 1,
    ) -> Any:
        """Have rounds of calls timed and return the result of one call."""
        self._once("benchmark.pedantic(...)")
        counts: tuple[tuple[str, Any, int], ...] = (
            ("iterations", iterations, 1),
            ("rounds", rounds, 1),
            ("warmup_rounds", warmup_rounds, 0),
        )
        for what, value, least in counts:
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{what} must be a whole number of at least {least}, received {value!r}")
        if iterations > 1 and setup:
            raise ValueError(
                f"iterations must be 1 with a setup, received {iterations}; leave one of them out"
            )
        single = rounds * iterations == 1 and setup is None and not warmup_rounds
        work = Rounds(target, args, kwargs if kwargs is not None else {}, setup, teardown, iterations, single)
        return self._serve(work)

    def weave(self, target: Any, **kwargs: Any) -> None:
        """Have the function that ``target`` names timed when something calls it; needs aspectlib."""
        try:
            aspectlib = importlib.import_module("aspectlib")
        except ImportError as error:
            raise ImportError(
                "benchmark.weave needs the package aspectlib, which is not installed; "
                "install it, or pass the function to benchmark()"
            ) from error

        def aspect(function: Callable[..., Any]) -> Callable[..., Any]:
            def timed(*args: Any, **kwargs: Any) -> Any:
                return self(function, *args, **kwargs)

            return timed

        self._undo.append(aspectlib.weave(target, aspect, **kwargs).rollback)

    patch = weave

    def cleanup(self) -> None:
        """Put back what was woven."""
        while self._undo:
            self._undo.pop()()

    def __getattr__(self, name: str) -> Any:
        """Say which attribute a measuring run does not offer."""
        raise AttributeError(
            f"the benchmark fixture of a run that compares processes has no attribute {name!r}; it offers "
            "calling it, pedantic, weave, name, fullname, group, param, params, extra_info and stats"
        )

    def _once(self, how: str) -> None:
        if self._used:
            self.has_error = True
            raise RuntimeError(
                f"the benchmark fixture can be used once per test, received {how} after {self._used}; "
                "write one test per benchmark"
            )
        self._used = how

    def _serve(self, work: Work) -> Any:
        child = self._item.config.stash[CHILD]
        try:
            result = child.serve(self._item, work, info=self._info)
        except (pytest.skip.Exception, pytest.xfail.Exception) as error:
            self.has_error = True
            pytest.fail(  # or the test would pass for one that skips itself
                f"optbench: what benchmark() was given raised {type(error).__name__}: {error}; "
                "skip in the test's own body instead",
                pytrace=False,
            )
        except Exception:
            self.has_error = True
            raise
        self.stats = Statistics(child.seconds)
        return result

    def _info(self) -> dict[str, Any]:
        return {"name": self.name, "group": self.group, "extra_info": plain(self.extra_info)}


class Statistics:
    """Seconds per call of the samples taken so far in this process, under the names pytest-benchmark uses."""

    def __init__(self, seconds: Sequence[float]) -> None:
        """Take the samples, at least one."""
        self.data = sorted(seconds)
        self.rounds = len(self.data)
        self.min, self.max = self.data[0], self.data[-1]
        self.total = sum(self.data)
        self.mean = statistics.fmean(self.data)
        self.median = statistics.median(self.data)
        self.stddev = statistics.stdev(self.data) if self.rounds > 1 else 0.0
        self.ops = 1 / self.mean if self.mean else 0.0
        data = self.data * 2 if self.rounds == 1 else self.data
        self.q1, _, self.q3 = statistics.quantiles(data, method="inclusive")
        self.iqr = self.q3 - self.q1
        low, high = self.q1 - 1.5 * self.iqr, self.q3 + 1.5 * self.iqr
        within = [seconds for seconds in self.data if low <= seconds <= high]
        self.ld15iqr, self.hd15iqr = within[0], within[-1]
        self.iqr_outliers = self.rounds - len(within)
        self.stddev_outliers = sum(abs(seconds - self.mean) > self.stddev for seconds in self.data)
        self.outliers = f"{self.stddev_outliers};{self.iqr_outliers}"

    @property
    def stats(self) -> Statistics:
        """The same numbers: pytest-benchmark keeps them one level further down."""
        return self

    def __getitem__(self, name: str) -> Any:
        """Return the statistic of that name."""
        return getattr(self, name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the statistic of that name, or ``default``."""
        return getattr(self, name, default)
