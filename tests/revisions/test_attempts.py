"""Which attempt a comparison of revisions is, according to the report folder and the history."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pytest_optbench.history.location import locate
from pytest_optbench.history.read import read
from pytest_optbench.history.write import check_writable, write_run
from pytest_optbench.options import Settings
from pytest_optbench.revisions.benchmark import Question, Wanted, open_region
from pytest_optbench.revisions.sides import BASELINE, OPTIMIZED

ID = "tests/test_speed.py::test_speed"
GOLDEN = Path(__file__).parents[1] / "golden" / "decision_v1_inconclusive.json"


def code(ran: str, tree: str = "t", dirt: str | None = None) -> dict[str, dict[str, Any]]:
    """Return what a document says of two revisions, by letters: ``ran`` of the baseline and of the working tree."""
    return {
        name: {"revision": name, "sha256": letter * 64, "tree": tree * 40, "dirt_sha256": dirt}
        for name, letter in zip((BASELINE, OPTIMIZED), ran, strict=True)
    }


def decided(of: dict[str, dict[str, Any]] | None, verdict: str = "REJECT", day: int = 1) -> dict[str, Any]:
    """Return a decision on these two codes, None for one that does not say on which."""
    doc: dict[str, Any] = json.loads(GOLDEN.read_text())
    started = f"2026-11-{day:02d}T10:00:00Z"
    return {**doc, "id": ID, "slug": "x", "verdict": verdict, "code": of, "earlier": [], "started": started}


def attempt(root: Path, of: dict[str, dict[str, Any]], *history: dict[str, Any]) -> tuple[int, float]:
    """Return which attempt a comparison is and the level of its first look, with a history of these decisions."""
    location = locate(str(root / "history"))
    check_writable(location)
    for doc in history:
        write_run(location, [doc])
    held = read(location).trail()
    question = Question(Settings(enabled=True, history="history"), {}, {})
    wanted = Wanted(ID, "test_speed", "tests/test_speed.py", 1, False, {})
    prepared = open_region(ID, wanted, question, of, root, (), held).prepared
    return prepared.attempt, prepared.plan.limits[0]


def test_attempts_on_the_same_codes_are_counted_from_the_history(tmp_path: Path) -> None:
    """Without a report folder, two undecided comparisons of the same codes make the next a stricter third."""
    first, limit = attempt(tmp_path, code("ab"))
    third, stricter = attempt(
        tmp_path, code("ab"), decided(code("ab")), decided(code("ab"), "INCONCLUSIVE", 2)
    )
    assert (first, third) == (1, 3)
    assert stricter < limit


def test_other_codes_are_another_subject(tmp_path: Path) -> None:
    """Neither another working tree nor another base is an attempt, wherever it stands in between."""
    others = decided(code("ac", "o"), day=1), decided(code("cb", "o"), day=3)
    assert attempt(tmp_path, code("ab"), *others)[0] == 1
    assert attempt(tmp_path, code("ab"), decided(code("ab"), day=2))[0] == 2


def test_an_accept_ends_the_count_for_its_codes_only(tmp_path: Path) -> None:
    """After an ACCEPT on the same codes the count begins anew; one on other codes changes nothing."""
    tried = decided(code("ab"), day=1)
    assert attempt(tmp_path / "other", code("ab"), tried, decided(code("ac", "o"), "ACCEPT", 2))[0] == 2
    assert attempt(tmp_path / "same", code("ab"), tried, decided(code("ab"), "ACCEPT", 2))[0] == 1


def test_another_selection_of_tests_is_the_same_code(tmp_path: Path) -> None:
    """Other files were imported, but git holds the same two trees with the same changes: it is an attempt."""
    assert attempt(tmp_path, code("ab", dirt="1"), decided(code("xy", dirt="1")))[0] == 2
    assert attempt(tmp_path, code("ab", dirt="2"))[0] == 1


def test_a_decision_that_does_not_say_on_which_codes_counts(tmp_path: Path) -> None:
    """It may have been on the same ones; and as an ACCEPT it ends no count."""
    unknown = decided(None, day=1), decided(None, "ACCEPT", 2)
    assert attempt(tmp_path, code("ab"), *unknown)[0] == 2


def test_the_report_folder_and_the_history_count_together(tmp_path: Path) -> None:
    """A decision in both is one attempt, one in the folder alone another."""
    reports = tmp_path / "reports"
    reports.mkdir()
    slug = "tests-test_speed-test_speed"
    (reports / f"{slug}.json").write_text(json.dumps(decided(code("ab"), day=1) | {"slug": slug}))
    assert attempt(tmp_path, code("ab"))[0] == 2
    assert attempt(tmp_path, code("ab"), decided(code("ab"), day=1), decided(code("ab"), day=2))[0] == 3
