"""Fixtures shared by all tests."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace no process of this test for coverage: what runs there is covered elsewhere, and tracing is slow."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
