"""``--optbench-history``: real runs of pytest that keep, count and report decisions, or fail loudly."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from plugin_bench import ARMS, FASTER, Bench

from pytest_optbench.history.location import locate
from pytest_optbench.history.read import History, read

CLAIM = (
    ARMS
    + "\ndef test_claim(optbench):\n    optbench.compare(baseline=slow, optimized=same, min_speedup='30%')\n"
)
BETTER = CLAIM.replace("optimized=same", "optimized=fast")


def kept(bench: Bench, folder: str = "history") -> History:
    return read(locate(folder, bench.folder))


def test_a_rejection_is_remembered_with_a_fresh_report_folder(bench: Bench) -> None:
    """REJECT, then ACCEPT of an alternative: the report of the second run shows the first, as attempt 2."""
    bench.file(CLAIM)
    assert bench.run("--optbench-history=history", "--optbench-report-dir=one").ret == 1
    bench.file(BETTER)
    result = bench.run("--optbench-history=history", "--optbench-report-dir=two")
    result.stdout.fnmatch_lines(["optbench: *, history in history"])
    second = bench.only("two")
    assert [(e["verdict"], e["attempt"], e["n"] >= 10) for e in second["earlier"]] == [("REJECT", 1, True)]
    assert second["attempt"] == 2
    assert second["protocol"]["attempt"] == 2
    report = (bench.folder / "two" / f"{second['slug']}.md").read_text()
    assert "## Earlier decisions" in report
    assert f"| {second['earlier'][0]['started']} | REJECT | below-threshold |" in report
    records = kept(bench).records
    assert [(r.verdict, r.attempt) for r in records] == [("REJECT", 1), (second["verdict"], 2)]
    assert [r.earlier for r in records] == [[], []]


def test_report_folder_and_history_are_one_trail(bench: Bench) -> None:
    """With the report folder still there the same decision is not counted twice."""
    bench.file(CLAIM)
    for _ in range(2):
        bench.run_here("--optbench-history=history")
    document = bench.only()
    assert (document["attempt"], len(document["earlier"])) == (2, 1)
    (trail,) = kept(bench).trail().values()
    assert [each["attempt"] for each in trail] == [1, 2]


def test_one_file_per_run_with_all_decisions(bench: Bench) -> None:
    """A run with several tests and candidates adds one file; its rows are the documents of the report folder."""
    bench.file(
        FASTER + "\ndef test_two(optbench):\n"
        "    optbench.compare(baseline=slow, optimized={'a': fast, 'b': same}, min_speedup='30%')\n"
    )
    bench.run_here("--optbench-history", str(bench.folder / "history"))
    (path,) = (bench.folder / "history").iterdir()
    rows = pq.read_table(path).to_pylist()
    assert {row["id"] for row in rows} == {document["id"] for document in bench.index()}
    assert len(rows) == 3
    for document in bench.index():
        (row,) = [row for row in rows if row["id"] == document["id"]]
        assert json.loads(row["document"])["p_adjusted"] == document["p_adjusted"]
        assert (row["verdict"], row["p_adjusted"]) == (document["verdict"], document["p_adjusted"])
        assert len(row["pairs"]) == len(document["pairs"])


def test_workers_of_xdist_leave_one_file_and_know_the_history(bench: Bench) -> None:
    """Under -n the controller writes once, and every worker counts the attempts before it."""
    bench.file(CLAIM.replace("test_claim", "test_one") + CLAIM.replace("test_claim", "test_two"))
    for folder in ("one", "two"):
        bench.run("-n", "2", "--optbench-history=history", f"--optbench-report-dir={folder}")
    assert len(list((bench.folder / "history").iterdir())) == 2
    assert [document["attempt"] for document in bench.index("two")] == [2, 2]


def test_the_ini_key_chooses_a_history(bench: Bench) -> None:
    """A project sets its history once, as a URI; the report does not say where it is."""
    (bench.folder / "pytest.ini").write_text(
        f"[pytest]\noptbench_history = {(bench.folder / 'history').as_uri()}\n", encoding="utf-8"
    )
    bench.file(FASTER)
    bench.run_here()
    assert len(kept(bench).records) == 1
    assert str(bench.folder) not in json.dumps(bench.only())


def test_a_place_that_cannot_be_used_is_found_before_measuring(bench: Bench) -> None:
    """The run ends with a usage error before a test is collected, and nothing was measured."""
    bench.file(FASTER)
    (bench.folder / "history").write_text("a file", encoding="utf-8")
    result = bench.run_here("--optbench-history=history")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --optbench-history: the history history cannot be written: *"])
    assert not (bench.folder / "reports").exists()


def test_a_scheme_that_is_not_known_is_found_before_measuring(bench: Bench) -> None:
    """A mistyped URI is a usage error that names it without its password."""
    bench.file(FASTER)
    result = bench.run_here("--optbench-history=s4://key:secret@bucket/x")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --optbench-history: the history s4://bucket/x cannot be opened: *"])


def test_a_newer_history_is_refused_before_measuring(bench: Bench) -> None:
    """Attempts recorded by a newer version cannot be counted, so nothing is measured."""
    bench.file(FASTER)
    bench.run_here("--optbench-history=history")
    (path,) = (bench.folder / "history").iterdir()
    table = pq.read_table(path)
    metadata = table.schema.metadata | {b"optbench.history": b"optbench/history/7"}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    result = bench.run_here("--optbench-history=history")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*the history cannot be used: *received 'optbench/history/7'*upgrade*"])


def test_a_damaged_file_is_a_warning(bench: Bench) -> None:
    """A run goes on without a file that cannot be read, and says so."""
    bench.file(FASTER)
    (bench.folder / "history").mkdir()
    (bench.folder / "history" / "old.parquet").write_bytes(b"damaged")
    result = bench.run_here("--optbench-history=history")
    result.stdout.fnmatch_lines(["*PytestWarning: optbench: history: old.parquet was skipped: *"])
    assert len(kept(bench).records) == 1


def test_a_history_lost_while_measuring_fails_the_run(bench: Bench) -> None:
    """When the file cannot be written at the end, the exit status says so even with the gate off."""
    bench.file(
        FASTER + "\ndef test_breaks_it():\n"
        "    import pathlib, shutil\n"
        "    shutil.rmtree('history')\n"
        "    pathlib.Path('history').write_text('gone')\n"
    )
    result = bench.run("--optbench-history=history", "--optbench-gate=off")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["optbench: the run cannot be added to the history history: *"])
    assert len(bench.index()) == 1


def test_collecting_touches_no_history(bench: Bench) -> None:
    """--collect-only neither creates nor reads a history."""
    bench.file(FASTER)
    assert bench.run_here("--optbench-history=history", "--collect-only").ret == 0
    assert not (bench.folder / "history").exists()


def test_a_plain_run_touches_no_history(bench: Bench) -> None:
    """Without --optbench the ini key does nothing."""
    (bench.folder / "pytest.ini").write_text("[pytest]\noptbench_history = history\n", encoding="utf-8")
    bench.file(FASTER)
    assert bench.plain_here().ret == 0
    assert not (bench.folder / "history").exists()


def test_pyarrow_stays_out_of_the_measuring_process(bench: Bench) -> None:
    """Its threads and memory are never part of what is measured: the test itself sees none of it loaded."""
    bench.file(
        FASTER.replace("def test_gain(optbench):\n", "def test_gain(optbench):\n    import sys\n")
        + "    assert 'pyarrow' not in sys.modules\n"
    )
    assert bench.run("--optbench-history=history", "--optbench-gate=off").ret == 0
    assert len(kept(bench).records) == 1


def test_missing_pyarrow_names_the_extra(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pyarrow cannot be imported, the run ends before measuring with what to install."""
    bench.file(FASTER)
    hidden = bench.folder / "hidden"
    (hidden / "pyarrow").mkdir(parents=True)
    (hidden / "pyarrow" / "__init__.py").write_text("raise ImportError('No module named pyarrow')\n")
    monkeypatch.setenv("PYTHONPATH", str(hidden))
    result = bench.run("--optbench-history=history")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*a history needs pyarrow, *pip install 'pytest-optbench[[]history]'"])


def test_a_child_that_dies_is_reported(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the process that reads the history cannot even start properly, the run ends before measuring."""
    bench.file(FASTER)
    hidden = bench.folder / "hidden"
    (hidden / "pyarrow").mkdir(parents=True)
    (hidden / "pyarrow" / "__init__.py").write_text("import os\nos._exit(9)\n")
    monkeypatch.setenv("PYTHONPATH", str(hidden))
    result = bench.run("--optbench-history=history")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*the process that does so ended with status 9: it said nothing*"])


def test_a_history_that_was_not_read_is_an_error(tmp_path: Path) -> None:
    """Whoever prepares a measurement without the entries of its history is stopped: attempts would be lost."""
    from pytest_optbench.options import Settings
    from pytest_optbench.results import prepare
    from pytest_optbench.store.errors import StoreError

    with pytest.raises(StoreError, match="earlier decisions must be read from the history before measuring"):
        prepare({}, Settings(enabled=True, history="history"), tmp_path)
