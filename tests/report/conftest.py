"""What the tests of the report share."""

from __future__ import annotations

from collections.abc import Iterator

import browser
import pytest


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    """One browser for the tests of a file."""
    with browser.Browser(tmp_path_factory.mktemp("profile")) as running:
        yield running
