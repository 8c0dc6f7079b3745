"""What the user's options must not do in a child: distribute, write reports, stop early, select anew, trace.

A child is started with the very arguments of the parent run, so that rootdir, ini file, conftest files and the
project's own options are the same. Options that act on a run as a whole are switched off after they were parsed;
benchmark plugins are taken out altogether, because this package plays their part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

# Destination of an option -> the value that makes it do nothing. Only options that exist are touched.
_OPTIONS: Final[dict[str, Any]] = {
    # pytest-xdist
    "numprocesses": None, "dist": "no", "tx": [], "looponfail": False, "usepdb": False,
    # pytest itself
    "trace": False, "maxfail": 0, "collectonly": False, "setupshow": False, "xmlpath": None,
    "pastebin": None, "log_file": None, "durations": None, "capture": "no",
    "continue_on_collection_errors": True,
    # report writers: pytest-html, pytest-reportlog, pytest-json-report, allure-pytest
    "htmlpath": None, "report_log": None, "json_report": False, "allure_report_dir": None,
    # pytest-cov
    "cov_source": [], "no_cov": True,
}  # fmt: skip
_BENCHMARKS: Final = ("pytest_benchmark", "pytest_codspeed")
# They write what failed or was seen in this run into the user's cache, or select by it.
_MEMORIES: Final = ("lfplugin", "lfplugin-collwrapper", "nfplugin", "stepwiseplugin")


def neutralise(option: Any) -> None:
    """Switch the options off; ``option`` is a namespace of parsed options."""
    for name, value in _OPTIONS.items():
        if hasattr(option, name):
            setattr(option, name, value)


def unregister_benchmarks(config: pytest.Config) -> None:
    """Take plugins out that provide the ``benchmark`` fixture, and declare the markers they would."""
    for name, plugin in list(_plugins(config)):
        home = str(getattr(plugin, "__name__", None) or type(plugin).__module__)
        if home.partition(".")[0] in _BENCHMARKS:
            config.pluginmanager.unregister(plugin, name)
    for marker in ("benchmark: run as a benchmark", "codspeed_benchmark: the whole test is a benchmark"):
        config.addinivalue_line("markers", marker)


def unregister_memories(config: pytest.Config) -> None:
    """Take the plugins out that remember which tests failed or were new."""
    for name, plugin in list(_plugins(config)):
        if name in _MEMORIES:
            config.pluginmanager.unregister(plugin, name)


def _plugins(config: pytest.Config) -> Iterator[tuple[str, Any]]:
    return ((name, plugin) for name, plugin in config.pluginmanager.list_name_plugin() if plugin is not None)
