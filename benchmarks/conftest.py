"""The market bundle all benchmarks work on: real series where they are at hand, generated ones elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from markets_data import find_markets

from optengine import Bundle
from optengine.markets import describe, generate, market_bundle


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


@pytest.fixture(scope="session")
def large_bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a bundle of a million bars once per run: generated markets, each with symbols of its own."""
    import pandas as pd

    parts = []
    for seed in range(25):
        bars, _, _ = generate(seed)
        parts.append(bars.assign(symbol=bars["symbol"].astype(str) + f"{seed:02}"))
    table = pd.concat(parts, ignore_index=True).astype({"symbol": "category"})
    folder = tmp_path_factory.mktemp("bundle") / "large"
    sources = dict.fromkeys(table["symbol"].cat.categories, "generated, seeds 0 to 24")
    Bundle.build(folder, {"bars": table}, describe(table, sources))
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lift the time-out that tests have: a benchmark has a limit of its own, and some take minutes."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(0))
