"""The HTML report without a mouse, without colours and to a screen reader, in a real headless Chromium."""

from __future__ import annotations

from typing import Any

import browser
import pytest
import samples
from test_report_html import several

from pytest_optbench.report.html import html_report

pytestmark = pytest.mark.skipif(
    browser.program() is None, reason=f"no browser: none of {', '.join(browser.PROGRAMS)} is on the PATH"
)

# The least contrast between the border of each control and what lies around it, by WCAG 2.1.
BORDERS = """
(() => {
  const parse = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const around = light(parse(getComputedStyle(document.body).backgroundColor));
  return [...document.querySelectorAll('.tools input, .tools select, .tools button')].map((control) => {
    const [a, b] = [light(parse(getComputedStyle(control).borderTopColor)), around].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  });
})()
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a page with decisions of every kind."""
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(html_report(several()))
    return path.as_uri()


def nodes(chromium: browser.Browser, role: str) -> list[dict[str, Any]]:
    """Return what a screen reader is told of the elements with this role."""
    found = chromium.call("Accessibility.getFullAXTree")["nodes"]
    return [node for node in found if not node.get("ignored") and node["role"]["value"] == role]


def until(chromium: browser.Browser, condition: str) -> None:
    """Return once a JavaScript condition holds; fails when it does not within 20 seconds."""
    assert chromium.run(
        "new Promise(done => { const end = performance.now() + 20000;"
        f" const look = () => ({condition}) ? done(true) : performance.now() > end ? done(false)"
        " : setTimeout(look, 20); look(); })"
    ), condition


def names(chromium: browser.Browser, role: str) -> list[str]:
    return [node.get("name", {}).get("value", "") for node in nodes(chromium, role)]


@pytest.mark.parametrize("dark", [False, True])
def test_controls_can_be_told_from_the_page(chromium: browser.Browser, address: str, dark: bool) -> None:
    """The border of every field and button has the contrast WCAG 2.1 AA asks for, 3 to 1."""
    chromium.open(address, dark=dark)
    found = chromium.run(BORDERS)
    assert len(found) == 6
    assert min(found) >= 3


def test_buttons_are_named_by_their_words(chromium: browser.Browser, address: str) -> None:
    """No arrow or tick that shows a state is read aloud; the state is told as such."""
    chromium.open(address)
    headers = {"Verdict", "Decision", "Group", "Time saved", "Pairs", "Noise floor", "Adjusted p"}
    assert headers | {"ACCEPT 1", "REJECT 3", "INCONCLUSIVE 2"} == set(names(chromium, "button"))
    chromium.run("document.querySelector('.chip.ACCEPT').click()")
    chromium.run("document.querySelector('th[data-sort=pairs] button').click()")
    pressed = {
        node["name"]["value"]: each["value"]["value"]
        for node in nodes(chromium, "button")
        for each in node["properties"]
        if each["name"] == "pressed"
    }
    assert pressed == {"ACCEPT 1": "true", "REJECT 3": "false", "INCONCLUSIVE 2": "false"}
    assert headers <= set(names(chromium, "button"))


def test_a_chosen_verdict_is_seen_without_colours(chromium: browser.Browser, address: str) -> None:
    """A pressed button carries a tick, others do not."""
    chromium.open(address)
    chromium.run("document.querySelector('.chip.ACCEPT').click()")
    ticks = chromium.run(
        "[...document.querySelectorAll('.chip')].map(each => getComputedStyle(each, '::before').content)"
    )
    assert [tick.startswith('"✓') for tick in ticks] == [True, False, False]


def test_the_arms_are_told_apart_without_colours(chromium: browser.Browser, address: str) -> None:
    """Where both arms share a chart the trials of one are dots and of the other squares, in the legend as well."""
    chromium.open(f"{address}#{samples.inconclusive()['slug']}")
    ends = (
        "Object.fromEntries(['baseline', 'optimized'].map(arm => [arm, getComputedStyle("
        "document.querySelector('.open .drift .dots.' + arm)).strokeLinecap]))"
    )
    assert chromium.run(ends) == {"baseline": "round", "optimized": "square"}
    marks = "[...document.querySelectorAll('.open .drift .key > *')].map(each => each.tagName)"
    assert chromium.run(marks) == ["circle", "circle", "rect", "rect"]


@pytest.mark.parametrize("slug", [doc["slug"] for doc in several()])
def test_wide_tables_scroll_from_the_keyboard(chromium: browser.Browser, address: str, slug: str) -> None:
    """On a phone a table wider than the page is reached by the tab key, unfolded or after turning the phone."""
    chromium.open(f"{address}#{slug}", 1280)
    chromium.view(360)
    chromium.run("document.querySelectorAll('.open details').forEach(each => each.open = true)")
    wide = (
        "[...document.querySelectorAll('.open .scroll')].filter(each => each.scrollWidth > each.clientWidth)"
        ".map(each => [each.tabIndex, each.getAttribute('role'), each.ariaLabel])"
    )
    until(chromium, f"{wide}.every(each => each[0] === 0)")
    found = chromium.run(wide)
    assert found or slug == samples.not_equivalent()["slug"]
    assert all(index == 0 and role == "region" and label for index, role, label in found)


def test_escape_takes_a_tip_away(chromium: browser.Browser, address: str) -> None:
    """What pointing at a mark shows can be dismissed without moving the pointer."""
    chromium.open(f"{address}#{samples.inconclusive()['slug']}")
    place = chromium.run(
        "(() => { const m = document.querySelector('.open .pairs use'); m.scrollIntoView({block: 'center'});"
        " const r = m.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()"
    )
    chromium.call("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1])
    hidden = "document.getElementById('page:tip').hidden"
    until(chromium, f"!{hidden}")
    chromium.press("Escape", "Escape", 27)
    assert chromium.run(hidden) is True


def test_an_open_decision_prints_from_the_first_sheet(chromium: browser.Browser, address: str) -> None:
    """Nothing is printed before it, so it does not ask for a new sheet; without scripts each decision does."""
    chromium.open(f"{address}#{samples.inconclusive()['slug']}")
    chromium.view(1000, media="print")
    style = "getComputedStyle(document.querySelector('.decision.open')).breakBefore"
    assert chromium.run(style) == "auto"
    chromium.run("document.documentElement.classList.remove('js')")
    assert chromium.run(style) == "page"


def test_the_page_says_its_language_and_what_it_is(chromium: browser.Browser, address: str) -> None:
    """Language, title and one main region are there, and every picture has words."""
    chromium.open(address)
    assert chromium.run("document.documentElement.lang") == "en"
    assert chromium.run("document.title") == "Decisions"
    assert len(nodes(chromium, "main")) == 1
    assert all(names(chromium, "image"))
