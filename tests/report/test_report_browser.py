"""The HTML report in a real headless Chromium: sorting, filtering, links, phones, dark mode, keyboard, print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import browser
import pytest
import samples
from test_report_html import several, unpaired

from pytest_optbench.report import series, units
from pytest_optbench.report.html import html_report

pytestmark = pytest.mark.skipif(
    browser.program() is None, reason=f"no browser: none of {', '.join(browser.PROGRAMS)} is on the PATH"
)

WIDTHS = (320, 390, 768, 900, 1160, 1280, 1920)

# Text whose colour is too close to what lies behind it: WCAG 2.1 AA, 4.5 to 1, or 3 to 1 where it is large.
CONTRAST = """
(() => {
  const parse = (text) => {
    const n = text.match(/[\\d.]+/g).map(Number);
    return [...n.slice(0, 3), n[3] ?? 1];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const found = [];
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility({ opacityProperty: true })) continue;
    if (["title", "desc"].includes(element.tagName)) continue;
    const style = getComputedStyle(element);
    const back = behind(element);
    const colour = over(parse(element.closest("svg") ? style.fill : style.color), back);
    const [a, b] = [light(colour), light(back)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    seen += 1;
    if (ratio < (large ? 3 : 4.5)) {
      found.push(`${ratio.toFixed(2)} <${element.tagName}> ${walker.currentNode.data.trim().slice(0, 40)}`);
    }
  }
  return { seen, found };
})()
"""

SHOWN = (
    "[...document.getElementById('page:rows').rows].filter(row => !row.hidden)"
    ".map(row => row.querySelector('a').textContent)"
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a page with decisions of every kind."""
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(html_report(several(), ["broken.json is not in the index: no JSON"]))
    return path.as_uri()


def click(chromium: browser.Browser, selector: str) -> None:
    chromium.run(f"document.querySelector({selector!r}).click()")


def choose(chromium: browser.Browser, name: str, what: str) -> None:
    """Change a control of the overview as a reader does; ``what`` is an assignment to the control."""
    chromium.run(
        f"(control => {{ control.{what}; control.dispatchEvent(new Event('input'));"
        f" control.dispatchEvent(new Event('change')) }})(document.getElementById('page:{name}'))"
    )


def settled(chromium: browser.Browser) -> None:
    """Wait until the page has handled a change of its address and drawn it."""
    chromium.run("new Promise(done => setTimeout(() => requestAnimationFrame(() => done()), 30))")


@pytest.mark.parametrize("number", range(-1, 6))
def test_it_fits_every_width(chromium: browser.Browser, address: str, number: int) -> None:
    """No page is wider than its window, and nothing is logged, refused or asked from anywhere else."""
    chromium.open(address if number < 0 else f"{address}#{several()[number]['slug']}")
    for width in WIDTHS:
        chromium.view(width)
        assert chromium.run("document.documentElement.scrollWidth") <= width, width
    assert chromium.complaints() == []
    assert {each.partition("#")[0] for each in chromium.requests()} == {address}


@pytest.mark.parametrize("number", range(-1, 6))
def test_text_can_be_told_from_its_background(chromium: browser.Browser, address: str, number: int) -> None:
    """Every visible text has the contrast WCAG 2.1 AA asks for, on screen in both schemes and on paper."""
    chromium.open(address if number < 0 else f"{address}#{several()[number]['slug']}")
    chromium.run("document.querySelectorAll('details').forEach(each => each.open = true)")
    chromium.run("document.querySelectorAll('.chip').forEach(each => each.click())")
    for dark, media in ((False, ""), (True, ""), (False, "print"), (True, "print")):
        for width in (390, 1280):
            chromium.view(width, dark=dark, media=media)
            found = chromium.run(CONTRAST)
            assert found["found"] == [], (dark, media, width)
            assert found["seen"] > 20


def test_it_follows_the_readers_scheme(chromium: browser.Browser, address: str) -> None:
    """The page is dark when the reader asks for dark, light otherwise, charts included."""
    colour = "getComputedStyle(document.body).backgroundColor"
    label = "getComputedStyle(document.querySelector('.open .plot text')).fill"
    seen = []
    for dark in (False, True):
        chromium.open(f"{address}#{samples.inconclusive()['slug']}", dark=dark)
        seen.append((chromium.run(colour), chromium.run(label)))
    assert seen[0] == ("rgb(245, 246, 248)", "rgb(87, 96, 107)")
    assert seen[1] == ("rgb(13, 17, 23)", "rgb(158, 171, 184)")


def test_columns_sort_both_ways(chromium: browser.Browser, address: str) -> None:
    """A header sorts, says so to assistive technology, turns round when used again; unknown values stay last."""
    chromium.open(address)
    given = chromium.run(SHOWN)
    assert given == [doc["title"] if doc["slug"] != "nasty" else given[-1] for doc in several()]
    state = "Object.fromEntries([...document.querySelectorAll('th[data-sort]')].map(h => [h.dataset.sort, h.ariaSort]))"
    assert set(chromium.run(state).values()) == {"none"}
    click(chromium, "th[data-sort=saved] button")
    assert chromium.run(state)["saved"] == "descending"
    titles = chromium.run(SHOWN)
    assert titles[-1] == "Cached parser"
    assert (
        titles.index("Persistent worker pool")
        < titles.index("Adaptive chunks")
        < titles.index("Sorted cache")
    )
    click(chromium, "th[data-sort=saved] button")
    assert chromium.run(state)["saved"] == "ascending"
    titles = chromium.run(SHOWN)
    assert titles[0] == "Sorted cache"
    assert titles[-1] == "Cached parser"
    click(chromium, "th[data-sort=verdict] button")
    assert chromium.run(state) == {**dict.fromkeys(chromium.run(state), "none"), "verdict": "ascending"}
    assert chromium.run(SHOWN)[0] == "Persistent worker pool"


def test_sorting_works_from_the_keyboard(chromium: browser.Browser, address: str) -> None:
    """The headers are reached by the tab key and used by the enter key, with a visible focus."""
    chromium.open(address)
    chromium.run("document.querySelector('#page\\\\:group').focus()")
    chromium.press("Tab", "Tab", 9)
    chromium.press("Tab", "Tab", 9)
    assert chromium.run("document.activeElement.parentElement.dataset.sort") == "title"
    assert chromium.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    chromium.press("Enter", "Enter", 13, "\r")
    assert chromium.run("document.querySelector('th[data-sort=title]').ariaSort") == "ascending"
    titles = [title for title in chromium.run(SHOWN) if not title.startswith("a|b")]
    assert titles == sorted(titles)


def test_decisions_can_be_filtered(chromium: browser.Browser, address: str) -> None:
    """Verdict, group and words narrow the table together; the count is announced; all come back."""
    chromium.open(address)
    status = "document.getElementById('page:shown').textContent"
    assert chromium.run(status) == "6 shown"
    click(chromium, ".chip.REJECT")
    assert chromium.run(status) == "3 of 6 shown"
    click(chromium, ".chip.INCONCLUSIVE")
    assert chromium.run(status) == "5 of 6 shown"
    click(chromium, ".chip.REJECT")
    assert chromium.run(SHOWN) == ["Adaptive chunks", "Two files"]
    choose(chromium, "text", "value = 'TEST_chunks  adaptive'")
    assert chromium.run(SHOWN) == ["Adaptive chunks"]
    choose(chromium, "text", "value = 'no such thing'")
    assert chromium.run(status) == "0 of 6 shown"
    assert chromium.run("document.getElementById('page:none').checkVisibility()")
    click(chromium, "#page\\:clear")
    assert chromium.run(status) == "6 shown"
    choose(chromium, "group", "selectedIndex = 1")
    assert len(chromium.run(SHOWN)) == 1  # a hostile group can be chosen as well
    assert chromium.run("document.getElementById('page:shown').role") == "status"


def test_a_phone_sorts_by_a_list(chromium: browser.Browser, address: str) -> None:
    """Where rows are cards the order is chosen from a list, and the table is still a table to a screen reader."""
    chromium.open(address, 390, 844)
    assert chromium.run("document.querySelector('.order').checkVisibility()")
    choose(chromium, "order", "value = 'title'")
    assert chromium.run(SHOWN)[1] == "Adaptive chunks"
    nodes = chromium.call("Accessibility.getFullAXTree")["nodes"]
    roles = [node["role"]["value"] for node in nodes if not node.get("ignored")]
    assert roles.count("row") == 7
    assert roles.count("columnheader") == 8
    names = [node.get("name", {}).get("value") for node in nodes if node["role"]["value"] == "table"]
    assert "All decisions" in names


def test_a_decision_has_an_address(chromium: browser.Browser, address: str) -> None:
    """`#slug` opens one decision, `#slug:part` its section, the browser's back leads to the overview."""
    opened = "[...document.querySelectorAll('.decision')].filter(d => d.checkVisibility()).map(d => d.id)"
    chromium.open(address)
    assert chromium.run(opened) == []
    click(chromium, ".c-title a[href*=chunks]")
    settled(chromium)
    slug = samples.inconclusive()["slug"]
    assert chromium.run(opened) == [slug]
    assert chromium.run("document.title") == "Adaptive chunks - Decisions"
    assert chromium.run("document.activeElement.textContent") == "Adaptive chunks"
    assert not chromium.run("document.getElementById('page:overview').checkVisibility()")
    links = "[...document.querySelectorAll('.open .contents a')].map(a => a.textContent)"
    assert chromium.run(links) == [
        "Why", "Evidence", "Criteria", "Statistical tests", "Metrics", "Equivalence", "Expected versus actual",
        "Risks and notes", "Set-up", "Trials", "Time spent", "Earlier decisions", "How to reproduce",
    ]  # fmt: skip
    click(chromium, ".open .contents a[href$=\\:criteria]")
    settled(chromium)
    assert chromium.run(opened) == [slug]
    assert abs(chromium.run(f"document.getElementById('{slug}:criteria').getBoundingClientRect().top")) < 60
    chromium.run("history.go(-2)")
    settled(chromium)
    assert chromium.run(opened) == []
    assert chromium.run("document.title") == "Decisions"
    for part in ("#no-such-decision", "#%", "#page:data"):
        chromium.open(address + part)
        assert chromium.run(opened) == [], part
        assert chromium.complaints() == []
    chromium.open(f"{address}#{slug}")
    assert chromium.run(opened) == [slug]
    click(chromium, ".open .steps span a:last-child")
    settled(chromium)
    assert chromium.run(opened) == [samples.decision()["slug"]]


def test_everything_can_be_read_without_scripts(chromium: browser.Browser, address: str) -> None:
    """With scripts switched off all decisions follow the overview, and no control that does nothing is shown."""
    chromium.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        chromium.open(address, 390)
        assert not chromium.run("document.documentElement.classList.contains('js')")
        assert chromium.run("[...document.querySelectorAll('.decision')].every(d => d.checkVisibility())")
        assert chromium.run(
            "[...document.querySelectorAll('.tools, .steps')].every(e => !e.checkVisibility())"
        )
        assert chromium.run("document.documentElement.scrollWidth") <= 390
    finally:
        chromium.call("Emulation.setScriptExecutionDisabled", value=False)


def test_marks_answer_to_the_pointer(chromium: browser.Browser, address: str) -> None:
    """Pointing at a pair names it at once, inside the window."""
    chromium.open(f"{address}#{samples.inconclusive()['slug']}", 390, 844)
    place = chromium.run(
        "(() => { const m = document.querySelector('.open .pairs use'); m.scrollIntoView({block: 'center'});"
        " const r = m.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()"
    )
    chromium.call("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1])
    settled(chromium)
    box = chromium.run(
        "(() => { const t = document.getElementById('page:tip'), r = t.getBoundingClientRect();"
        " return [t.textContent, r.left, r.right] })()"
    )
    assert box[0] == f"Pair 2: {units.both(series.marks(samples.inconclusive())[1].ratio)}"
    assert box[1] >= 0
    assert box[2] <= 390


def test_it_prints(chromium: browser.Browser, address: str) -> None:
    """On paper a decision has no controls, and what is folded away is printed."""
    chromium.open(f"{address}#{samples.inconclusive()['slug']}")
    chromium.run("dispatchEvent(new Event('beforeprint'))")
    chromium.view(1000, media="print")
    assert chromium.run("[...document.querySelectorAll('.open details')].every(each => each.open)")
    assert not chromium.run("document.querySelector('.open .steps').checkVisibility()")
    chromium.run("dispatchEvent(new Event('afterprint'))")
    assert not chromium.run("document.querySelector('.open details').open")
    pdf = chromium.pdf()
    assert pdf.startswith(b"%PDF")
    assert 2 <= pdf.count(b"/Type /Page\n") <= 12


def test_what_slips_through_cannot_run(chromium: browser.Browser, tmp_path: Path) -> None:
    """Even raw markup put into the page runs no script, applies no style and reaches no network."""
    evil = (
        "<script>document.title = 'evil'</script><img src=x onerror=\"document.title = 'evil'\">"
        "<a id=evil href=\"javascript:document.title='evil'\">x</a><base href=http://127.0.0.1:9/>"
        "<link rel=stylesheet href=http://127.0.0.1:9/a.css><style>body { display: none }</style>"
    )
    (tmp_path / "index.html.j2").write_text(
        '{% extends "default/index.html.j2" %}{% block footer %}' + evil + "{% endblock %}"
    )
    page = tmp_path / "page.html"
    page.write_text(html_report([samples.decision()], templates=tmp_path))
    chromium.open(page.as_uri())
    click(chromium, "#evil")
    refused = [each for each in chromium.complaints() if "violates" in each or "Content Security" in each]
    assert len(refused) >= 4
    assert chromium.run("document.title") == "Decisions"
    assert chromium.run("getComputedStyle(document.body).display") == "block"
    assert not [each for each in chromium.requests() if each.startswith("http")]
    (tmp_path / "index.html.j2").unlink()
    hostile = samples.nasty()
    hostile.update(title=evil, group=evil, notes=evil, command=evil, risks=[evil])
    page.write_text(html_report([hostile, {**unpaired(), "group": evil, "title": f"</script>{evil}"}]))
    for part in ("", "#nasty", "#two-files"):
        chromium.open(page.as_uri() + part)
        assert chromium.complaints() == []
        assert "evil" not in chromium.run("document.title").split(" - ")[-1]
        assert chromium.run("document.querySelectorAll('img, base, main a[href^=java]').length") == 0


def test_two_hundred_decisions_work(chromium: browser.Browser, tmp_path: Path) -> None:
    """A large report sorts, filters and opens its last decision."""
    docs: list[dict[str, Any]] = []
    for number in range(200):
        docs.append(
            samples.decision(
                1.0, 1.0 / (1.0 + number / 50), slug=f"d-{number}", id=f"d{number}", title=f"Case {number}"
            )
        )
    page = tmp_path / "page.html"
    page.write_text(html_report(docs))
    chromium.open(page.as_uri())
    click(chromium, "th[data-sort=saved] button")
    assert chromium.run(SHOWN)[:3] == ["Case 199", "Case 198", "Case 197"]
    click(chromium, "th[data-sort=title] button")
    assert chromium.run(SHOWN)[8:11] == ["Case 8", "Case 9", "Case 10"]
    chromium.run("location.hash = '#d-199'")
    settled(chromium)
    assert chromium.run("document.querySelector('.open h2').textContent") == "Case 199"
    assert chromium.complaints() == []
