"""What pytest sees of a run that compares revisions: ordinary tests run, benchmarks get reports of their own."""

from __future__ import annotations

import secrets
from collections.abc import Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..child.items import is_benchmark
from ..marker import description, marker_keys, with_case
from ..options import OptionError, Settings, benchmark_settings
from ..private import clean
from ..store.errors import StoreError
from ..suite import HELD, register
from .benchmark import Question, Wanted
from .errors import RevisionError
from .git import Commit, Repository
from .sides import Invocation

if TYPE_CHECKING:
    from ..suite import Suite
    from .outcome import Ended
    from .suite_run import SuiteRun


def configure(config: pytest.Config, settings: Settings, fixed: frozenset[str], suite: Suite) -> None:
    """Register the plugin of a run with a base; raises `pytest.UsageError` for what can be known already."""
    if getattr(config.option, "numprocesses", None) or getattr(config.option, "dist", "no") != "no":
        raise pytest.UsageError(
            "--optbench-base takes turns on this machine by itself and cannot be distributed, received -n/--dist of "
            "pytest-xdist; run it without (-n0)"
        )
    assert settings.base is not None
    try:
        repository = Repository.of(config.rootpath)
        base = repository.resolve(settings.base)
        repository.head()
    except RevisionError as error:
        raise pytest.UsageError(str(error)) from None
    for name in ("benchmark", "codspeed_benchmark"):  # no plugin may be there to declare them
        config.addinivalue_line("markers", f"{name}: benchmark of pytest-benchmark or pytest-codspeed")
    plugin = Revisions(config, settings, fixed, repository, base, suite)
    register(config, plugin, "optbench-revisions")


class Revisions:
    """A plugin object that lives for one run with ``--optbench-base``."""

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        fixed: frozenset[str],
        repository: Repository,
        base: Commit,
        suite: Suite,
    ) -> None:
        """Take what was asked for."""
        seed = settings.seed if settings.seed is not None else secrets.randbelow(2**31)
        self._config = config
        self._settings = replace(_across(settings), seed=seed)
        self._fixed = fixed | {"seed"}
        self._repository = repository
        self._base = base
        self._suite = suite
        self._items: dict[str, pytest.Item] = {}
        self._run: SuiteRun | None = None
        self._error: str | None = None
        self._lines: list[str] = []

    def pytest_report_header(self) -> str:
        """Return one line that names the base."""
        return f"optbench: working tree against {self._base.revision} ({self._base.commit[:12]})"

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Run what is no benchmark as usual, then measure the benchmarks."""
        if session.config.option.collectonly:
            return (yield)
        items = list(session.items)
        self._items = {item.nodeid: item for item in items if is_benchmark(item)}
        session.items[:] = [item for item in items if item.nodeid not in self._items]
        self._forget()
        try:
            result = yield
        finally:
            session.items[:] = items
        if self._items:
            self._measure(session)
        return result

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the summary of the comparison, once the decisions of the run are final."""
        if self._run is None:
            return
        from ..report import github
        from . import summary

        found = summary.summary(
            self._base,
            self._run.working_tree,
            self._run.lists,
            self._suite.documents,
            self._settings,
            self._error,
            self._config.rootpath,
        )
        folder = Path(self._config.rootpath, self._settings.report_dir)
        try:
            summary.write(folder, found)
        except StoreError as error:
            self._lines.append(str(error))
            if session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
        self._lines += summary.lines(found)
        if problem := github.add_to_step_summary(summary.lists_markdown(found)):
            self._lines.append(problem)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print what was not compared, and the verdict over all benchmarks."""
        from ..report.escape import console_lines

        for line in self._lines:
            terminalreporter.write_line(f"optbench: {console_lines(line)}")

    def _forget(self) -> None:
        """Remove the summary of an earlier run before anything can end this one."""
        from . import summary

        try:
            summary.forget(Path(self._config.rootpath, self._settings.report_dir))
        except OSError as error:
            raise pytest.UsageError(
                f"optbench: the summary of an earlier run must go, and stays: {error}"
            ) from None

    def _measure(self, session: pytest.Session) -> None:
        from ..progress import progress_bar
        from ..report.templating import check_templates
        from ..store.files import check_writable
        from .outcome import Task
        from .suite_run import SuiteRun

        settings, root = self._settings, self._config.rootpath
        try:
            check_writable(Path(root, settings.report_dir))
            check_templates(Path(root, settings.templates) if settings.templates else None)
            wanted = [each for item in self._items.values() if (each := self._wanted(item)) is not None]
            task = Task(
                repository=self._repository,
                base=self._base,
                invocation=_invocation(self._config, self._repository.root),
                wanted=wanted,
                settings=settings,
                seed=settings.seed or 0,
                ask=self._ask,
                held=self._config.stash.get(HELD, None),
            )
            with progress_bar(self._config, "revisions", enabled=not settings.no_progress) as progress:
                self._run = SuiteRun(task, progress, self._say, lambda ended: self._report(session, ended))
                self._run.run()
        except (RevisionError, StoreError) as error:
            self._error = str(error)
            raise pytest.UsageError(f"optbench: {error}") from None
        except BaseException as error:  # what was decided so far must not pass for the whole
            self._error = f"the run was cut short: {type(error).__name__} {error}".rstrip()
            raise

    def _wanted(self, item: pytest.Item) -> Wanted | None:
        """Return what the run must know of a benchmark; one whose marker is wrong fails at once."""
        file, line, _ = item.location
        try:
            marker = marker_keys(item)
            benchmark_settings(self._settings, self._fixed, marker, {})
        except (OptionError, pytest.fail.Exception) as error:
            _send(item, "failed", f"optbench: {error}".replace("optbench: optbench:", "optbench:"))
            return None
        return Wanted(
            node_id=item.nodeid,
            name=item.name,
            file=file,
            line=None if line is None else line + 1,
            declared="optbench" in getattr(item, "fixturenames", ()),
            marker=with_case(item, marker),
        )

    def _ask(self, wanted: Wanted, info: Mapping[str, Any]) -> Question:
        """Return the question a test asks, from its marker and from what its call said; raises `OptionError`."""
        keys = {k: v for k, v in (info.get("keys") or {}).items() if k not in wanted.marker}
        settings = benchmark_settings(self._settings, self._fixed, wanted.marker, keys)
        chosen = {"group": info.get("group"), **keys, **wanted.marker}
        config = {**(info.get("config") or {}), **(info.get("extra_info") or {})}
        return Question(replace(_across(settings), seed=self._settings.seed), description(chosen), config)

    def _report(self, session: pytest.Session, ended: Ended) -> None:
        item = self._items[ended.wanted.node_id]
        for warning in ended.warnings:
            item.warn(pytest.PytestWarning(f"optbench: {warning}"))
        _send(item, ended.outcome, ended.message, ended)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)

    def _say(self, line: str) -> None:
        from ..report.escape import console_lines

        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(f"optbench: {console_lines(line)}")
            reporter.flush()  # minutes of measuring may follow, and a CI log is no terminal


def _across(settings: Settings) -> Settings:
    """Return settings for two revisions: not slower unless a speedup is asked for, in pairs of processes."""
    return replace(settings, goal=settings.goal or "no-regression", isolation="process")


def _invocation(config: pytest.Config, top: Path) -> Invocation:
    given = tuple(str(word) for word in config.invocation_params.args)
    return Invocation(
        top=top,
        rootdir=config.rootpath.resolve(),
        folder=config.invocation_params.dir.resolve(),
        configuration=None if config.inipath is None else config.inipath.resolve(),
        arguments=given,
        paths=tuple(str(word) for word in config.args if str(word) in given),
        testpaths=tuple(str(each) for each in config.getini("testpaths")),
    )


def _send(item: pytest.Item, outcome: str, message: str, ended: Ended | None = None) -> None:
    """Send the reports of a test that was not run in this process: set-up, call and teardown."""
    hook = item.ihook
    message = clean(message, item.config.rootpath)  # JUnit files are published
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    place = (str(item.path), (item.location[1] or 0) + 1, f"Skipped: {message}")
    for when in ("setup", "call", "teardown"):
        called = when == "call"
        result: Any = outcome if called else "passed"
        longrepr: Any = None
        if called and outcome != "passed":
            longrepr = place if outcome == "skipped" else message
        report = pytest.TestReport(
            nodeid=item.nodeid,
            location=item.location,
            keywords=dict.fromkeys(item.keywords, 1),
            outcome=result,
            longrepr=longrepr,
            when=when,
            duration=ended.seconds if called and ended is not None else 0.0,
            user_properties=list(ended.properties) if ended is not None else [],
        )
        if called and ended is not None:
            report.__dict__["optbench"] = list(ended.documents)
        if called and outcome == "failed":
            report.__dict__["optbench_failure"] = message
        hook.pytest_runtest_logreport(report=report)
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
