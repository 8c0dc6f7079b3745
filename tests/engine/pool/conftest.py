"""One pool per start method for the tests that do not need their own."""

from collections.abc import Iterator

import pytest

from optengine import PersistentWorkerPool

START_METHODS = ["preload", "fork", "forkserver", "spawn"]
TRACED = ("test_pool_contract", "test_pool_programs")


@pytest.fixture(scope="module", autouse=True)
def _interpreters_are_traced_once(request: pytest.FixtureRequest) -> Iterator[None]:
    """Trace interpreters for coverage in the tests of the contract and of programs; others start the same ones."""
    with pytest.MonkeyPatch.context() as patch:
        if request.module.__name__ not in TRACED:
            patch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        yield


@pytest.fixture(scope="module", params=START_METHODS)
def pool(request):
    """A pool of two workers, with a memory limit and a time-out that no task is to come near, kept for the module."""
    with PersistentWorkerPool(
        2, start_method=request.param, task_timeout=120.0, memory_limit=(180 << 20, 200 << 20), max_attempts=2
    ) as kept:
        yield kept
