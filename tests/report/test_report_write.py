"""A report folder: JSON first, everything else rendered from it, two runs at once, nothing lost."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import samples

from pytest_optbench.core.multiplicity import holm
from pytest_optbench.report import write_decision, write_index
from pytest_optbench.report.markdown import decision_markdown, index_markdown
from pytest_optbench.report.plots import pairs_svg
from pytest_optbench.report.templating import TemplateError
from pytest_optbench.store import SchemaError, StoreError, attempt_number, check_writable, earlier, schema

TESTS = Path(__file__).parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    reports = tmp_path / "reports"
    check_writable(reports)
    return reports


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


@pytest.mark.parametrize(
    "doc", [samples.decision(), samples.not_equivalent(), samples.inconclusive(), samples.nasty()]
)
def test_the_json_alone_gives_the_same_bytes(folder: Path, doc: samples.Doc) -> None:
    """Markdown and plot can be rendered again from the JSON file, byte for byte."""
    paths = write_decision(folder, doc)
    again = schema.loads(paths.json.read_text(encoding="utf-8"))
    assert decision_markdown(again).encode() == paths.md.read_bytes()
    assert pairs_svg(again).encode() == paths.svg.read_bytes()
    assert schema.dumps(again).encode() == paths.json.read_bytes()
    assert visible(folder) == sorted(path.name for path in (paths.json, paths.md, paths.svg))
    assert again["slug"] == paths.json.stem


def test_the_index_alone_gives_the_same_bytes(folder: Path) -> None:
    """index.json and index.md depend on the decisions on disk only, not on who writes them or when."""
    for doc in (samples.inconclusive(), samples.decision(), samples.not_equivalent()):
        write_decision(folder, doc)
    first = write_index(folder)
    bytes_before = (first.json.read_bytes(), first.md.read_bytes())
    second = write_index(folder)
    assert (second.json.read_bytes(), second.md.read_bytes()) == bytes_before
    elements = json.loads(first.json.read_text())
    assert [element["title"] for element in elements] == [
        "Cached parser", "Adaptive chunks", "Persistent worker pool",
    ]  # fmt: skip
    assert index_markdown(elements).encode() == first.md.read_bytes()
    for element in elements:
        schema.validate(element)


def test_a_wrong_document_writes_nothing(folder: Path) -> None:
    """NaN, a missing key and a foreign schema are refused before any file is touched."""
    for doc, message in (
        (samples.decision(margin=float("nan")), "margin must be finite"),
        ({k: v for k, v in samples.decision().items() if k != "pairs"}, r"decision\.pairs must be present"),
        ({"schema": "optbench/decision/2"}, "upgrade"),
        ({"schema": schema.SCHEMA}, r"decision\.id must be present"),
        (samples.decision(id=3), "decision.id must be string"),
    ):
        with pytest.raises(SchemaError, match=message):
            write_decision(folder, doc)
    assert visible(folder) == []


def test_the_caller_keeps_the_document(folder: Path) -> None:
    """Writing changes nothing in what was passed."""
    doc = samples.decision(slug="../evil")
    before = json.dumps(doc)
    paths = write_decision(folder, doc)
    assert json.dumps(doc) == before
    assert paths.json.parent == folder
    assert paths.json.stem == "benchmarks-test_01_persistent_pool-test_fair"


def test_a_decision_replaces_only_its_own(folder: Path) -> None:
    """The same id is written over; another id, a broken and a foreign file keep theirs."""
    (folder / "a-t.json").write_text("{broken")
    first = write_decision(folder, samples.decision(id="a.py::t"))
    second = write_decision(folder, samples.decision(id="a.py::t", title="again"))
    assert first == second
    assert first.json.stem.startswith("a-t-")
    assert (folder / "a-t.json").read_text() == "{broken"
    index = write_index(folder)
    assert [element["title"] for element in json.loads(index.json.read_text())] == ["again"]
    assert re.match("a-t.json is not in the index: a decision must be JSON", index.warnings[0])
    assert "a-t.json is not in the index" in index.md.read_text()


def test_a_link_in_a_reports_place_is_refused(folder: Path, tmp_path: Path) -> None:
    """A decision never leaves its folder through a link."""
    outside = tmp_path / "outside.md"
    outside.write_text("precious")
    (folder / "benchmarks-test_01_persistent_pool-test_fair.md").symlink_to(outside)
    with pytest.raises(StoreError, match="is a symbolic link"):
        write_decision(folder, samples.decision())
    assert outside.read_text() == "precious"


def test_a_broken_template_loses_no_decision(folder: Path, tmp_path: Path) -> None:
    """The JSON file is there before a template of the user can fail."""
    (tmp_path / "decision.md.j2").write_text("{{ nothing }}")
    with pytest.raises(TemplateError, match="'nothing' is undefined"):
        write_decision(folder, samples.decision(), tmp_path)
    assert visible(folder) == [
        "benchmarks-test_01_persistent_pool-test_fair.json",
        "benchmarks-test_01_persistent_pool-test_fair.svg",
    ]
    write_index(folder)
    assert len(json.loads((folder / "index.json").read_text())) == 1


def test_the_correction_covers_the_decisions_of_the_run(folder: Path) -> None:
    """Holm is taken over the run's gains, unmeasured ones as p = 1; others keep their p, reports follow."""
    ps = [0.001, 0.008, 0.012, 0.02, None]
    run = [samples.decision(id=f"t.py::{i}", title=f"run {i}", p_sequential=p) for i, p in enumerate(ps)]
    guard = samples.decision(id="t.py::guard", goal="no-regression", p_sequential=0.5)
    old = samples.decision(id="old.py::t", title="old", p_sequential=0.02, p_adjusted=0.5)
    for doc in (*run, guard, old):
        write_decision(folder, doc)

    def adjust(values: object) -> list[float]:
        return [float(value) for value in holm(values)]  # type: ignore[arg-type]

    ids = {doc["id"] for doc in (*run, guard)}
    index = write_index(folder, session_ids=ids, holm=adjust)
    by_id = {element["id"]: element["p_adjusted"] for element in json.loads(index.json.read_text())}
    adjusted = [by_id[doc["id"]] for doc in run]
    assert adjusted == [pytest.approx(0.005), pytest.approx(0.032), pytest.approx(0.036), 0.04, None]
    assert by_id["t.py::guard"] is None
    assert by_id["old.py::t"] == 0.5
    stored = schema.loads((folder / "t-0.json").read_text())
    assert stored["p_adjusted"] == by_id["t.py::0"]
    assert stored["pairs"][0]["runs"]
    assert (
        "| p over the looks and all decisions of the run (Holm) | 0.0050 |" in (folder / "t-0.md").read_text()
    )
    assert re.search(r"\[run 1\].*\| 0\.0320 \| INCONCLUSIVE \|", index.md.read_text())
    write_index(folder, session_ids={"nothing"}, holm=adjust)


def test_the_ledger_across_runs(folder: Path) -> None:
    """Each run on the same subject adds the decision it replaces, and attempts are counted."""
    for expected in (1, 2, 3):
        history = earlier(folder, "a.py::t")
        assert attempt_number(history) == expected
        doc = samples.decision(
            id="a.py::t", verdict="REJECT", earlier=history, attempt=expected, started=f"2026-11-0{expected}"
        )
        paths = write_decision(folder, doc)
    assert [each["attempt"] for each in earlier(folder, "a.py::t")] == [1, 2, 3]
    assert "| 2 | 2026-11-02 | REJECT |" in paths.md.read_text()


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import samples
from pytest_optbench.report import write_decision, write_index
folder, name = Path(sys.argv[2]), sys.argv[3]
print("ready", flush=True)
sys.stdin.readline()
for index in range(7):
    write_decision(folder, samples.decision(id=f"{name}.py::t{index}", title=f"{name} {index}"))
    write_decision(folder, samples.inconclusive(id="shared.py::t", title=name))
    write_index(folder)
"""


def test_two_runs_at_once_both_end_up_in_the_index(folder: Path) -> None:
    """Two processes write the same folder: every decision is kept, and a reader never sees half a file."""
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(TESTS), str(folder), name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for name in ("one", "two")
    ]  # fmt: skip
    for run in runs:
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
    problems: list[str] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.002):
            for path in (*folder.glob("*.json"), *folder.glob("*.md")):
                text = path.read_text()
                try:
                    good = text.endswith("\n") and (path.suffix == ".md" or bool(json.loads(text)))
                except ValueError:
                    good = False
                if not good:
                    problems.append(f"{path.name}: {text[:80]!r}")

    reader = threading.Thread(target=watch)
    reader.start()
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("go\n")
        run.stdin.flush()
    codes = [(run.communicate(timeout=120), run.returncode)[1] for run in runs]
    over.set()
    reader.join()
    assert codes == [0, 0]
    assert problems == []
    found = {element["id"] for element in json.loads((folder / "index.json").read_text())}
    assert found == {f"{name}.py::t{i}" for name in ("one", "two") for i in range(7)} | {"shared.py::t"}
    for path in folder.glob("*.json"):
        if path.name != "index.json":
            doc = schema.loads(path.read_text())
            assert path.with_suffix(".md").read_text() == decision_markdown(doc)
    assert not list(folder.glob(".*.tmp"))


def test_the_folder_is_created(tmp_path: Path) -> None:
    """A folder removed while measuring costs no decision; one that cannot be made is an error."""
    assert write_decision(tmp_path / "a" / "b", samples.decision()).md.exists()
    assert write_index(tmp_path / "c").json.read_text() == "[]\n"
    (tmp_path / "file").write_text("")
    for write in (
        lambda: write_decision(tmp_path / "file", samples.decision()),
        lambda: write_index(tmp_path / "file"),
    ):
        with pytest.raises(StoreError, match=r"cannot be created: .*--optbench-report-dir"):
            write()


def test_importing_the_reports_is_cheap() -> None:
    """Neither numpy nor scipy nor jinja2 is loaded until something is rendered."""
    code = (
        "import sys, pytest_optbench.report, pytest_optbench.report.terminal, pytest_optbench.report.github\n"
        "print(sorted({'numpy', 'scipy', 'jinja2', 'pytest'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240
    )
    assert done.stdout == "[]\n"
