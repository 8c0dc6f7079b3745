"""The HTML report as text: one file, safe whatever it holds, complete without a script, replaceable."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import samples
from hypothesis import given
from hypothesis import strategies as st

from pytest_optbench.cli import run
from pytest_optbench.report import charts, series, units, write_decision, write_index
from pytest_optbench.report.html import data_text, html_report
from pytest_optbench.report.reasons import explain
from pytest_optbench.report.templating import TemplateError, check_templates

VOID = {"meta", "link", "br", "input", "img", "hr"}
OPTIONAL_END = {"td", "th", "tr", "li", "dt", "dd", "p", "option"}


class Page(HTMLParser):
    """What a page holds: elements with attributes and path, texts by element."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open[-1] != tag and self._open[-1] in OPTIONAL_END:
            self._open.pop()
        assert self._open, f"</{tag}> ends nothing"
        assert self._open.pop() == tag, f"</{tag}> ends something else"

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self) -> str:
        return " ".join(data for tag, data in self.texts if tag not in ("script", "style"))

    def data(self) -> dict[str, Any]:
        (text,) = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', self.source)
        return dict(json.loads(text))

    @property
    def source(self) -> str:
        return self.rawdata or self._source

    def feed(self, data: str) -> None:
        self._source = data
        super().feed(data)


def unpaired(**changes: Any) -> samples.Doc:
    """Return a decision on two files: an estimate, values of both sides, no pairs."""
    values = {
        "baseline": {"processes": 20, "values": 60, "seconds": [0.0101, 0.0102, 0.0100, 0.0105]},
        "optimized": {"processes": 20, "values": 60, "seconds": [0.0091, 0.0093, 0.0090]},
    }
    return samples.decision(
        pairs=[], looks=[], control=None, title="Two files", slug="two-files", id="two-files",
        verdict="INCONCLUSIVE", reasons=["unpaired"], seed=None,
        unpaired={"unit": "process", "suggests": "faster", **values}, **changes,
    )  # fmt: skip


def several() -> list[samples.Doc]:
    """Return decisions of every kind, in the order of an index."""
    return [
        samples.not_equivalent(),
        samples.inconclusive(p_adjusted=0.12),
        samples.decision(),
        samples.decision(
            0.0101, 0.0109, n=40, half_width=0.009, noise=1.4, goal="no-regression", margin=1 / 1.05,
            verdict="REJECT", reasons=["slower"], title="Sorted cache", id="tests/test_cache.py::test_sorted",
            rank=None, group=None, slug="tests-test_cache-test_sorted", expected=None,
        ),
        unpaired(),
        samples.nasty(),
    ]  # fmt: skip


def test_it_needs_nothing_else() -> None:
    """No element loads anything, and the only links lead inside the page or to the JSON file beside it."""
    page = Page(html_report(several()))
    for name, attributes in page.elements:
        assert "src" not in attributes, name
        assert not [each for each in attributes if each.startswith("on") or each == "style"], name
        for attribute in ("href", "xlink:href", "action", "data"):
            target = attributes.get(attribute, "")
            assert re.fullmatch(r"|#.+|data:,|[\w.-]+\.json", target), (name, target)
    assert not re.search(r"url\(|@import|@font-face", page.source)
    assert "fetch(" not in page.source


def test_the_policy_forbids_the_network_and_other_scripts() -> None:
    """The policy names the digests of the shipped script and style, and nothing else is allowed."""
    page = Page(html_report([samples.decision()]))
    (policy,) = [meta["content"] for meta in page.of("meta") if meta.get("http-equiv")]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert rules["base-uri"] == rules["form-action"] == "'none'"
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page.source, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"


def test_hostile_text_stays_text() -> None:
    """Titles, groups, notes and values that try to be markup are shown, in the page and in its data."""
    evil = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(1)> \u2028 ]]> \"' javascript:alert(1)"
    doc = samples.nasty()
    doc.update(title=evil, group=evil, notes=f"{evil}\n\n{evil}", command=evil, summary=evil, reasons=[evil])
    page = Page(html_report([doc, {**samples.nasty(), "slug": "other"}], [evil]))
    assert len(page.of("script")) == 2
    assert page.of("img") == []
    assert len(page.of("article")) == 2
    assert "<script>alert(1)</script><!-- <img src=x onerror=alert(1)>" in page.text()
    assert page.data()["decisions"][0]["title"] == evil
    data = data_text([doc])
    assert data.isascii()
    shown = re.search(r'id="page:data">(.*?)</script>', page.source)
    assert shown is not None
    assert not re.search("[<>&\u2028]", shown[1])


def test_ids_are_unique_and_links_lead_somewhere() -> None:
    """Every id occurs once, also for slugs that look like names of the page, and every inner link has a target."""
    docs = [samples.decision(slug=slug, id=slug) for slug in ("overview", "data", "main", "body", "location")]
    page = Page(html_report(docs + several()))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    inner = {a["href"][1:] for _, a in page.elements if a.get("href", "").startswith("#")}
    assert inner <= set(ids)
    assert {doc["slug"] for doc in docs} <= inner
    for _, attributes in page.elements:
        assert attributes.get("aria-labelledby", ids[0]) in ids


@pytest.mark.parametrize("number", range(6))
def test_everything_a_decision_says_is_on_its_page(number: int) -> None:
    """Verdict, reasons in words, criteria, trials, environment, risks and the command are in the text."""
    doc = several()[number]
    page = Page(html_report([doc]))
    text = re.sub(r"\s+", " ", page.text())
    wanted = [doc["verdict"], *(explain(code) for code in doc["reasons"] if not code.startswith("a|b"))]
    if number != 5:
        wanted += [doc["title"], doc["id"], doc["summary"], doc["command"], doc["baseline"]["name"]]
        wanted += [each["required"] for each in doc["criteria"]] + doc["risks"]
        wanted += [each["message"] for each in doc["diagnostics"]] + list(doc["environment"] or {})
        wanted += [entry["started"] for entry in doc["earlier"]]
    for each in wanted:
        assert each in text, each
    headings = [name for name, _ in page.elements if re.fullmatch("h[1-6]", name)]
    assert headings[:2] == ["h1", "h2"]
    levels = [int(name[1]) for name in headings]
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_tables_have_headers_for_every_column() -> None:
    """Rows are as long as their header, and header cells say what they head."""
    html = html_report(several())
    for table in re.findall(r"<table.*?</table>", html, re.DOTALL):
        page = Page(table)
        assert all("scope" in header for header in page.of("th"))
        rows = [re.findall(r"<t[hd][ >]", row) for row in re.split(r"<tr", table)[1:]]
        assert len({len(row) for row in rows}) == 1, table[:300]
    assert html.count("<caption>") > 40


def test_charts_are_drawn_where_there_is_something_to_draw() -> None:
    """A measured decision has six charts with words for a screen reader; an unmeasured one says so."""
    page = Page(html_report([samples.inconclusive()]))
    figures = [a["class"].split()[1] for a in page.of("figure")]
    assert figures == ["interval", "pairs", "distributions", "looks", "drift", "control"]
    assert all(a["aria-label"] for a in page.of("svg") if a.get("role") == "img")
    empty = Page(html_report([samples.not_equivalent()]))
    assert empty.of("figure") == []
    assert "Nothing was measured." in empty.text()
    files = Page(html_report([unpaired()]))
    assert [a["class"].split()[1] for a in files.of("figure")] == ["interval", "distributions"]
    assert "There are no pairs: the two sides are unpaired." in files.text()
    assert html_report([]).count("No decision has been made yet.") == 1


def test_every_pair_is_a_mark_named_by_its_tip() -> None:
    """The pairs plot holds one mark per pair with its figures; one off the axis is an arrow with its value."""
    doc = samples.inconclusive()
    chart = charts.CHARTS["pairs"](doc)
    assert chart is not None
    tips = re.findall("<title>(.*?)</title>", chart.markup)
    assert sorted(tips, key=lambda tip: int(re.findall(r"\d+", tip)[0])) == [
        f"Pair {mark.number}: {units.both(mark.ratio)}{', outlier' if mark.outlier else ''}"
        for mark in series.marks(doc)
    ]
    assert ">-30 %</text>" in chart.markup
    assert [key.words for key in chart.legend][:3] == [
        "baseline ran first", "optimized ran first", "outlier, weighted down",
    ]  # fmt: skip


def test_a_reference_off_the_axis_is_named_with_its_direction() -> None:
    """The threshold of a huge gain is below the axis, and the legend says so."""
    chart = charts.CHARTS["pairs"](samples.decision(1.0, 1 / 322.19))
    assert chart is not None
    assert "needed: 5.00 % = 1.053x (below the axis)" in [key.words for key in chart.legend]
    slower = charts.CHARTS["pairs"](samples.decision(1.0, 3.0))
    assert slower is not None
    assert "needed: 5.00 % = 1.053x (above the axis)" in [key.words for key in slower.legend]


def test_the_embedded_data_is_small_and_complete() -> None:
    """The data hold every decision with its pairs as columns, and no single runs."""
    docs = several()
    found = json.loads(data_text(docs))
    assert found["schema"] == "optbench/report/1"
    assert [each["id"] for each in found["decisions"]] == [doc["id"] for doc in docs]
    pairs = found["decisions"][1]["pairs"]
    assert pairs["baseline_s"] == [pair["baseline_s"] for pair in docs[1]["pairs"]]
    assert "runs" not in pairs


def test_a_hundred_long_decisions_make_a_small_file() -> None:
    """100 decisions of 40 pairs of 40 runs give a file that opens on a phone."""
    docs = []
    for number in range(100):
        slug = f"benchmarks-test_{number:03}_frames-test_shared_frame-100k-rows"
        doc = samples.decision(0.0101, 0.0095, n=40, noise=1.6, slug=slug, id=f"{slug}.py::test")
        for pair in doc["pairs"]:
            pair["runs"] = pair["runs"] * 20
        docs.append(doc)
    html = html_report(docs)
    assert len(html.encode()) < 5_500_000
    assert len(Page(html).of("article")) == 100


@given(
    st.lists(st.floats(-300, 300), min_size=1, max_size=45),
    st.lists(st.floats(1e-9, 1e6), min_size=90, max_size=90),
)
def test_any_trials_can_be_drawn(log_ratios: list[float], times: list[float]) -> None:
    """Ratios and times from nothing to astronomical give charts with finite coordinates inside the width."""
    doc = samples.decision(n=2)
    model = doc["pairs"][0]
    doc["pairs"] = [
        {**model, "index": i, "log_ratio": d, "baseline_s": times[2 * i], "optimized_s": times[2 * i + 1],
         "order": 1 if i % 3 else -1, "started_s": float(i), "control": [d / 7]}
        for i, d in enumerate(log_ratios)
    ]  # fmt: skip
    for make in charts.CHARTS.values():
        chart = make(doc)
        if chart is None:
            continue
        assert not re.search(r'="[^"]*\b(nan|inf)\b', chart.markup)
        places = re.findall(r' (?:c?x[12]?)="(-?[\d.e+]+)%"', chart.markup)
        assert places
        assert all(-0.1 <= float(place) <= 100.1 for place in places)


def test_the_same_decisions_give_the_same_bytes(tmp_path: Path) -> None:
    """The page depends on the decisions alone and is written with the index."""
    for doc in several():
        write_decision(tmp_path, doc)
    index = write_index(tmp_path)
    first = index.html.read_bytes()
    assert index.html == tmp_path / "index.html"
    assert write_index(tmp_path).html.read_bytes() == first
    assert len(Page(first.decode()).of("article")) == 6


def test_templates_can_be_extended_and_replaced(tmp_path: Path) -> None:
    """A template of the user adds to the page; a style of the user replaces the shipped one and is allowed."""
    (tmp_path / "index.html.j2").write_text(
        '{% extends "default/index.html.j2" %}{% block footer %}<footer>{{ docs[0].title }}</footer>{% endblock %}'
    )
    (tmp_path / "decision.html.j2").write_text(
        "<article id={{ doc.slug }}>{{ doc.notes }} {{ doc.title }}</article>"
    )
    (tmp_path / "report.css").write_text("body { color: teal }\r\n")
    check_templates(tmp_path)
    html = html_report([samples.decision(title="<b>A & B</b>", notes="n<i>")], templates=tmp_path)
    assert "<footer>&lt;b&gt;A &amp; B&lt;/b&gt;</footer>" in html
    assert "n&lt;i&gt;" in html
    assert "<style>body { color: teal }\n</style>" in html
    digest = base64.b64encode(hashlib.sha256(b"body { color: teal }\n").digest()).decode()
    assert f"style-src &#39;sha256-{digest}&#39;" in html


def test_a_wrong_template_is_an_error_with_its_name(tmp_path: Path) -> None:
    """A broken page template and a script that would end its element early are refused with the cure."""
    (tmp_path / "decision.html.j2").write_text("{{ doc.nothing }}")
    with pytest.raises(
        TemplateError, match=r"decision\.html\.j2 cannot be rendered: .*has no attribute 'nothing'"
    ):
        html_report([samples.decision()], templates=tmp_path)
    (tmp_path / "index.html.j2").write_text("{% if %}")
    with pytest.raises(TemplateError, match=r"index\.html\.j2 line 1 cannot be rendered"):
        check_templates(tmp_path)
    (tmp_path / "report.js").write_text('const x = "</SCRIPT>";')
    with pytest.raises(TemplateError, match=r"report\.js must not hold '</script'.*write it in two parts"):
        html_report([], templates=tmp_path)
    (tmp_path / "index.html.j2").unlink()
    (tmp_path / "report.js").write_bytes(b"\xff")
    with pytest.raises(TemplateError, match=r"report\.js cannot be read"):
        check_templates(tmp_path)


def test_the_report_command_writes_the_page(tmp_path: Path) -> None:
    """`optbench report` renders the page again from the JSON files, with the templates given."""
    write_decision(tmp_path / "r", samples.decision())
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "index.html.j2").write_text("{{ counts }}")
    out, err = io.StringIO(), io.StringIO()
    assert run(["report", str(tmp_path / "r"), "--templates", str(tmp_path / "t")], out, err) == 0
    assert (tmp_path / "r" / "index.html").read_text() == "1 decision: 1 ACCEPT"
    shutil.rmtree(tmp_path / "t")
    assert run(["report", str(tmp_path / "r")], out, err) == 0
    assert "Persistent worker pool" in (tmp_path / "r" / "index.html").read_text()
    assert err.getvalue() == ""
