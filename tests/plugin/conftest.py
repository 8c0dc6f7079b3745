"""Fixtures of the plugin's end-to-end tests."""

from __future__ import annotations

import pytest
from plugin_bench import Bench


@pytest.fixture
def bench(pytester: pytest.Pytester) -> Bench:
    return Bench(pytester)
