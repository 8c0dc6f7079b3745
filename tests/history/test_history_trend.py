"""What is selected from a history, and how decisions and groups went over time."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from samples import NASTY, decision, inconclusive, nasty, not_equivalent

from pytest_optbench.history.location import Location
from pytest_optbench.history.plot import WORDED, plot
from pytest_optbench.history.read import Record, read
from pytest_optbench.history.select import Selection, one_subject, parse_since
from pytest_optbench.history.trend import cumulative, series
from pytest_optbench.history.write import write_run
from pytest_optbench.store.errors import StoreError

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def records(history: Location) -> list[Record]:
    """Return five decisions on three subjects."""
    write_run(history, [decision(started="2026-11-01T10:00:00Z", verdict="REJECT", reasons=["slower"])])
    write_run(
        history, [decision(started="2026-11-20T10:00:00Z"), inconclusive(started="2026-11-20T10:01:00Z")]
    )
    write_run(history, [inconclusive(started=None), not_equivalent(started="2026-11-21T10:00:00Z")])
    return read(history).records


@pytest.mark.parametrize(
    ("selection", "titles"),
    [
        (Selection(), ["Adaptive chunks", "Persistent worker pool", "Persistent worker pool", "Adaptive chunks",
                       "Cached parser"]),
        (Selection(subject="CHUNKS"), ["Adaptive chunks", "Adaptive chunks"]),
        (Selection(subject="benchmarks/test_02_cache.py::test_cache"), ["Cached parser"]),
        (Selection(verdict="REJECT"), ["Persistent worker pool", "Cached parser"]),
        (Selection(since=datetime(2026, 11, 21, tzinfo=UTC)), ["Adaptive chunks", "Cached parser"]),
        (Selection(group="nobody"), []),
    ],
)  # fmt: skip
def test_selections(records: list[Record], selection: Selection, titles: list[str]) -> None:
    """Subject, verdict, group and time each narrow the list; a decision without a time is never too old."""
    assert [record.title for record in selection.of(records)] == titles


def test_an_exact_id_is_that_subject_alone(history: Location) -> None:
    """An id that is also a part of another id names only its own subject."""
    write_run(history, [decision(id="t.py::test"), decision(id="t.py::test[8]")])
    found = read(history).records
    assert [record.id for record in one_subject(found, "t.py::test")] == ["t.py::test"]


def test_an_exact_title_is_that_subject_alone(history: Location) -> None:
    """A title that is also a part of another one names its own subject, with what was decided under other titles."""
    write_run(
        history,
        [decision(id="t.py::a", title="test_rec"), decision(id="t.py::b", title="test_rec_diff")],
    )
    write_run(history, [decision(id="t.py::a", title="an older name")])
    found = read(history).records
    assert [record.id for record in one_subject(found, "test_rec")] == ["t.py::a"] * 2


def test_a_subject_must_be_one(records: list[Record]) -> None:
    """A name for none or several subjects is an error that says which there are."""
    with pytest.raises(StoreError, match="must hold a decision on 'zebra'; see optbench history list"):
        one_subject(records, "zebra")
    with pytest.raises(
        StoreError, match=r"unambiguously, received 'test_0', which is in: benchmarks/test_01.*, "
    ):
        one_subject(records, "test_0")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T10:00:00Z", datetime(2026, 11, 20, 10, tzinfo=UTC)),
        ("2026-11-20T10:00:00+02:00", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("12h", datetime(2026, 11, 22, tzinfo=UTC)),
        ("2d", datetime(2026, 11, 20, 12, tzinfo=UTC)),
        ("1w", datetime(2026, 11, 15, 12, tzinfo=UTC)),
    ],
)
def test_moments(text: str, moment: datetime) -> None:
    """Dates, times and spans before now are understood, without a zone as UTC."""
    assert parse_since(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "5", "-3d", "999999w", "2026-13-01"])
def test_what_is_no_moment(text: str) -> None:
    """Anything else is an error that shows what can be written."""
    with pytest.raises(ValueError, match="must be a date such as 2026-11-22, or 12h, 30d, 8w ago; received"):
        parse_since(text, NOW)


def test_old_runs_are_not_even_opened(history: Location) -> None:
    """The time in a file's name leaves out runs from before, damaged or not; a renamed file is read."""
    write_run(history, [decision()])
    (Path(history.base) / "20200101T000000.000000Z-00.parquet").write_bytes(b"damaged")
    assert len(read(history).problems) == 1
    assert read(history, since=datetime(2021, 1, 1, tzinfo=UTC)).problems == []
    (Path(history.base) / "renamed.parquet").write_bytes(b"damaged")
    assert [p.file for p in read(history, since=datetime(2021, 1, 1, tzinfo=UTC)).problems] == [
        "renamed.parquet"
    ]


def test_a_series_per_subject(records: list[Record]) -> None:
    """Decisions are brought together by id, oldest first, under the newest title."""
    assert [(s.title, [r.verdict for r in s.records]) for s in series(records)] == [
        ("Persistent worker pool", ["REJECT", "ACCEPT"]),
        ("Cached parser", ["REJECT"]),
        ("Adaptive chunks", ["INCONCLUSIVE", "INCONCLUSIVE"]),
    ]


def gain(name: str, ratio: float, half: float, **changes: Any) -> dict[str, Any]:
    """Return a decision with that ratio and the limits ``half`` of it away, as factors."""
    interval = {"estimate": ratio, "ci_low": ratio / half, "ci_high": ratio * half}
    return decision(id=name, ratio=interval, **changes)


def test_accepted_gains_of_a_group_multiply(history: Location) -> None:
    """Two accepted ratios 2x and 3x make 6x; what was not accepted, or has another goal, does not count."""
    run = [
        gain("a", 2.0, 1.03), gain("b", 3.0, 1.04), gain("c", 9.0, 1.1, verdict="REJECT", reasons=["total-time"]),
        gain("d", 5.0, 1.1, goal="no-regression"), gain("e", 7.0, 1.1, group=None),
    ]  # fmt: skip
    write_run(history, run)
    (line,) = cumulative(read(history).records)
    assert (line.group, line.count, line.decisions) == ("pool", 2, 3)
    assert line.ratio == pytest.approx(6.0)
    # ln 1.03 = 0.029559, ln 1.04 = 0.039221; the root of the sum of squares is 0.049111
    assert line.ci_low == pytest.approx(6.0 / 1.050337, rel=1e-5)
    assert line.ci_high == pytest.approx(6.0 * 1.050337, rel=1e-5)


def test_a_group_without_an_accepted_gain_stays_where_it_was(records: list[Record]) -> None:
    """Nothing accepted multiplies to 1x, and the line says so by its count."""
    first = cumulative(records)[0]
    assert (first.count, first.ratio, first.ci_low, first.ci_high) == (0, 1.0, 1.0, 1.0)


def test_a_trend_is_drawn_as_svg(history: Location, records: list[Record], tmp_path: Path) -> None:
    """The picture is well-formed, shows every verdict it has, and is the same bytes each time."""
    for name in ("a.svg", "b.svg"):
        plot(series(records), tmp_path / name)
    data = (tmp_path / "a.svg").read_bytes()
    assert ET.fromstring(data).tag == "{http://www.w3.org/2000/svg}svg"
    assert data == (tmp_path / "b.svg").read_bytes()


def test_a_trend_is_drawn_as_png(records: list[Record], tmp_path: Path) -> None:
    """The suffix chooses the format, in any case."""
    plot(series(records)[:1], tmp_path / "a.PNG")
    assert (tmp_path / "a.PNG").read_bytes().startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize(("count", "named"), [(2, 1), (WORDED, WORDED // 2), (WORDED + 2, 0)])
def test_what_measured_nothing_is_named_while_there_is_room(
    history: Location, tmp_path: Path, count: int, named: int
) -> None:
    """A decision without a figure is a dotted line in the legend, with its reason unless there are too many."""
    write_run(history, [decision(id="t"), not_equivalent(id="t")])
    (subject,) = series(read(history).records)
    plot([replace(subject, records=subject.records * (count // 2))], tmp_path / "a.svg")
    data = (tmp_path / "a.svg").read_bytes()
    assert data.count(b"<!-- not measured -->") == 1
    assert data.count(b"<!-- REJECT: not-equivalent -->") == named


def test_hostile_text_can_be_drawn(history: Location, tmp_path: Path) -> None:
    """Formulas, emoji, control characters and markup of a title are text in the picture."""
    write_run(history, [nasty(), decision(id="m", title="$\\frac{$", pairs=[], reasons=[NASTY])])
    plot(series(read(history).records), tmp_path / "a.svg")
    assert b"<script" not in (tmp_path / "a.svg").read_bytes()


@pytest.mark.parametrize(
    ("name", "count", "message"),
    [
        ("a.pdf", 1, r"a plot must end in \.svg or \.png, received 'a\.pdf'"),
        ("a.svg", 0, "a plot shows 1 to 24 subjects, received 0; name one with --subject"),
        ("a.svg", 25, "received 25"),
        ("missing/a.svg", 1, "cannot be written: No such file or directory; name another file"),
    ],
)
def test_what_cannot_be_drawn(
    records: list[Record], tmp_path: Path, name: str, count: int, message: str
) -> None:
    """Format, number of subjects and place are checked, each with its cure."""
    with pytest.raises(StoreError, match=message):
        plot(series(records)[:1] * count, tmp_path / name)
