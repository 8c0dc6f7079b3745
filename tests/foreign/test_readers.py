from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest
from foreign_files import pyperf_file

from pytest_optbench.foreign import read_file


@pytest.mark.parametrize("version", ["3.2.3", "3.4.1", "4.0.0", "5.1.0"])
def test_pytest_benchmark_with_data(samples: Path, version: str) -> None:
    """Every version's rounds are read as values of one process, in their order, under the full name."""
    file = read_file(samples / f"pytest_benchmark_{version}_old.json")
    assert (file.tool, file.version) == ("pytest-benchmark", version)
    assert [b.name for b in file.benchmarks] == [
        "test_b.py::test_sum[100]", "test_b.py::test_sum[1000]", "test_b.py::test_sort",
    ]  # fmt: skip
    stored = json.loads((samples / f"pytest_benchmark_{version}_old.json").read_text())
    for read, raw in zip(file.benchmarks, stored["benchmarks"], strict=True):
        assert read.processes == (tuple(raw["stats"]["data"]),)
        assert read.one_process
    assert file.machine["cpu"] == (None if version == "3.2.3" else "AMD EPYC")
    assert file.machine["architecture"] == "x86_64"
    assert file.facts["python"] == "3.11.7"


@pytest.mark.parametrize("version", ["3.2.3", "3.4.1", "4.0.0", "5.1.0"])
def test_pytest_benchmark_without_data(samples: Path, version: str) -> None:
    """A stored file without rounds gives a summary and says it comes from one process."""
    sort = read_file(samples / f"pytest_benchmark_{version}_without_data.json").benchmarks[2]
    assert sort.processes == ()
    assert sort.summary is not None
    assert sort.summary.n == 20
    assert sort.summary.sd_s is not None
    assert sort.one_process


@pytest.mark.parametrize("version", ["1.6.1", "2.0.0", "2.10.0"])
def test_pyperf_runs_are_processes(samples: Path, version: str) -> None:
    """Runs become processes; warm-ups and calibrations are left out; memory is kept per process."""
    path = samples / f"pyperf_{version}_old.json"
    file = read_file(path)
    assert file.label == f"pyperf {version}"
    raw = json.loads(path.read_text())["benchmarks"]
    for read, stored in zip(file.benchmarks, raw, strict=True):
        assert read.processes == tuple(tuple(r["values"]) for r in stored["runs"] if r.get("values"))
        assert len(read.processes) == 12
        assert len(read.peak_bytes) == 12
    assert [b.name for b in file.benchmarks] == ["sort", "sum"]


@pytest.mark.parametrize("number", [5, 6])
def test_old_formats_of_pyperf_hold_the_same(samples: Path, number: int) -> None:
    """Formats 5 and 6 give the very values of the 1.0 file they describe."""
    new = read_file(samples / "pyperf_1.6.1_old.json")
    old = read_file(samples / f"pyperf_format{number}_old.json")
    assert [(b.name, b.processes) for b in old.benchmarks] == [(b.name, b.processes) for b in new.benchmarks]


def test_pyperf_of_one_benchmark_and_gzip(samples: Path, tmp_path: Path) -> None:
    """A file of one benchmark, named at the root, is read plain or compressed, whatever it is called."""
    plain = read_file(samples / "pyperf_2.10.0_single.json")
    assert [b.name for b in plain.benchmarks] == ["single"]
    packed = tmp_path / "data.txt"
    packed.write_bytes(gzip.compress((samples / "pyperf_2.10.0_single.json").read_bytes()))
    assert read_file(packed).benchmarks == plain.benchmarks


def test_pyperf_skips_what_is_no_time(samples: Path) -> None:
    """Tracked memory is not mistaken for seconds, and the file says what was left out."""
    file = read_file(samples / "pyperf_2.10.0_memory.json")
    assert file.benchmarks == ()
    assert file.skipped == ("mem: its unit is 'byte', not seconds",)


def test_hyperfine_versions(samples: Path) -> None:
    """Every version is read: a summary without times, runs as processes, memory where recorded."""
    summary = read_file(samples / "hyperfine_1.0_old.json").benchmarks[0]
    assert summary.processes == ()
    assert summary.summary is not None
    assert summary.summary.n is None
    for version in ("1.8", "1.15.0", "1.19"):
        runs = read_file(samples / f"hyperfine_{version}_old.json").benchmarks
        assert [len(b.processes) for b in runs] == [12, 12]
        assert runs[0].name == "python3 -c 'sum(range(100))'"
    assert len(runs[0].peak_bytes) == 12


def test_hyperfine_parameters_and_failures(samples: Path) -> None:
    """Parametrised commands keep their own names; failed runs are counted."""
    names = [b.name for b in read_file(samples / "hyperfine_1.15.0_params.json").benchmarks]
    assert names == ["python3 -S -c 'print(10)'", "python3 -S -c 'print(20)'"]
    assert read_file(samples / "hyperfine_1.15.0_failed.json").benchmarks[0].failed_runs == 10


def test_hyperfine_lists_of_measurements(tmp_path: Path) -> None:
    """The form of the development version, one object per run with units, is read."""
    run = {
        "time_wall_clock": {"value": 0.5, "unit": "second"},
        "peak_memory_usage": {"value": 1024.0, "unit": "byte"},
        "exit_code": 0,
    }
    path = tmp_path / "m.json"
    path.write_text(json.dumps({"results": [{"command": "x", "measurements": [run, run]}]}))
    benchmark = read_file(path).benchmarks[0]
    assert (benchmark.processes, benchmark.peak_bytes) == (((0.5,), (0.5,)), (1024.0, 1024.0))


def test_the_same_command_twice_gets_numbers(tmp_path: Path) -> None:
    """hyperfine may run one command twice; both are kept apart."""
    result = {"command": "x", "times": [1.0], "exit_codes": [0]}
    path = tmp_path / "twice.json"
    path.write_text(json.dumps({"results": [result, result, {**result, "command": "x (2)"}]}))
    assert [b.name for b in read_file(path).benchmarks] == ["x", "x (3)", "x (2)"]


def test_own_decisions_and_indexes(samples: Path) -> None:
    """A decision gives its optimized arm, with the baseline as control; an index gives every decision."""
    golden = samples.parents[1] / "golden"
    decisions = sorted(golden.glob("decision_v1_*.json"))
    assert decisions
    one = read_file(golden / "decision_v1_accept.json")
    raw = json.loads((golden / "decision_v1_accept.json").read_text())
    assert one.tool == "pytest-optbench"
    assert [b.name for b in one.benchmarks] == [raw["id"]]
    flat = [v for p in one.benchmarks[0].processes for v in p]
    assert flat == [pair["optimized_s"] for pair in raw["pairs"]]


def test_an_index_of_several_machines_names_them_all(samples: Path, tmp_path: Path) -> None:
    """Decisions of different machines in one index are not taken for those of the first one."""
    raw = json.loads((samples.parents[1] / "golden" / "decision_v1_accept.json").read_text())
    both = [
        {**raw, "id": cpu, "environment": {"cpu_model": cpu, "os": "Linux"}} for cpu in ("Two CPU", "One CPU")
    ]
    path = tmp_path / "index.json"
    path.write_text(json.dumps(both))
    machine = read_file(path).machine
    assert (machine["cpu_model"], machine["os"]) == ("One CPU and Two CPU", "Linux")


def test_the_name_of_a_file_says_nothing(samples: Path, tmp_path: Path) -> None:
    """A pyperf file called hyperfine.json is a pyperf file."""
    path = tmp_path / "hyperfine.json"
    shutil.copy(samples / "pyperf_2.10.0_old.json", path)
    assert read_file(path).tool == "pyperf"


def test_a_summary_at_the_root_of_pyperf_is_shared(tmp_path: Path) -> None:
    """Metadata of the file holds for every benchmark unless it says otherwise."""
    file = read_file(pyperf_file(tmp_path / "p.json", {"a": [[1.0]], "b": [[2.0]]}, unit="second"))
    assert [b.processes for b in file.benchmarks] == [((1.0,),), ((2.0,),)]
    assert file.machine["cpu"] == "A CPU"
