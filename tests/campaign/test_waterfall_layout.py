"""Where text stands in the waterfall, measured in a real headless Chromium: never on other text, never cut."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from campaign_project import Project, decided

from pytest_optbench.campaign.product import account
from pytest_optbench.campaign.waterfall import waterfall_svg

sys.path.append(str(Path(__file__).parents[1] / "report"))

import browser

pytestmark = pytest.mark.skipif(
    browser.program() is None, reason=f"no browser: none of {', '.join(browser.PROGRAMS)} is on the PATH"
)

LAYOUT = (Path(browser.__file__).parent / "layout.js").read_text(encoding="utf-8")
HALF, AGAIN, WHOLE = (f"test_work.py::{name}" for name in ("test_half", "test_half_again", "test_whole"))
LONG = "W" * 40


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    """One browser for the tests of this file."""
    with browser.Browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.mark.parametrize(
    "ratios", [(1.002, 1.003), (1.06, 1.2), (0.97, 0.99), (3.0, 2.0), (120.0, 90.0), (3e5, 2.0), (9e6, 8e6)]
)
def test_no_text_lies_on_another(
    chromium: browser.Browser, project: Project, ratios: tuple[float, float]
) -> None:
    """Labels of both axes, names and figures have their own places, for gains of any size and long names."""
    project.write(
        f'1 {LONG} test_half\n2 b test_half_again builds_on = "{LONG}"', head=f'together = "{WHOLE}"'
    )
    goal = "speedup" if min(ratios) > 1 else "no-regression"
    attempts = [
        decided(1, LONG, HALF, ratios[0], goal=goal),
        decided(2, "b", AGAIN, ratios[1], goal=goal),
        decided(3, "together", WHOLE, ratios[0] * ratios[1], accepted=[LONG, "b"]),
    ]
    svg = waterfall_svg("A title that is much too long for one line. " * 4, account(project.read(), attempts))
    path = project.folder / "waterfall.svg"
    path.write_text(svg)
    chromium.open(path.as_uri(), 1600)
    laid_out = chromium.run(f"{LAYOUT}(1600)")
    assert laid_out["found"] == []
    assert laid_out["seen"] > 15
