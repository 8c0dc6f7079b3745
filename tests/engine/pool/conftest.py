"""One pool per start method for the tests that do not need their own."""

import pytest

from optengine import PersistentWorkerPool

START_METHODS = ["preload", "fork", "forkserver", "spawn"]


@pytest.fixture(scope="module", params=START_METHODS)
def pool(request):
    """A pool of two workers, with a time-out and a memory limit, kept for the module."""
    with PersistentWorkerPool(
        2, start_method=request.param, task_timeout=1.0, memory_limit=(180 << 20, 200 << 20), max_attempts=2
    ) as kept:
        yield kept
