"""The fixtures a child provides in place of those of benchmark plugins.

Registered after every other plugin, so that it is these a test gets; a conftest file may still wrap them.
PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from .benchmark import BenchmarkFixture


@pytest.fixture
def benchmark(request: pytest.FixtureRequest) -> Generator[BenchmarkFixture, None, None]:
    """Time a callable as suites for pytest-benchmark and pytest-codspeed ask for it."""
    fixture = BenchmarkFixture(request.node)
    yield fixture
    fixture.cleanup()


@pytest.fixture
def codspeed_benchmark(benchmark: BenchmarkFixture) -> BenchmarkFixture:
    """Return the same as ``benchmark``."""
    return benchmark


@pytest.fixture
def benchmark_weave(benchmark: BenchmarkFixture) -> Any:
    """Return ``benchmark.weave``."""
    return benchmark.weave
