"""The market bundle all benchmarks work on: real series where they are at hand, generated ones elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from markets_data import find_markets

from optengine.markets import market_bundle


@pytest.fixture(scope="session")
def bundle_source() -> str:
    """Say what the bundle is made of, for the reports."""
    return "real series" if find_markets() else "generated series, seed 7"


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the bundle once per run."""
    folder = tmp_path_factory.mktemp("bundle") / "markets"
    market_bundle(folder, find_markets())
    return folder
