"""Where text stands in the HTML report, measured in a real headless Chromium: never on other text, never cut."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import browser
import pytest
from hypothesis import given
from hypothesis import strategies as st
from situations import situations
from test_report_html import several

from pytest_optbench.report import templating
from pytest_optbench.report.charts import labels
from pytest_optbench.report.figures import Doc
from pytest_optbench.report.html import html_report
from pytest_optbench.report.plots import pairs_svg

needs_browser = pytest.mark.skipif(
    browser.program() is None, reason=f"no browser: none of {', '.join(browser.PROGRAMS)} is on the PATH"
)

WIDTHS = (320, 360, 768, 1024, 1280, 1920)
DOCS = [*several(), *situations()]
LAYOUT = (Path(__file__).parent / "layout.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a page with decisions that are hard to draw."""
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(html_report(DOCS, ["broken.json is not in the index: no JSON"]))
    return path.as_uri()


@needs_browser
@pytest.mark.parametrize("slug", ["page:overview", *(doc["slug"] for doc in DOCS)])
def test_no_text_lies_on_another(chromium: browser.Browser, address: str, slug: str) -> None:
    """At every width from a small phone to a large screen each text has its own place inside its card."""
    chromium.open(f"{address}#{slug}")
    chromium.run("document.querySelectorAll('details').forEach(each => each.open = true)")
    for width in WIDTHS:
        chromium.view(width)
        laid_out = chromium.run(f"{LAYOUT}({width})")
        assert laid_out["found"] == [], width
        assert laid_out["seen"] > 20
        assert chromium.run("document.documentElement.scrollWidth") <= width, width


@needs_browser
@pytest.mark.parametrize("doc", DOCS, ids=lambda doc: doc["slug"])
def test_no_text_lies_on_another_in_the_picture(chromium: browser.Browser, tmp_path: Path, doc: Doc) -> None:
    """In the SVG beside the markdown each text has its own place, inside the picture."""
    (tmp_path / "pairs.svg").write_text(pairs_svg(doc))
    chromium.open((tmp_path / "pairs.svg").as_uri())
    laid_out = chromium.run(f"{LAYOUT}(1280)")
    assert laid_out["found"] == []
    assert laid_out["seen"] >= 4


@needs_browser
def test_overlapping_text_would_be_found(chromium: browser.Browser, address: str) -> None:
    """The check of this file sees text on text and text beyond its card."""
    chromium.open(f"{address}#huge")
    chromium.run(
        "document.querySelectorAll('.open .pairs .plot text').forEach(e => e.setAttribute('x', '100%'))"
    )
    found = chromium.run(f"{LAYOUT}(1280)")["found"]
    assert [each for each in found if "| lies on |" in each]
    assert [each for each in found if "| out of its card" in each]


@needs_browser
def test_a_wide_chart_shows_more_labels_than_a_narrow_one(chromium: browser.Browser, address: str) -> None:
    """Names of looks that have no room on a phone are there on a desk, the first and others on both."""
    chromium.open(f"{address}#looks")
    shown = (
        "[...document.querySelectorAll('.open .pairs .plot text')].filter(each => each.checkVisibility())"
        ".map(each => each.textContent).filter(words => words.startsWith('look '))"
    )
    seen = {}
    for width in (320, 1280):
        chromium.view(width)
        seen[width] = set(chromium.run(shown))
    assert "look 1" in seen[320] < seen[1280]


@needs_browser
def test_a_chart_without_a_neighbour_fills_the_column(chromium: browser.Browser, address: str) -> None:
    """Two files have one chart of times and no others beside it; it is as wide as the interval above."""
    chromium.open(f"{address}#two-files")
    widths = "['.interval', '.distributions'].map(e => document.querySelector('.open ' + e).offsetWidth)"
    interval, times = chromium.run(widths)
    assert interval == times > 600


def test_the_style_sheet_knows_every_width() -> None:
    """Each width at which labels appear has its rule, and there is none for any other."""
    style = templating.source(templating.STYLE, None)
    widths = {int(each) for each in re.findall(r"@container \(min-width: (\d+)px\)", style)}
    assert widths == set(labels.WIDTHS[1:])
    for width in widths:
        assert f".from-{width}" in style
        assert f".plot .from-{width} {{ display: inline; }}" in style


@given(st.lists(st.tuples(st.floats(0, 100), st.text(max_size=12)), max_size=30), st.integers(120, 2000))
def test_labels_never_overlap(places: list[tuple[float, str]], width: int) -> None:
    """Whatever the labels and the width of the chart, the ones shown there stand apart and inside it."""
    given_labels = [labels.Label(at, words) for at, words in places]
    shown = [
        label
        for label, kind in zip(given_labels, labels.fitting(given_labels), strict=True)
        if kind is not None and int(kind.removeprefix("from-") or 0) <= width
    ]
    spans = sorted(
        (at - label.width / 2, at + label.width / 2) for label in shown for at in [label.at * width / 100]
    )
    assert all(two[0] - one[1] >= labels.GAP - 1e-6 for one, two in itertools.pairwise(spans))
    assert all(
        low >= -labels.OVERHANG - 1e-6 and high <= width + labels.OVERHANG + 1e-6 for low, high in spans
    )


@given(st.integers(0, 100))
def test_labels_at_equal_distances_thin_out_evenly(count: int) -> None:
    """The order in which labels stay holds each of them once, and its first half is every second of them."""
    order = [
        int(label.words) for label in labels.evenly([labels.Label(0, str(index)) for index in range(count)])
    ]
    assert sorted(order) == list(range(count))
    assert sorted(order[: (count + 1) // 2]) == list(range(0, count, 2))
