"""Fixtures shared by all tests."""

from __future__ import annotations

import hypothesis
import pytest

# Examples are the same in every run, and a slow machine is no failure.
hypothesis.settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("repeatable")

pytest_plugins = ["pytester"]


@pytest.fixture
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace no process of this test for coverage: what runs there is covered elsewhere, and tracing is slow."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
