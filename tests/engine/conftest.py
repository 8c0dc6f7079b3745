"""Fixtures for the engine's tests."""

from collections.abc import Iterator

import pytest

from optengine.testing.leftovers import no_leftovers as check_leftovers


@pytest.fixture
def no_leftovers() -> Iterator[None]:
    """Fail the test if it leaves a process, segment, temporary file, thread or descriptor behind."""
    with check_leftovers():
        yield
