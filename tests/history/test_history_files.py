"""Files of a history: whole or absent, never changed, read back exactly, refused or reported when odd."""

from __future__ import annotations

import json
import subprocess
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq
import pytest
from samples import decision, inconclusive, nasty, not_equivalent

from pytest_optbench.history import schema
from pytest_optbench.history.location import Location, locate
from pytest_optbench.history.read import Problem, documents, read
from pytest_optbench.history.write import check_writable, write_run
from pytest_optbench.store.errors import SchemaError, StoreError

SAMPLES = Path(__file__).parent / "samples"


def whole(location: Location) -> list[dict[str, Any]]:
    """Return every document of a history that must be free of problems."""
    found = read(location)
    assert found.problems == []
    docs = []
    for each in documents(location, found.records):
        assert not isinstance(each, Problem), str(each)
        docs.append(each[1])
    return docs


def only_problem(location: Location) -> Problem:
    (problem,) = read(location).problems
    return problem


def stored(history: Location, **replace: Any) -> Path:
    """Write one decision, then the same table again as it is after ``replace``; return its path."""
    path = Path(history.base) / write_run(history, [decision()])
    table = pq.read_table(path)
    metadata = dict(table.schema.metadata) | replace.pop("metadata", {})
    for name, column in replace.items():
        at = table.schema.get_field_index(name)
        table = table.remove_column(at) if column is None else table.set_column(at, name, column)
    pq.write_table(table.replace_schema_metadata(metadata), path)
    return path


@pytest.mark.parametrize("make", [decision, inconclusive, not_equivalent, nasty])
def test_a_decision_is_read_back_exactly(history: Location, make: Any) -> None:
    """Every key and number of a document comes back, also text that UTF-8 cannot hold."""
    write_run(history, [make()])
    assert whole(history) == [make()]


def test_keys_of_a_later_decision_are_kept(history: Location) -> None:
    """Keys this version does not know survive, in the document and in its pairs."""
    doc = decision(colour="green")
    doc["pairs"][0]["humidity"] = {"inside": 0.4}
    write_run(history, [doc])
    assert whole(history) == [doc]


def test_pairs_without_optional_parts_are_kept(history: Location) -> None:
    """A pair that was measured without control and micro-pairs has null there and its numbers."""
    doc = decision()
    doc["pairs"][3] |= {"control": None, "runs": None, "weight": None}
    write_run(history, [doc])
    assert whole(history) == [doc]


def test_the_columns_hold_what_the_document_says(history: Location) -> None:
    """One row a decision, oldest first, its single values in columns and its pairs nested."""
    name = write_run(history, [inconclusive(started="2026-11-23T10:00:00Z"), decision()])
    first, second = read(history).records
    assert (first.title, second.title) == ("Persistent worker pool", "Adaptive chunks")
    assert (second.verdict, second.reasons, second.n, second.attempt) == ("INCONCLUSIVE", ["futile"], 20, 2)
    assert first.ratio == decision()["ratio"]["estimate"]
    assert first.file == name
    table = pq.read_table(Path(history.base) / name)
    assert [len(pairs) for pairs in table.column("pairs").to_pylist()] == [20, 10]
    assert table.schema.metadata[b"optbench.history"] == b"optbench/history/2"


@pytest.mark.parametrize("version", schema.VERSIONS)
def test_every_version_ever_written_is_read(version: str) -> None:
    """The committed sample of each version gives the documents committed beside it."""
    folder = SAMPLES / f"version-{version.rpartition('/')[2]}"
    expected = [json.loads(line) for line in (folder / "expected.jsonl").read_text().splitlines()]
    assert [{"run": "run", **doc} for doc in whole(locate(str(folder)))] == expected
    assert len(expected) == 3


def test_a_newer_version_is_refused(history: Location) -> None:
    """A file of a version that is not known yet is named with the cure, and stops whoever counts attempts."""
    path = stored(history, metadata={b"optbench.history": b"optbench/history/3"})
    problem = only_problem(history)
    assert problem.newer
    assert (
        "received 'optbench/history/3': it was written by a newer pytest-optbench; upgrade" in problem.message
    )
    with pytest.raises(
        StoreError, match=rf"the history cannot be used: {path.name}: .* upgrade pytest-optbench"
    ):
        read(history).refuse_newer()


def test_a_foreign_file_is_reported(history: Location) -> None:
    """A Parquet file of somebody else is skipped with its name and a reason; the others are read."""
    write_run(history, [decision()])
    pq.write_table(pa.table({"id": ["x"]}), Path(history.base) / "other.parquet")
    found = read(history)
    assert len(found.records) == 1
    (problem,) = found.problems
    assert not problem.newer
    assert str(problem).startswith("other.parquet was skipped: a history file must say optbench.history = ")


def test_other_files_and_folders_are_left_alone(history: Location) -> None:
    """Only files that end in .parquet belong to a history: not notes, folders, or what a killed writer left."""
    for name in ("README.md", ".optbench-20261122T100000.000000Z-ab.parquet.tmp"):
        (Path(history.base) / name).write_bytes(b"x")
    (Path(history.base) / "old.parquet").mkdir()
    assert read(history).records == read(history).problems == []


@pytest.mark.parametrize(
    ("replace", "message"),
    [
        ({"ratio": None}, "column ratio must be double, received None"),
        ({"ratio": pa.array(["fast"])}, "column ratio must be double, received string"),
        ({"title": pa.array([None], pa.string())}, "column title must have a value in every row"),
        ({"verdict": pa.array(["FINE"])}, "column verdict must be one of ACCEPT, REJECT, INCONCLUSIVE"),
    ],
)
def test_a_file_of_another_shape_is_reported(history: Location, replace: Any, message: str) -> None:
    """A known version with missing, retyped or impossible values is not believed."""
    stored(history, **replace)
    assert message in only_problem(history).message
    assert read(history).records == []


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"schema": "optbench/decision/1"}', '{"schema": "optbench/decision/9"}']
)
def test_a_document_that_is_none_is_reported(history: Location, text: str) -> None:
    """What the document column holds is validated like a file of the report folder."""
    stored(history, document=pa.array([text]))
    (found,) = documents(history, read(history).records)
    assert isinstance(found, Problem)
    assert found.file.endswith(".parquet")


def test_damage_is_found(history: Location) -> None:
    """A changed byte anywhere is reported or harmless: no other record or document ever comes out of it."""
    path = Path(history.base) / write_run(history, [decision()])
    data, records, docs = path.read_bytes(), read(history).records, whole(history)
    reported = 0
    for position in range(0, len(data), 61):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x41]) + data[position + 1 :])
        found = read(history)
        if found.problems:
            reported += 1
            continue
        assert found.records == records, position
        (each,) = documents(history, found.records)
        reported += isinstance(each, Problem)
        assert isinstance(each, Problem) or each[1] == docs[0], position
    assert reported > len(data) / 61 / 2


def test_a_cut_file_is_reported(history: Location) -> None:
    """A file cut at any length is damaged, down to an empty one."""
    path = Path(history.base) / write_run(history, [decision()])
    data = path.read_bytes()
    for length in (*range(0, len(data), 997), len(data) - 1):
        path.write_bytes(data[:length])
        assert not only_problem(history).newer


def test_a_run_never_touches_another(history: Location) -> None:
    """Each run adds one file; the files of runs before it keep every byte."""
    first = Path(history.base) / write_run(history, [decision()])
    before = (first.read_bytes(), first.stat().st_ino, first.stat().st_mtime_ns)
    second = write_run(history, [decision()])
    assert sorted(path.name for path in Path(history.base).iterdir()) == sorted([first.name, second])
    assert (first.read_bytes(), first.stat().st_ino, first.stat().st_mtime_ns) == before


def write_some(base: str, writer: int) -> list[str]:
    """Write three runs; in a process of its own."""
    location = locate(base)
    return [write_run(location, [decision(id=f"test_{writer}.py::test_{i}")]) for i in range(3)]


def test_writers_at_the_same_time_do_not_meet(history: Location) -> None:
    """Four processes that write at once leave twelve whole runs, and readers see only whole ones."""
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(write_some, history.base, writer) for writer in range(4)]
        while not all(future.done() for future in futures):
            assert read(history).problems == []
    names = {name for future in futures for name in future.result()}
    assert len(names) == 12
    assert {path.name for path in Path(history.base).iterdir()} == names
    assert len(whole(history)) == 12


LIMITED = """
import resource, signal, sys
sys.path.insert(0, {samples!r})
from samples import decision
from pytest_optbench.history.location import locate
from pytest_optbench.history.write import write_run
from pytest_optbench.store.errors import StoreError
location = locate({base!r})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_run(location, [decision()])
except StoreError as error:
    print(error)
"""


def test_a_write_that_fails_leaves_nothing(history: Location) -> None:
    """When the system refuses more bytes the error says so, and no part of the run stays behind."""
    script = LIMITED.format(samples=str(Path(__file__).parents[1] / "report"), base=history.base)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert f"the run cannot be added to the history {history.base}: " in done.stdout
    assert "File too large" in done.stdout
    assert list(Path(history.base).iterdir()) == []


def test_what_is_no_decision_is_not_written(history: Location) -> None:
    """One document that breaks the schema keeps the whole run out of the history."""
    with pytest.raises(SchemaError, match=r"decision\.verdict must be one of"):
        write_run(history, [decision(), decision(verdict="FINE")])
    assert list(Path(history.base).iterdir()) == []


def locations(folder: Path) -> Iterator[Location]:
    """Yield the same kind of empty place on different file systems of pyarrow."""
    yield locate("plain", folder)
    yield locate((folder / "with space").as_uri())
    yield locate("mock:///bucket/runs")
    yield locate("mock:///")
    yield Location(fs.SubTreeFileSystem(str(folder / "sub"), fs.LocalFileSystem()), "runs", "sub")
    yield Location(fs.SubTreeFileSystem("tree", fs._MockFileSystem()), "runs", "tree in memory")


@pytest.mark.parametrize("index", range(6))
def test_any_file_system_of_pyarrow_can_hold_a_history(tmp_path: Path, index: int) -> None:
    """Local paths, file URIs with spaces, sub-trees and file systems in memory all keep and give back runs."""
    location = list(locations(tmp_path))[index]
    check_writable(location)
    assert whole(location) == []
    write_run(location, [decision()])
    write_run(location, [inconclusive()])
    assert sorted(doc["title"] for doc in whole(location)) == ["Adaptive chunks", "Persistent worker pool"]


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (
            "nope://user:secret@host/x",
            r"the history nope://host/x cannot be opened: Unrecognized filesystem type",
        ),
        ("file://elsewhere/x", r"the history file://elsewhere/x cannot be opened: .*name a folder, or a URI"),
        ("", r"must be a path or a URI, received ''; write --optbench-history=DIR"),
    ],
)
def test_a_place_that_is_none_is_refused(uri: str, message: str) -> None:
    """The error names the place, without a password in it, and the cure."""
    with pytest.raises(StoreError, match=message) as caught:
        locate(uri)
    assert "secret" not in str(caught.value)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """A file where the folder should be is found out by the check, with the option to change."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be written: .*name a place .* --optbench-history=URI"):
        check_writable(locate("file/history", tmp_path))


def test_a_history_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """Reading a folder that does not exist says so instead of showing an empty history."""
    with pytest.raises(StoreError, match=r"the history nothing cannot be read: .*begins with the first run"):
        read(locate("nothing", tmp_path))
