"""Which tests are benchmarks: by their fixtures or markers, whichever plugin those come from."""

from __future__ import annotations

import pytest

FIXTURES = ("benchmark", "codspeed_benchmark", "benchmark_weave")
_HOMES = ("pytest_benchmark", "pytest_codspeed", "pytest_optbench")


def is_benchmark(item: pytest.Item) -> bool:
    """Return whether a test uses ``optbench``, the ``benchmark`` fixture of a plugin, or is marked as a whole."""
    return isinstance(item, pytest.Function) and (
        "optbench" in item.fixturenames or uses_benchmark_fixture(item) or is_marked(item)
    )


def uses_benchmark_fixture(item: pytest.Function) -> bool:
    """Return whether a test asks for a ``benchmark`` fixture that no conftest file or test module defines alone.

    A fixture of that name that wraps the plugin's counts; so does one that no installed plugin provides.
    """
    return any(name in item.fixturenames and _reaches_plugin(item, name) for name in FIXTURES)


def _reaches_plugin(item: pytest.Function, name: str) -> bool:
    """Follow the fixtures of one name from the nearest on, as long as each asks for the one it overrides."""
    known = getattr(item._fixtureinfo, "name2fixturedefs", {}).get(name) or ()
    for each in reversed(known):
        if each.func.__module__.partition(".")[0] in _HOMES:
            return True
        if name not in each.argnames:
            return False
    return True


def is_marked(item: pytest.Function) -> bool:
    """Return whether the whole test body is the benchmark, as pytest-codspeed has it.

    Where pytest-benchmark is installed without pytest-codspeed, its ``benchmark`` marker only configures the
    fixture.
    """
    if uses_benchmark_fixture(item) or "optbench" in item.fixturenames:
        return False
    if item.get_closest_marker("codspeed_benchmark") is not None:
        return True
    if item.get_closest_marker("benchmark") is None:
        return False
    return _installed("pytest_codspeed") or not _installed("pytest_benchmark")


def _installed(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None
