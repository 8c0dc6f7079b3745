from __future__ import annotations

import copy
import gzip
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_optbench.foreign import ForeignError, read_file

GOOD: dict[str, Any] = {
    "pytest-benchmark": {
        "machine_info": {},
        "version": "5.1.0",
        "benchmarks": [{"name": "a", "fullname": "t.py::a", "stats": {"data": [1.0, 2.0], "rounds": 2}}],
    },
    "pyperf": {"version": "1.0", "benchmarks": [{"metadata": {"name": "a"}, "runs": [{"values": [1.0]}]}]},
    "hyperfine": {"results": [{"command": "a", "times": [1.0], "exit_codes": [0]}]},
}


def refused(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ForeignError) as caught:
        read_file(path)
    return str(caught.value)


def changed(tool: str, place: list[Any], value: Any) -> str:
    document = copy.deepcopy(GOOD[tool])
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    ("tool", "place", "value", "message"),
    [
        ("pytest-benchmark", ["benchmarks", 0, "stats", "data", 1], -1.0, "stats.data[1] must be seconds"),
        ("pytest-benchmark", ["benchmarks", 0, "stats", "data", 1], "1", "from 0 to 1e+09, found \"1\""),
        ("pytest-benchmark", ["benchmarks", 0, "stats", "data", 1], True, "found true"),
        ("pytest-benchmark", ["benchmarks", 0, "stats", "data", 1], 1e300, "found 1e+300"),
        ("pytest-benchmark", ["benchmarks", 0, "stats", "data", 1], 10**400, "found an integer beyond any float"),
        ("pytest-benchmark", ["benchmarks", 0, "stats", "data"], [], "at least one element, found an empty one"),
        ("pytest-benchmark", ["benchmarks", 0, "stats", "data"], {}, "must be a list, found {}"),
        ("pytest-benchmark", ["benchmarks", 0, "stats", "rounds"], 3, "the number of values in data, 2, found 3"),
        ("pytest-benchmark", ["benchmarks", 0, "stats"], ..., "benchmarks[0].stats must be present, found nothing"),
        ("pytest-benchmark", ["benchmarks", 0, "fullname"], "", "fullname must be text that is not empty"),
        ("pytest-benchmark", ["benchmarks", 0, "fullname"], "x" * 5000, "at most 4000 characters, found 5000 of them"),
        ("pytest-benchmark", ["benchmarks"], [], "benchmarks must be a list with at least one element"),
        ("pytest-benchmark", ["benchmarks"], [7], "benchmarks[0] must be an object with the key 'name', found 7"),
        ("pytest-benchmark", ["version"], ..., "version must be present"),
        ("pyperf", ["version"], "2.0", "a format of pyperf that is known here (4, 5, 6, 1.0), found \"2.0\""),
        ("pyperf", ["version"], True, "found true"),
        ("pyperf", ["benchmarks", 0, "metadata"], {}, "a benchmark whose metadata holds a name"),
        ("pyperf", ["benchmarks", 0, "metadata"], [], "metadata must be an object, found []"),
        ("pyperf", ["benchmarks", 0, "runs"], [{}], "a run with values or, for a calibration, with warmups"),
        ("pyperf", ["benchmarks", 0, "runs"], [{"warmups": [[1, 1.0]]}], "found calibrations only"),
        ("hyperfine", ["results", 0, "times", 0], None, "times[0] must be seconds"),
        ("hyperfine", ["results", 0, "command"], 3, "command must be text"),
        ("hyperfine", ["results", 0, "memory_usage_byte"], [1, 2], "as many values as there are times, 1, found 2"),
        ("hyperfine", ["results", 0, "times"], ..., "results[0].mean must be present"),
    ],
)  # fmt: skip
def test_nonsense_is_named(tmp_path: Path, tool: str, place: list[Any], value: Any, message: str) -> None:
    """A wrong value is refused with its place, what was expected, what was found and what to do."""
    said = refused(tmp_path / "f.json", changed(tool, place, value))
    assert message in said
    assert said.startswith("f.json: ")
    assert f"export it again with {tool}" in said


@pytest.mark.parametrize("tool", sorted(GOOD))
def test_the_unchanged_files_are_fine(tmp_path: Path, tool: str) -> None:
    """What the cases above change is readable before."""
    path = tmp_path / "f.json"
    path.write_text(json.dumps(GOOD[tool]))
    assert [len(b.processes) >= 1 for b in read_file(path).benchmarks] == [True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be JSON, found an empty file"),
        ("hello", "must be JSON, found text that starts with 'hello'"),
        ("[" * 100_000, "nested that deeply"),
        ('{"a": 1}', "found an object with the keys 'a'"),
        ("{}", "found an empty object"),
        ("[]", "found a list of 0 elements"),
        ("3", "found 3"),
        ("null", "found null"),
        (b"\xff\xfe\x00", "must be JSON in UTF-8"),
        (b"\x1f\x8bnonsense", "must be a whole gzip file"),
        (gzip.compress(b"{}" * 100, mtime=0)[:-9], "must be a whole gzip file"),
        ('{"results": [{"command": "a", "times": [NaN]}]}', "found nan"),
        ('{"results": [{"command": "a", "times": [Infinity]}]}', "found inf"),
        ('{"results": [{"command": "a", "times": [1' + "0" * 5000 + "]}]}", "must be JSON"),
        ('{"schema": "optbench/decision/9"}', "written by a newer pytest-optbench"),
        ('[{"schema": "optbench/decision/1"}]', "must follow optbench/decision/1"),
    ],
)
def test_what_is_no_file_of_any_tool(tmp_path: Path, text: str | bytes, message: str) -> None:
    """Anything else ends in one clear sentence that starts with the file's name."""
    said = refused(tmp_path / "f.json", text)
    assert message in said
    assert said.startswith("f.json: ")


def test_folders_and_missing_files(tmp_path: Path) -> None:
    """A path that is no file is named."""
    with pytest.raises(ForeignError, match="must be a file, found a folder"):
        read_file(tmp_path)
    with pytest.raises(ForeignError, match="must be a file, found nothing"):
        read_file(tmp_path / "none.json")


_LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([]), st.just({})
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(tool=st.sampled_from(sorted(GOOD)), choose=st.randoms(use_true_random=False), leaf=_LEAVES)
def test_any_single_change_is_read_or_refused(tmp_path: Path, tool: str, choose: Any, leaf: Any) -> None:
    """Whatever one value of a good file becomes, reading ends in a file or in `ForeignError`, nothing else."""
    document = copy.deepcopy(GOOD[tool])
    places: list[tuple[Any, Any]] = []

    def collect(value: Any) -> None:
        keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        for key in keys:
            places.append((value, key))
            collect(value[key])

    collect(document)
    holder, key = choose.choice(places)
    holder[key] = leaf
    path = tmp_path / "f.json"
    path.write_text(json.dumps(document))
    with suppress(ForeignError):
        file = read_file(path)
        assert all(v >= 0 for b in file.benchmarks for p in b.processes for v in p)
