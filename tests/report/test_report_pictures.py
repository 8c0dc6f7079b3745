"""PNG pictures: drawn by matplotlib from any decision, the same bytes every time, with a clear error without it."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import samples
from situations import situations
from test_report_html import unpaired

from pytest_optbench.cli import run
from pytest_optbench.report import write_decision

pytest.importorskip("matplotlib", reason="the extra report is not installed")

from matplotlib import image, rcParams
from matplotlib.lines import Line2D

from pytest_optbench.report.pictures import ARMS, FIRST, SECOND, decision_png, overview, overview_png, style


def pixels(png: bytes) -> set[str]:
    """Return the colours of a picture as hexadecimal words."""
    rows = (255 * image.imread(io.BytesIO(png))[..., :3] + 0.5).astype(int).reshape(-1, 3)
    return {f"#{r:02x}{g:02x}{b:02x}" for r, g, b in {tuple(row) for row in rows.tolist()}}


def test_a_picture_shows_pairs_and_times() -> None:
    """Both orders and both arms are drawn in their colours, whatever style the user has set."""
    before = dict(rcParams)
    try:
        rcParams["axes.facecolor"] = "black"
        png = decision_png(samples.inconclusive())
        assert rcParams["axes.facecolor"] == "black"
    finally:
        rcParams.update(before)
    assert {FIRST, SECOND, *ARMS.values()} <= pixels(png)
    assert png == decision_png(samples.inconclusive())
    height, width = image.imread(io.BytesIO(png)).shape[:2]
    assert width > 2 * height > 800


@pytest.mark.parametrize("doc", situations(), ids=lambda doc: doc["slug"])
def test_no_label_is_cut_at_the_edge(doc: samples.Doc) -> None:
    """Long labels of the axes, long names and far times leave the outermost pixels white."""
    picture = image.imread(io.BytesIO(decision_png(doc)))[..., :3]
    assert (picture[:, :3] == 1).all()
    assert (picture[:, -3:] == 1).all()


@pytest.mark.parametrize("count", [1, 3, len(situations())])
def test_the_labels_of_the_overview_stand_apart(count: int) -> None:
    """From one close call to ratios over nine powers of ten the ratios named below lie beside each other."""
    with style():
        figure = overview(situations()[-count:])
        figure.draw_without_rendering()
        (axes,) = figure.axes
        boxes = sorted(
            (label.get_window_extent() for label in axes.get_xticklabels()), key=lambda box: box.x0
        )
    assert len(boxes) >= 2
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_a_verdict_is_told_without_colours() -> None:
    """Each verdict of the overview has a shape of its own, named in the legend."""
    with style():
        (axes,) = overview([samples.decision(), samples.inconclusive(), samples.not_equivalent()]).axes
        legend = axes.get_legend()
        assert legend is not None
        assert [text.get_text() for text in legend.get_texts()] == ["ACCEPT", "REJECT", "INCONCLUSIVE"]
        markers = {handle.get_marker() for handle in legend.legend_handles if isinstance(handle, Line2D)}
    assert len(markers) == 3


@pytest.mark.parametrize(
    "doc",
    [
        samples.decision(n=2),
        samples.decision(1.0, 1 / 322.19, n=40),
        samples.not_equivalent(),
        samples.nasty(),
        unpaired(),
        samples.decision(ratio={"estimate": None, "ci_low": None, "ci_high": None}, control=None),
    ],
    ids=["two-pairs", "huge-gain", "unmeasured", "nasty", "unpaired", "no-estimate"],
)
def test_any_decision_can_be_drawn(doc: samples.Doc) -> None:
    """Nothing measured, no estimate, dollar signs and missing glyphs give a picture and no warning."""
    assert decision_png(doc).startswith(b"\x89PNG")
    assert overview_png([doc]).startswith(b"\x89PNG")


def test_the_overview_grows_with_the_decisions() -> None:
    """None, a few and very many decisions fit into one picture."""
    heights = [
        image.imread(io.BytesIO(overview_png([samples.decision()] * count))).shape[0] for count in (0, 10, 40)
    ]
    assert heights == sorted(heights)
    assert heights[2] > heights[1] + 1000


def test_the_command_draws_every_decision(tmp_path: Path) -> None:
    """`optbench report --png` writes a picture beside each document and one of all; without it none."""
    for doc in (samples.decision(), samples.not_equivalent()):
        write_decision(tmp_path, doc)
    out, err = io.StringIO(), io.StringIO()
    assert run(["report", str(tmp_path)], out, err) == 0
    assert list(tmp_path.glob("*.png")) == []
    assert run(["report", "--png", str(tmp_path)], out, err) == 0
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [
        "benchmarks-test_01_persistent_pool-test_fair.png", "benchmarks-test_02_cache-test_cache.png", "index.png",
    ]  # fmt: skip
    assert err.getvalue() == ""


def test_without_matplotlib_the_extra_is_named(tmp_path: Path) -> None:
    """Everything else is written, and the error says what to install."""
    write_decision(tmp_path, samples.decision())
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"  # what an import finds when it is not installed
        "from pytest_optbench.cli import run\n"
        "sys.exit(run(sys.argv[1:], sys.stdout, sys.stderr))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "report", "--png", str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert (
        "need matplotlib, which is not installed; install it with: pip install 'pytest-optbench[report]'"
        in (done.stderr)
    )
    assert (tmp_path / "index.html").exists()
    assert len(json.loads((tmp_path / "index.json").read_text())) == 1
