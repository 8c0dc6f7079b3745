"""A history in a folder of its own; sample documents and runs of pytest are shared with other tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from plugin_bench import Bench

    from pytest_optbench.history.location import Location

sys.path[:0] = [str(Path(__file__).parents[1] / name) for name in ("report", "plugin")]


@pytest.fixture
def history(tmp_path: Path) -> Location:
    """Return an empty history."""
    from pytest_optbench.history.location import locate
    from pytest_optbench.history.write import check_writable

    location = locate("history", tmp_path)
    check_writable(location)
    return location


@pytest.fixture
def bench(pytester: pytest.Pytester) -> Bench:
    """Return a folder to run pytest in."""
    from plugin_bench import Bench

    return Bench(pytester)
