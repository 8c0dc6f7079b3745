"""Fixtures for the engine's tests."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from optengine.testing.leftovers import no_leftovers as check_leftovers


@pytest.fixture
def no_leftovers() -> Iterator[None]:
    """Fail the test if it leaves a process, segment, temporary file, thread or descriptor behind."""
    with check_leftovers(patience_s=60.0):
        yield


@pytest.fixture(scope="module")
def in_worker() -> Iterator[Callable[..., Any]]:
    """Call ``function(*args)`` in a worker: new for "fork", kept per module otherwise."""
    kept: dict[str, ProcessPoolExecutor] = {}

    def start(method: str) -> ProcessPoolExecutor:
        context = multiprocessing.get_context(method)
        if method == "forkserver":
            context.set_forkserver_preload(["pandas", "pyarrow"])
        return ProcessPoolExecutor(1, mp_context=context)

    def call(method: str, function: Callable[..., Any], *args: Any) -> Any:
        if method == "fork":
            with start(method) as pool:
                return pool.submit(function, *args).result(timeout=240)
        if method not in kept:
            kept[method] = start(method)
        return kept[method].submit(function, *args).result(timeout=240)

    yield call
    for pool in kept.values():
        pool.shutdown()
