"""The child's run loop: tests run one by one, in the order the driver names them."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ..measure.channel import ChannelClosed, Nonsense
from .connection import Connection
from .items import is_benchmark
from .modules import imported
from .region import Abandoned, Region, Work

_TAIL = 4000


class ChildSession:
    """What the hooks of the plugin act on; a plugin object itself, for the hooks of collection and reports."""

    def __init__(self, connection: Connection) -> None:
        """Take the connection."""
        self.connection = connection
        self._channel = connection.channel
        self._region = Region(connection.channel, connection.seed)
        self._errors: list[str] = []
        self._reports: list[pytest.TestReport] = []
        self._wanted: frozenset[str] | None = None
        self._served = 0
        self._abandoned = False
        self._info: Callable[[], Mapping[str, Any]] = dict

    @property
    def seconds(self) -> Sequence[float]:
        """Seconds per call of the samples taken in the last region."""
        return self._region.seconds

    def serve(self, item: pytest.Item, work: Work, name: str = "", **rest: Any) -> Any:
        """Have the driver time ``work``, see `Region.serve`."""
        self._info = dict if name else rest.get("info", dict)
        try:
            result = self._region.serve(item.nodeid, work, name, **rest)
        except Abandoned:
            self._abandoned = True
            raise
        except (ChannelClosed, Nonsense):
            os._exit(1)
        self._served += 1
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> None:
        """Ask the driver which benchmarks it wants, and collect no other files than theirs."""
        command = self._receive()
        wanted = command.get("benchmarks")
        if wanted is None:
            return
        self._wanted = frozenset(wanted)
        files = dict.fromkeys(_file(session.config.rootpath, each) for each in wanted)
        arguments = [_argument(file, session.config.invocation_params.dir) for file in files]
        if all(file.exists() for file in files) and None not in arguments:
            session.config.args = [word for word in arguments if word is not None]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember what could not be collected."""
        if report.failed:
            self._errors.append(f"{report.nodeid or '.'}: {report.longreprtext[-_TAIL:]}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember how the test went."""
        self._reports.append(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run what the driver names until it says leave; when it is gone, end at once."""
        items = {
            item.nodeid: item
            for item in session.items
            if (self._wanted is None or item.nodeid in self._wanted) and is_benchmark(item)
        }
        try:
            self._channel.send(
                event="collected", benchmarks=list(items), errors=self._errors, modules=self._modules()
            )
            while (command := self._receive()).get("do") != "leave":
                if command.get("do") == "run":  # else it was meant for a region that is over
                    self._run(items[command["id"]], items.get(str(command.get("next"))))
            self._channel.send(event="bye", modules=self._modules())
        except ChannelClosed:
            os._exit(1)
        return True

    def _receive(self) -> Mapping[str, Any]:
        try:
            return self._channel.receive()
        except (ChannelClosed, Nonsense):
            os._exit(1)

    def _run(self, item: pytest.Item, following: pytest.Item | None) -> None:
        """Run one test with its fixtures; those of wider scope stay up when the next one needs them."""
        self._reports.clear()
        self._served = 0
        self._abandoned = False
        self._info = dict
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if following is not None and following.path != item.path:
            gc.unfreeze()  # fixtures of the file are gone; garbage they left must not stay for ever
        outcome, message = self._outcome()
        self._channel.send(
            event="ended",
            id=item.nodeid,
            outcome=outcome,
            message=message,
            info=dict(self._info()),  # again: suites add to extra_info when they have the result
        )

    def _outcome(self) -> tuple[str, str]:
        if self._abandoned:
            return "abandoned", ""
        for report in self._reports:
            if report.failed:
                where = "" if report.when == "call" else f"{report.when} "
                return "failed", f"{where}{_told(report)}"
        for report in self._reports:
            if report.skipped and hasattr(report, "wasxfail"):
                return "skipped", f"expected to fail: {report.wasxfail}".removesuffix(": ")
            if report.skipped:
                skipped = report.longrepr
                return "skipped", str(skipped[2] if isinstance(skipped, tuple) else report.longreprtext)[
                    -_TAIL:
                ]
        if not self._served:
            return "no-benchmark", "the test ended without calling its benchmark"
        return "passed", ""

    def _modules(self) -> dict[str, list[str]]:
        return imported(self.connection.trees, self.connection.names)


def _file(root: Path, node_id: str) -> Path:
    return root / node_id.partition("::")[0]


def _argument(file: Path, folder: Path) -> str | None:
    """Return how pytest, started in ``folder``, can be told to collect ``file``; None when it cannot.

    In an argument ``[`` begins the parameters of a test and ``::`` its name, also where they stand in a path.
    """
    words = (str(file), os.path.relpath(file, folder))
    return next((word for word in words if "[" not in word and "::" not in word), None)


def _told(report: pytest.TestReport) -> str:
    """Return why the test failed: the error in the first line, since lists show that one, and the traceback below."""
    text = report.longreprtext[-_TAIL:]
    crash = getattr(report.longrepr, "reprcrash", None)
    said = "" if crash is None else str(crash.message).strip().partition("\n")[0]
    return text if not said or text.startswith(said) else f"{said}\n{text}"
