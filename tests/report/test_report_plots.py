"""The plot is well-formed, readable without its colours, and the same bytes every time."""

from __future__ import annotations

import itertools
import math
import re
from xml.etree import ElementTree

import pytest
import samples
from hypothesis import given
from hypothesis import strategies as st

from pytest_optbench.report import scale
from pytest_optbench.report.plots import BOTTOM, HEIGHT, TOP, WIDTH, pairs_svg

SVG = "{http://www.w3.org/2000/svg}"


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def words(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def tips(root: ElementTree.Element) -> list[str]:
    return [t.text or "" for group in root.iter(f"{SVG}g") for t in group.iter(f"{SVG}title")]


@pytest.mark.parametrize("count", [1, 2, 3, 10, 15, 40, 400])
def test_every_pair_has_a_mark_inside_the_frame(count: int) -> None:
    """Each pair is one mark with a tip that names it, and nothing is drawn outside the picture."""
    doc = samples.decision(n=max(count, 2))
    doc["pairs"] = doc["pairs"][:count]
    root = parse(pairs_svg(doc))
    assert len(tips(root)) == count
    assert tips(root)[0].startswith("Pair 1: 75.10 % = 4.016x, baseline first")
    for circle in root.iter(f"{SVG}circle"):
        x, y = float(circle.get("cx", "")), float(circle.get("cy", ""))
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT
    for element in root.iter(f"{SVG}text"):
        assert -1 <= float(element.get("x", "")) <= WIDTH
        assert 0 <= float(element.get("y", "")) <= HEIGHT


def test_no_pair_is_said_in_words() -> None:
    """A decision without trials has a picture that says so, with its reasons."""
    root = parse(pairs_svg(samples.not_equivalent()))
    assert "No pair of trials was measured" in words(root)
    assert "not-equivalent" in words(root)
    assert tips(root) == []
    assert root.find(f"{SVG}desc").text == "No pair of trials was measured."  # type: ignore[union-attr]


def test_it_can_be_read_by_a_screen_reader() -> None:
    """The picture has a role, a title with the verdict and a description with the figures."""
    root = parse(pairs_svg(samples.inconclusive()))
    assert root.get("role") == "img"
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert description is not None
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert title.text == "Adaptive chunks: INCONCLUSIVE"
    assert description.text == (
        "Time saved in each of 20 pairs of trials. Estimate 5.94 % = 1.063x, interval 4.71 % to 7.16 % = "
        "1.049x to 1.077x. Needed: at least 5.00 % time saved = 1.053x."
    )


def test_order_is_told_by_shape_and_outliers_by_a_ring() -> None:
    """Who ran first is a shape as well as a colour; an outlier is ringed and stays in the picture."""
    doc = samples.decision()
    doc["pairs"][2]["weight"] = 0.2
    svg = pairs_svg(doc)
    root = parse(svg)
    first = sum(pair["order"] == 1 for pair in doc["pairs"])
    dots = [c for c in root.iter(f"{SVG}circle") if c.get("class") == "ob-first"]
    rings = [c for c in root.iter(f"{SVG}circle") if c.get("class") == "ob-ring"]
    assert len(dots) == first + 1  # and one in the legend
    assert len(rings) == 2
    assert "outlier" in words(root)
    assert tips(root)[2].endswith("optimized first, outlier")
    assert "outlier" not in words(parse(pairs_svg(samples.decision())))


def test_a_far_outlier_is_named_at_the_edge() -> None:
    """One slow run does not squeeze the others: it becomes an arrow with its value."""
    root = parse(pairs_svg(samples.inconclusive()))
    assert "-30 %" in words(root)
    heights = [float(c.get("cy", "")) for c in root.iter(f"{SVG}circle") if c.get("class") == "ob-first"]
    assert max(heights[:-1]) - min(heights[:-1]) > (BOTTOM - TOP) / 4


def test_references_off_the_axis_are_named() -> None:
    """A huge gain does not hide the margin: it is named with an arrow instead of a line."""
    root = parse(pairs_svg(samples.decision(1.0, 1 / 322.19)))
    assert {"measured", "needed, below", "no change, below"} <= set(words(root))
    assert not [line for line in root.iter(f"{SVG}line") if line.get("class") == "ob-margin"]
    near = parse(pairs_svg(samples.inconclusive()))
    assert {"measured", "needed", "no change"} <= set(words(near))
    assert [line for line in near.iter(f"{SVG}line") if line.get("class") == "ob-margin"]
    slower = parse(pairs_svg(samples.decision(1.0, 3.0)))
    assert {"needed, above", "no change, above"} <= set(words(slower))


def test_bands_are_drawn_and_explained_only_where_known() -> None:
    """The interval and the control have a band and a legend each; an unknown one has neither."""
    root = parse(pairs_svg(samples.inconclusive()))
    assert {"95 % confidence interval", "baseline against itself (99 %)"} <= set(words(root))
    bare = samples.inconclusive(control=None, ratio={"estimate": None, "ci_low": None, "ci_high": None})
    svg = pairs_svg(bare)
    assert not {"95 % confidence interval", "baseline against itself (99 %)"} & set(words(parse(svg)))
    assert '<rect class="ob-interval"' not in svg
    assert '<rect class="ob-control"' not in svg


def test_looks_before_the_last_are_marked() -> None:
    """The picture shows where it was looked at and went on."""
    assert [word for word in words(parse(pairs_svg(samples.inconclusive()))) if word.startswith("look")] == [
        "look 1",
        "look 2",
    ]


def test_it_follows_the_readers_scheme_and_loads_nothing() -> None:
    """Colours for a dark scheme are in the file; no script, no font, no picture is fetched."""
    svg = pairs_svg(samples.nasty())
    assert "@media (prefers-color-scheme: dark)" in svg
    for forbidden in ("<script", "href", "url(", "@import", "onload", "<foreignObject", "<image"):
        assert forbidden not in svg
    light = set(re.findall(r"\.ob-([\w-]+)\{", svg.split("@media")[0]))
    dark = set(re.findall(r"\.ob-([\w-]+)\{", svg.split("@media")[1]))
    assert light - dark == {"font"}
    used = {name for found in re.findall(r'class="([^"]+)"', svg) for name in found.split()}
    assert used <= {f"ob-{name}" for name in light}


@pytest.mark.parametrize(
    "sample", [samples.decision, samples.not_equivalent, samples.inconclusive, samples.nasty]
)
def test_the_same_document_gives_the_same_bytes(sample: object) -> None:
    """Nothing but the document goes into the picture."""
    assert callable(sample)
    assert pairs_svg(sample()) == pairs_svg(sample())


@given(
    st.lists(st.floats(-300, 300), min_size=1, max_size=45),
    st.lists(st.sampled_from([1, -1]), min_size=45, max_size=45),
)
def test_any_trials_can_be_drawn(log_ratios: list[float], orders: list[int]) -> None:
    """Ratios from nothing to astronomical give a well-formed picture with finite coordinates."""
    doc = samples.decision(n=2)
    model = doc["pairs"][0]
    doc["pairs"] = [
        {**model, "index": index, "log_ratio": value, "order": order}
        for index, (value, order) in enumerate(zip(log_ratios, orders, strict=False))
    ]
    svg = pairs_svg(doc)
    assert len(tips(parse(svg))) == len(log_ratios)
    assert not re.search(r'="[^"]*\b(nan|inf)\b', svg)


@given(st.floats(-1e6, 0.999999), st.floats(1e-9, 1e6))
def test_ticks_are_round_and_inside(low: float, size: float) -> None:
    """Ticks lie inside the axis, evenly spaced, between two and a dozen of them."""
    values = scale.ticks(low, low + size)
    if size < 1e-6 * abs(low):
        return
    assert 2 <= len(values) <= 13
    assert all(low - 1e-6 * size <= value <= low + size * 1.000001 for value in values)


@given(st.lists(st.floats(-100, 1), max_size=40), st.floats(-10, 1), st.floats(0, 1))
def test_the_axis_holds_what_it_must(values: list[float], low: float, size: float) -> None:
    """The interval always lies on the axis, whatever the trials."""
    start, end = scale.span(values, [low, low + size], [0.05, 0.0])
    assert start < low
    assert low + size < end
    assert math.isfinite(start)


@given(st.lists(st.floats(0, 240), min_size=1, max_size=4))
def test_labels_do_not_overlap(positions: list[float]) -> None:
    """Labels keep their order and a distance, and stay inside."""
    placed = scale.spread(positions, 36.0, 0.0, 240.0)
    ordered = sorted(placed)
    assert all(b - a >= 36.0 - 1e-6 for a, b in itertools.pairwise(ordered))
    assert ordered[-1] <= 240.0
    assert ordered[0] >= -1e-6


def test_labels_stay_where_there_is_room() -> None:
    """A label moves only when it must."""
    assert scale.spread([10.0, 100.0, 200.0], 36.0, 0.0, 240.0) == [10.0, 100.0, 200.0]


@pytest.mark.parametrize(("values", "digits"), [([1.0, 2.0], 0), ([0.5, 1.0], 1), ([0.025], 3), ([1 / 3], 6)])
def test_tick_labels_have_the_decimals_they_need(values: list[float], digits: int) -> None:
    """Decimals are as many as the ticks need and no more."""
    assert scale.decimals(values) == digits


def test_the_plot_area_is_inside_the_picture() -> None:
    """The constants of the layout fit each other."""
    assert 0 < TOP < BOTTOM < HEIGHT
