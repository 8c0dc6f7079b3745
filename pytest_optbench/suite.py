"""The decisions of one pytest run taken together: family-wise error rate, index, exit status, summary.

Documents arrive with the tests' own reports, so nothing changes under xdist. What gates is done in
``pytest_sessionfinish``; the terminal summary only prints. Whatever markers, conftest files and other plugins make of
the reports and of the exit status: a run ends well only when the gate passes for every benchmark that was chosen.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from .child.items import is_benchmark, uses_benchmark_fixture
from .history.apart import Prepared, add, prepare
from .history.location import without_secrets
from .idle_markers import idle_markers
from .options import Settings
from .private import clean
from .report import github, junit, terminal, write_decision, write_index
from .report.escape import console, console_lines
from .store.errors import StoreError
from .store.ledger import Entry

Document = dict[str, Any]

HELD = pytest.StashKey[Mapping[str, list[Entry]]]()
"""Earlier decisions by id, of the history; only there when the run has one."""

WORKER_KEY = "optbench_history"
ACROSS_KEY = "optbench_across_revisions"

_NEEDS_A_BASE = (
    "; those with a benchmark fixture are compared with another git revision: add --optbench-base=REV"
)


def register(config: pytest.Config, plugin: object, name: str) -> None:
    """Register ``plugin``, without which the gate would be open; raises `pytest.UsageError` where it is blocked."""
    if config.pluginmanager.register(plugin, name) is None:
        raise pytest.UsageError(
            f"--optbench must not lose the plugin that gates, received -p no:{name}; leave out --optbench instead"
        )


class Suite:
    """A plugin object that lives for one run under ``--optbench``."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        """Start with no decisions, and with a history that can be written and was read."""
        self._config = config
        self._settings = settings
        self._documents: dict[str, Document] = {}
        self._demoted: list[Document] = []
        self._failures: list[str] = []
        self._errors: list[str] = []
        self._page: Path | None = None
        self._across = False
        self._collected: list[pytest.Item] = []
        self._idle_markers: dict[str, list[str]] = {}
        self._chosen: set[str] = set()
        self._refused: dict[str, str] = {}
        self._status = pytest.ExitCode.OK
        xml = config.getoption("xmlpath", None)  # pytest takes it from the folder it starts in
        self._junit = None if xml is None else Path(os.path.expandvars(xml)).expanduser().absolute()
        if settings.history is not None and not config.option.collectonly:
            prepared = _history(config, settings.history)
            config.stash[HELD] = prepared.trail
            for problem in prepared.problems:
                self._warn(f"history: {problem}")

    @property
    def documents(self) -> list[Document]:
        """The decisions of the run so far; final once the session is finished."""
        return list(self._documents.values())

    def pytest_report_header(self) -> str:
        """Return one line that says what is asked."""
        s = self._settings
        across = s.base is not None and s.goal != "speedup"
        asked = (
            f"maximum slowdown {100 * s.max_slowdown:.3g} %"
            if across or s.goal == "no-regression"
            else f"minimum speedup {100 * s.min_speedup:.3g} %"
        )
        return (
            f"optbench: {s.trials} to {s.max_trials} pairs, {asked}, gate {s.gate}, reports in {s.report_dir}"
            + ("" if s.history is None else f", history in {without_secrets(s.history)}")
        )

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give a worker of pytest-xdist what the history held when the run started."""
        if HELD in self._config.stash:
            node.workerinput[WORKER_KEY] = json.dumps(self._config.stash[HELD])

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note all tests, before any is deselected."""
        self._collected = list(items)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note whether there are benchmarks that only a run with a base measures, and markers without a benchmark."""
        chosen = any("::" in str(word) for word in self._config.args)
        whole = not chosen and not self._config.getoption("lf", False)
        self._idle_markers = idle_markers(self._collected, session.items, whole=whole)
        self._collected = []
        # Whatever is measured in this run; without a base that is what uses the fixture.
        across = self._settings.base is not None
        self._chosen = {
            item.nodeid
            for item in session.items
            if (is_benchmark(item) if across else "optbench" in getattr(item, "fixturenames", ()))
        }
        self._across = any(
            isinstance(i, pytest.Function) and uses_benchmark_fixture(i) for i in session.items
        )
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput[ACROSS_KEY] = self._across

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker of pytest-xdist noted."""
        self._across |= bool(getattr(node, "workeroutput", {}).get(ACROSS_KEY))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Warn of markers that this test is the first of, where nothing is measured under them."""
        for message in self._idle_markers.get(item.nodeid, ()):
            item.warn(pytest.PytestWarning(message))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the documents of a test and why the gate refuses it; after a rerun the last ones count."""
        if report.when == "setup":
            self._refused.pop(report.nodeid, None)
        if failure := getattr(report, "optbench_failure", None):
            self._refused[report.nodeid] = str(failure)
        if report.when == "teardown":
            self._chosen.discard(report.nodeid)
        for text in getattr(report, "optbench", ()):
            document: Document = json.loads(text)
            self._documents[document["id"]] = document

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Judge the family, write the index and set the exit status; never lower one that is set."""
        if hasattr(self._config, "workerinput") or self._config.option.collectonly:
            return
        documents = list(self._documents.values())
        if documents:
            self._judge_family(documents)
            self._write(documents)
            self._keep(documents)
        else:
            self._errors.append(
                "no benchmark was measured, so nothing was proved: the gate does not pass. "
                "Check the selection (-k, -m, paths) and that tests use the optbench fixture"
                + (_NEEDS_A_BASE if self._across and self._settings.base is None else "")
            )
        if session.exitstatus == pytest.ExitCode.OK:
            self._errors += self._not_told()
        if self._errors or self._failures or self._refused:
            self._status = pytest.ExitCode.TESTS_FAILED if documents else pytest.ExitCode.USAGE_ERROR
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = self._status
        self._tell_github(documents)

    @pytest.hookimpl(specname="pytest_sessionfinish", wrapper=True, tryfirst=True)
    def pytest_sessionfinish_last(self, session: pytest.Session) -> Generator[None, None, None]:
        """Keep the exit status of a gate that does not pass from being lowered by whatever comes later."""
        try:
            return (yield)
        finally:
            if session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = self._status

    @pytest.hookimpl(specname="pytest_sessionfinish", trylast=True)
    def pytest_sessionfinish_junit(self, session: pytest.Session) -> None:
        """Correct the verdicts that were demoted in the JUnit file, which pytest has written by now."""
        path = self._junit
        if path is None or not self._demoted:
            return
        try:
            if not path.is_file():  # reading a pipe or a terminal would never end
                raise StoreError("it is no regular file")
            junit.replace(
                path, junit.corrected(path.read_bytes(), self._demoted, failed=bool(self._failures))
            )
        except (StoreError, OSError) as error:
            titles = ", ".join(str(document["title"]) for document in self._demoted)
            self._errors.append(
                f"the JUnit file {path.name} still says ACCEPT for {titles}, which is INCONCLUSIVE in the end, and "
                f"cannot be corrected: {error}; give --junitxml a file"
            )
            if session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the table of decisions."""
        if not self._documents and not self._errors:
            return
        terminalreporter.section("optbench")
        colours = {"ACCEPT": {"green": True}, "REJECT": {"red": True}, "INCONCLUSIVE": {"yellow": True}}
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        width = terminalreporter._tw.fullwidth
        for line in terminal.table(list(self._documents.values()), self._report_dir(), width, encoding):
            terminalreporter.write_line(line, **colours.get(line.verdict or "", {}))
        if self._page is not None:
            page = console(str(terminal.shown(self._page)), encoding)
            terminalreporter.write_line(f"  {page}: all decisions of the folder, with charts")
        for message in (*self._failures, *self._errors):
            message = clean(message, self._config.rootpath)
            terminalreporter.write_line(f"optbench: {console_lines(message, encoding)}", red=True)

    def _not_told(self) -> list[str]:
        """Return what the outcome of a run that would end well does not tell: refusals, and tests that never ran."""
        found = [
            f"the gate does not pass for {node_id}, whatever its test was made to report (a marker such as xfail, or a "
            f"hook); to let it pass set --optbench-gate or the marker's gate: {failure}"
            for node_id, failure in self._refused.items()
        ]
        if self._chosen:
            some = ", ".join(sorted(self._chosen)[:3]) + (" and others" if len(self._chosen) > 3 else "")
            found.append(
                f"every benchmark that was chosen must be run to its end, but {len(self._chosen)} of them had not when "
                f"the run ended: {some}"
            )
        return found

    def _judge_family(self, documents: Sequence[Document]) -> None:
        """Apply Holm's correction over the claims of this run; an ACCEPT that does not survive is demoted."""
        from .core.multiplicity import holm

        claims = [d for d in documents if d["goal"] == "speedup" and not d["protocol"]["quick"]]
        if not claims:
            return
        alpha = self._settings.alpha / 2
        adjusted = holm([1.0 if d["p_sequential"] is None else d["p_sequential"] for d in claims])
        for document, p in zip(claims, adjusted, strict=True):
            document["p_adjusted"] = float(p)
            # Equal up to rounding is not above.
            if document["verdict"] == "ACCEPT" and p > alpha * (1 + 1e-9):
                demote(document)
                self._demoted.append(document)
                if self._settings.gate != "off":
                    self._failures.append(
                        f"{document['title']}: accepted alone, but not among {len(claims)} benchmarks "
                        f"(Holm-adjusted p {p:.3g}, limit {alpha:g}); run it with more pairs"
                    )

    def _write(self, documents: Sequence[Document]) -> None:
        folder, templates = self._report_dir(), self._templates()
        try:
            for document in documents:
                write_decision(folder, document, templates)
            index = write_index(folder, templates)
        except StoreError as error:
            self._errors.append(str(error))
            return
        self._page = index.html
        for warning in index.warnings:
            self._warn(warning)

    def _keep(self, documents: Sequence[Document]) -> None:
        """Add this run to the history."""
        if self._settings.history is None:
            return
        root, held = self._config.rootpath, self._config.stash[HELD]
        try:
            add(self._settings.history, root, documents, held, self._report_dir())
        except StoreError as error:
            self._errors.append(str(error))

    def _warn(self, message: str) -> None:
        self._config.issue_config_time_warning(pytest.PytestWarning(f"optbench: {message}"), 2)

    def _report_dir(self) -> Path:
        return Path(self._config.rootpath, self._settings.report_dir)

    def _templates(self) -> Path | None:
        given = self._settings.templates
        return Path(self._config.rootpath, given) if given else None

    def _tell_github(self, documents: Sequence[Document]) -> None:
        """Write annotations and the step summary where a GitHub job asks for them."""
        if documents and os.environ.get("GITHUB_ACTIONS") == "true":
            capture = self._config.pluginmanager.get_plugin("capturemanager")
            if capture is not None:
                capture.suspend_global_capture(in_=False)
            for document in documents:
                # GitHub reads a command only at the start of a line, and the line of progress dots may be open.
                sys.stdout.write(f"\n{github.annotation(document)}")
            sys.stdout.write("\n")
            sys.stdout.flush()
            if capture is not None:
                capture.resume_global_capture()
        if documents and (problem := github.add_to_step_summary(github.step_summary(documents))):
            self._errors.append(problem)


def _history(config: pytest.Config, uri: str) -> Prepared:
    """Return what the history holds, read once by the controller; raises `pytest.UsageError`."""
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        return Prepared(json.loads(worker[WORKER_KEY]))
    try:
        return prepare(uri, config.rootpath)
    except StoreError as error:
        raise pytest.UsageError(f"--optbench-history: {error}") from None


def demote(document: Document) -> None:
    """Turn an ACCEPT that does not hold among all decisions of the run into INCONCLUSIVE `multiplicity`."""
    from .core.verdicts import EXPLANATION, Reason

    document["verdict"] = "INCONCLUSIVE"
    document["reasons"] = ["multiplicity"]
    figures = document["summary"].rpartition("; ")[0].replace("ACCEPT", "INCONCLUSIVE", 1)
    document["summary"] = f"{figures}; multiplicity: {EXPLANATION[Reason.MULTIPLICITY]}"
