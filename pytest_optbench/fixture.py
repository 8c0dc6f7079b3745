"""The `optbench` fixture: what a test calls, in a measuring run and in a plain one.

A plain run calls every arm once and checks that the results agree; nothing heavy is imported for that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import pytest

from .marker import description, marker_keys, with_case
from .measure.record import record
from .options import OptionError, Settings, benchmark_settings
from .private import clean

ArmLike = Callable[..., Any]

_CUT_SHORT: Final = (
    "optbench: optbench.compare() must reach a decision, but the test caught what ended it before; "
    "let that through"
)


@dataclass(frozen=True)
class Asked:
    """What a test's call asks for; ``measure`` has a baseline and no candidates."""

    baseline: ArmLike
    candidates: Mapping[str, ArmLike]
    single: bool
    setup: ArmLike | None
    equal: Callable[[Any, Any], Any] | None
    config: Mapping[str, Any]
    keys: Mapping[str, Any]


class Optbench:
    """One benchmark of one test.

    ``documents`` are the decision documents as JSON text, in the order of the candidates; ``failure`` is why the test
    must fail, whatever its body does then.
    """

    def __init__(self, item: pytest.Item, run: Settings, fixed: frozenset[str]) -> None:
        """Read the test's marker; a marker key that is not known fails the test's set-up."""
        self.documents: list[str] = []
        self._item = item
        self._run = run
        self._fixed = fixed
        self._called = False
        self.failure: str | None = None
        self._marker = marker_keys(item)
        self._settings({})  # a wrong key should fail the test before its set-up costs anything

    def compare(
        self,
        baseline: ArmLike,
        optimized: ArmLike | Mapping[str, ArmLike],
        *,
        setup: ArmLike | None = None,
        equal: Callable[[Any, Any], Any] | None = None,
        config: Mapping[str, Any] | None = None,
        **keys: Any,
    ) -> Any:
        """Return the `Decision` on ``optimized`` against ``baseline``, or a mapping of them by name.

        Arms are callables without arguments, sync or async; several candidates are given as a mapping from
        name to callable. ``setup`` runs untimed before every call; its result is passed to an arm that takes
        an argument. ``equal(expected, actual)`` replaces the default comparison of results. ``config`` is
        printed in the report. ``keys`` are the keys the marker knows.

        Without ``--optbench`` every arm runs once and the results are compared; what is returned then has only
        ``accepted`` (True) and ``verdict`` (None). Raises the test's failure when the gate does not pass.
        """
        self._once("compare")
        candidates = _candidates(optimized)
        _callable(baseline, "baseline")
        _optional(setup=setup, equal=equal)
        single = not isinstance(optimized, Mapping)
        asked = Asked(baseline, candidates, single, setup, equal, _named(config), keys)
        self._called = True
        found = self._compare(asked)
        return found["optimized"] if single else found

    def measure(
        self,
        work: ArmLike,
        *,
        setup: ArmLike | None = None,
        equal: Callable[[Any, Any], Any] | None = None,
        config: Mapping[str, Any] | None = None,
        **keys: Any,
    ) -> None:
        """Measure ``work``, which ``--optbench-base=REV`` compares with the same test at another revision.

        ``setup``, ``equal``, ``config`` and ``keys`` are those of ``compare``; results are those of both revisions.

        Under ``--optbench`` without a base it fails, since there is nothing to compare with; without
        ``--optbench`` it runs ``work`` once.
        """
        self._once("measure")
        _callable(work, "work")
        _optional(setup=setup, equal=equal)
        asked = Asked(work, {}, True, setup, equal, _named(config), keys)
        self._called = True
        self._measure(asked)

    record = staticmethod(record)

    def conclude(self) -> None:
        """Fail the test when its verdict was swallowed or nothing was compared; for the plugin's hook."""
        self.refuse_swallowed()
        if not self._called:
            pytest.fail(
                "optbench: the test uses the optbench fixture but never called optbench.compare() or "
                "optbench.measure(), so nothing was checked; call one of them once",
                pytrace=False,
            )

    def refuse_swallowed(self) -> None:
        """Fail the test when its body caught the failure of the gate; for the plugin's hook."""
        if self.failure is not None:
            pytest.fail(self.failure, pytrace=False)

    def _compare(self, asked: Asked) -> Mapping[str, Any]:
        """Return what was found, by candidate; raises the test's failure when the gate does not pass."""
        settings = self._settings(asked.keys)
        described = self._description(asked.keys)
        if not settings.enabled:
            from .smoke import smoke

            return smoke(asked.baseline, asked.candidates, asked.setup, asked.equal)
        from .isolation import Invocation
        from .measure.errors import MeasureError
        from .session import Benchmark, run_benchmark
        from .store.errors import StoreError
        from .suite import HELD

        benchmark = Benchmark(
            node_id=self._item.nodeid,
            root=self._item.config.rootpath,
            command=self._item.config.invocation_params.args,
            baseline=asked.baseline,
            candidates=asked.candidates,
            single=asked.single,
            setup=asked.setup,
            equal=asked.equal,
            config=asked.config,
            description=described,
            settings=settings,
            invocation=Invocation.of(self._item.config),
            held=self._item.config.stash.get(HELD, None),
        )
        self.failure = _CUT_SHORT
        try:
            with _progress(self._item.config, settings, benchmark.title) as progress:
                outcome = run_benchmark(benchmark, progress)
        except (StoreError, MeasureError) as error:
            self._fail(f"optbench: {error}")
        self.documents = [result.document for result in outcome.results]
        for result in outcome.results:
            self._item.user_properties.extend(result.properties)
            if result.traceback:
                self._item.add_report_section("call", "optbench", result.traceback)
        self.failure = None
        self._gate(outcome.lines, settings)
        return {result.candidate: result.decision for result in outcome.results}

    def _measure(self, asked: Asked) -> None:
        settings = self._settings(asked.keys)
        if not settings.enabled:
            from .smoke import call_once

            call_once(asked.baseline, asked.setup)
            return
        self._fail(
            "optbench: measure() has nothing to compare with: it judges one callable across git revisions; add "
            "--optbench-base=REV, or compare within one run: optbench.compare(baseline=..., optimized=...)"
        )

    def _once(self, name: str) -> None:
        if self._called:
            self._fail(
                f"optbench: a test makes one comparison, received a second call (optbench.{name}); "
                "pass several candidates as a mapping, or write one test per comparison"
            )

    def _settings(self, call: Mapping[str, Any]) -> Settings:
        try:
            return benchmark_settings(self._run, self._fixed, self._marker, call)
        except OptionError as error:
            self._fail(f"optbench: {error}")

    def _description(self, call: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return with_case(self._item, description({**call, **self._marker}))
        except OptionError as error:
            self._fail(f"optbench: {error}")

    def _gate(self, lines: Mapping[str, str], settings: Settings) -> None:
        """Fail or warn as the gate says; ``lines`` holds the line of each verdict that is not ACCEPT."""
        if settings.gate == "off" or not lines:
            return
        failing = [
            line
            for line in lines.values()
            if settings.gate == "strict" or not line.startswith("INCONCLUSIVE")
        ]
        if failing:
            self._fail("\n".join(failing))
        for line in lines.values():
            self._item.warn(pytest.PytestWarning(f"optbench: {line}"))

    def _fail(self, message: str) -> NoReturn:
        message = clean(message, self._item.config.rootpath)  # JUnit files are published
        self.failure = message
        raise pytest.fail.Exception(message, pytrace=False) from None  # what led here is in the message


def _callable(value: object, name: str) -> None:
    if not callable(value):
        pytest.fail(
            f"optbench: {name} must be a callable, received {value!r}; wrap the work in a function or lambda",
            pytrace=False,
        )


def _optional(**given: object) -> None:
    for name, value in given.items():
        if value is not None:
            _callable(value, name)


def _named(config: Mapping[str, Any] | None) -> dict[str, Any]:
    if config is not None and not isinstance(config, Mapping):
        pytest.fail(
            f"optbench: config must be a mapping of names to values, received {config!r}; "
            "write config={'workers': 8}",
            pytrace=False,
        )
    return dict(config or {})


def _candidates(optimized: ArmLike | Mapping[str, ArmLike]) -> dict[str, ArmLike]:
    if not isinstance(optimized, Mapping):
        _callable(optimized, "optimized")
        return {"optimized": optimized}
    if not optimized:
        pytest.fail("optbench: optimized must name at least one candidate, received {}", pytrace=False)
    for name, arm in optimized.items():
        if not str(name) or name == "baseline":
            pytest.fail(
                f"optbench: a candidate's name must be non-empty and other than 'baseline', "
                f"received {name!r}",
                pytrace=False,
            )
        _callable(arm, f"optimized[{name!r}]")
    return {str(name): arm for name, arm in optimized.items()}


def _progress(config: pytest.Config, settings: Settings, title: str) -> Any:
    from .progress import progress_bar

    return progress_bar(config, title, enabled=not settings.no_progress)
