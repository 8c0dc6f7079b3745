"""pytest hooks, and nothing else: whatever measures, decides or writes is imported when it is needed.

A run without ``--optbench`` loads this module and `options` only; the fixture then runs every arm once.
Children of a measuring run import it before pytest does, hence PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

from . import options

if TYPE_CHECKING:
    from .fixture import Optbench

RUN = pytest.StashKey["tuple[options.Settings, frozenset[str]]"]()
BENCHMARK = pytest.StashKey["Optbench"]()
OPTBENCH = pytest.StashKey["type[Optbench]"]()
"""The class of the fixture where it is another one: set in the children of a measuring run."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options and ini keys."""
    options.add_options(parser)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check the options before anything runs; load the measuring side only under ``--optbench``."""
    config.addinivalue_line(
        "markers",
        "optbench(title, group, rank, expected, notes, risks, min_speedup, ...): "
        "describe a benchmark and choose its settings",
    )
    try:
        run = options.run_settings(config)
    except options.OptionError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[RUN] = run
    if run[0].enabled and OPTBENCH not in config.stash:
        from .suite import Suite, register

        suite = Suite(config, run[0])
        register(config, suite, "optbench-suite")
        if run[0].base is not None:
            from .revisions import hooks

            hooks.configure(config, *run, suite)
    elif config.getoption("optbench_base") and not run[0].enabled:
        raise pytest.UsageError("--optbench-base compares by measuring: add --optbench")
    # Only the option is refused: an ini file may hold the command for runs that have a base.
    if config.getoption("optbench_build") and run[0].base is None:
        raise pytest.UsageError(
            "--optbench-build prepares the trees of two revisions, received no --optbench-base; "
            "add --optbench-base=REV, or leave it out"
        )


@pytest.fixture
def optbench(request: pytest.FixtureRequest) -> Optbench:
    """Compare two callables, or measure one: ``optbench.compare(baseline=..., optimized=...)``."""
    from .fixture import Optbench

    kind = request.config.stash.get(OPTBENCH, Optbench)
    benchmark = kind(request.node, *request.config.stash[RUN])
    request.node.stash[BENCHMARK] = benchmark
    return benchmark


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a test whose benchmark was not measured, or whose verdict the test body swallowed."""
    try:
        yield
    except (pytest.skip.Exception, pytest.xfail.Exception):
        benchmark = item.stash.get(BENCHMARK, None)
        if benchmark is not None:
            benchmark.refuse_swallowed()
        raise
    benchmark = item.stash.get(BENCHMARK, None)
    if benchmark is not None:
        benchmark.conclude()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Send the decision documents with the test's own report, through xdist as well."""
    report = yield
    benchmark = item.stash.get(BENCHMARK, None)
    if benchmark is None:
        return report
    if item.config.stash[RUN][0].enabled and benchmark.failure is not None:
        report.__dict__["optbench_failure"] = benchmark.failure  # whatever becomes of the report
    if call.when == "call":
        report.__dict__["optbench"] = list(benchmark.documents)  # xdist sends every attribute along
        # A TestCase of unittest notes a skip instead of raising it, so it got past the hook above.
        if report.skipped and not hasattr(report, "wasxfail") and benchmark.failure is not None:
            report.outcome, report.longrepr = "failed", benchmark.failure
    return report
