"""A folder is read back from its JSON files; ledger and index come from nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import samples

from pytest_optbench.store import attempt_number, earlier, schema
from pytest_optbench.store.folder import index_text, read_folder, stem_for
from pytest_optbench.store.ledger import entry


def put(folder: Path, doc: samples.Doc, name: str | None = None) -> Path:
    path = folder / f"{name or doc['slug']}.json"
    path.write_text(schema.dumps(doc))
    return path


def test_a_missing_folder_holds_nothing(tmp_path: Path) -> None:
    """Reading what was never written is no error."""
    assert read_folder(tmp_path / "none").ordered() == []


def test_decisions_are_ordered_by_group_rank_title_and_id(tmp_path: Path) -> None:
    """The order of the index does not depend on file names or times."""
    for slug, group, rank, title in (
        ("a", "z", 1, "t"), ("b", "m", None, "t"), ("c", "m", 3, "u"), ("d", "m", 3, "t"),
        ("e", None, 9, "t"),
    ):  # fmt: skip
        put(tmp_path, samples.decision(id=f"id-{slug}", slug=slug, group=group, rank=rank, title=title))
    assert [doc["slug"] for doc in read_folder(tmp_path).ordered()] == ["e", "d", "c", "b", "a"]


def test_what_is_no_decision_is_named_and_left_alone(tmp_path: Path) -> None:
    """Broken, foreign, newer, linked, undecodable and copied files are warnings; none of them changes."""
    good = put(tmp_path, samples.decision())
    (tmp_path / "broken.json").write_text('{"schema": "optbench/decision/1", "id":')
    (tmp_path / "foreign.json").write_text('{"benchmarks": []}')
    (tmp_path / "newer.json").write_text('{"schema": "optbench/decision/99"}')
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "link.json").symlink_to(good)
    (tmp_path / "folder.json").mkdir()
    put(tmp_path, samples.decision(), "copy")
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    found = read_folder(tmp_path)
    assert list(found.decisions) == [good.stem]
    text = "\n".join(found.warnings)
    for message in (
        "broken.json is not in the index: a decision must be JSON",
        "foreign.json is not in the index: .*received schema None",
        "newer.json is not in the index: .*upgrade pytest-optbench",
        "bytes.json is not in the index: .*decode",
        "link.json is not in the index: .*symbolic link",
        "folder.json is not in the index: ",
        "copy.json is not in the index: it holds the decision of .*copied or renamed",
    ):
        assert len([line for line in found.warnings if re.match(message, line)]) == 1, text
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_the_newest_of_two_decisions_on_one_id_counts(tmp_path: Path) -> None:
    """Two files for one subject give one entry and a warning that names the older."""
    put(tmp_path, samples.decision(slug="old", started="2026-01-01T00:00:00Z"))
    put(tmp_path, samples.decision(slug="new", started="2026-02-01T00:00:00Z"))
    found = read_folder(tmp_path)
    assert list(found.decisions) == ["new"]
    assert found.warnings == [
        f"old.json is not in the index: an older decision on {samples.decision()['id']}"
    ]


def test_stems_keep_different_ids_apart(tmp_path: Path) -> None:
    """An id gets its own stem again, and never that of another decision or of a foreign file."""
    one, two = "a/b.py::t", "a-b.py::t"
    assert stem_for(tmp_path, one) == stem_for(tmp_path, two) == "a-b-t"
    put(tmp_path, samples.decision(id=one, slug="a-b-t"))
    assert stem_for(tmp_path, one) == "a-b-t"
    other = stem_for(tmp_path, two)
    assert other.startswith("a-b-t-")
    put(tmp_path, samples.decision(id=two, slug=other))
    assert stem_for(tmp_path, two) == other
    (tmp_path / "x-t.json").write_text("not ours")
    assert stem_for(tmp_path, "x.py::t") != "x-t"
    (tmp_path / "y-t.json").symlink_to(tmp_path / "nowhere")
    assert stem_for(tmp_path, "y.py::t") != "y-t"


def test_the_index_holds_documents_without_micro_pairs(tmp_path: Path) -> None:
    """index.json is an array of whole decisions, each still valid, only the raw micro-pairs left out."""
    doc = samples.decision()
    (element,) = json.loads(index_text([doc]))
    schema.validate(element)
    assert "runs" in doc["pairs"][0]
    assert "runs" not in element["pairs"][0]
    for pair in doc["pairs"]:
        del pair["runs"]
    assert element == doc
    assert json.loads(index_text([])) == []


def test_the_ledger_grows_by_the_decision_that_is_replaced(tmp_path: Path) -> None:
    """Earlier decisions are those the last one knew, then the last one itself."""
    assert earlier(tmp_path, "benchmarks/test_03_chunks.py::test_chunks[adaptive]") == []
    doc = samples.inconclusive()
    put(tmp_path, doc)
    entries = earlier(tmp_path, doc["id"])
    assert [each["verdict"] for each in entries] == ["REJECT", "INCONCLUSIVE"]
    assert entries[1] == {
        "started": doc["started"], "verdict": "INCONCLUSIVE", "reasons": ["futile"],
        "ratio": doc["ratio"]["estimate"], "ci_low": doc["ratio"]["ci_low"],
        "ci_high": doc["ratio"]["ci_high"],
        "n": 20, "attempt": 2, "quick": False, "code": f"{'9f' * 32} {'3c' * 32}",
    }  # fmt: skip
    schema.validate(samples.inconclusive(earlier=entries))
    assert earlier(tmp_path, "another::id") == []


def test_a_broken_file_does_not_stop_a_new_decision(tmp_path: Path) -> None:
    """A file that cannot be read keeps its name and the ledger starts again."""
    (tmp_path / "a-t.json").write_text("{")
    assert earlier(tmp_path, "a.py::t") == []


@pytest.mark.parametrize(
    ("history", "number"),
    [
        ([], 1),
        (["REJECT"], 2),
        (["REJECT", "INCONCLUSIVE"], 3),
        (["REJECT", "ACCEPT"], 1),
        (["ACCEPT", "REJECT"], 2),
        (["REJECT", "quick"], 2),
        (["REJECT", "unmeasured"], 2),
        (["ACCEPT", "quick", "unmeasured"], 1),
        (["REJECT", "noisy"], 2),
    ],
)
def test_attempts_count_since_the_last_accept(history: list[str], number: int) -> None:
    """Decisions that were not read off the pairs are no attempts; an ACCEPT starts the count again."""
    docs = {
        "quick": samples.decision(verdict="INCONCLUSIVE", reasons=["quick"], protocol={"quick": True}),
        "unmeasured": samples.not_equivalent(),
        "noisy": samples.decision(verdict="INCONCLUSIVE", reasons=["noisy-control"]),
    }
    entries = [entry(docs.get(word) or samples.decision(verdict=word)) for word in history]
    assert attempt_number(entries) == number
