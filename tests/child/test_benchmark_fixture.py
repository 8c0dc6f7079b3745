"""Suites written for pytest-benchmark and pytest-codspeed, run by children unmodified."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from suites import driver

from pytest_optbench.measure.lanes import PairResult

SUITE = """
import asyncio
import json
import os
from pathlib import Path

import pytest

LOG = Path(__file__).with_name("log.jsonl")
calls = []

def log(**entry):
    with LOG.open("a") as file:
        file.write(json.dumps({"pid": os.getpid(), **entry}) + "\\n")

def work(n=2000, *, scale=1):
    calls.append(n)
    return scale * sum(range(n))

@pytest.fixture(scope="module")
def shared():
    log(what="shared up")
    yield [3, 1, 2] * 200
    log(what="shared down")

def test_called(benchmark):
    assert benchmark(work, 3000, scale=2) == 2 * sum(range(3000))
    assert benchmark.stats.stats.mean > 0
    assert benchmark.stats["rounds"] == len(benchmark.stats.data)
    stats = benchmark.stats.stats
    assert stats.min <= stats.q1 <= stats.median <= stats.q3 <= stats.max
    assert stats.min <= stats.ld15iqr <= stats.hd15iqr <= stats.max
    assert stats.iqr == stats.q3 - stats.q1
    assert stats.outliers == f"{stats.stddev_outliers};{stats.iqr_outliers}"
    assert benchmark.stats.get("nothing", 7) == 7

def test_decorator(benchmark):
    @benchmark
    def result():
        return work()
    assert result == sum(range(2000))

@pytest.mark.benchmark(group="sorting")
@pytest.mark.parametrize("kind", ["list", "tuple"])
def test_parametrised(benchmark, kind, shared):
    benchmark.extra_info["size"] = len(shared)
    assert benchmark.group == "sorting"
    assert (benchmark.param, benchmark.params) == (kind, {"kind": kind})
    assert benchmark.fullname.endswith(benchmark.name)
    benchmark({"list": list, "tuple": tuple}[kind], shared)

class TestClass:
    def test_method(self, benchmark, shared):
        assert benchmark(sorted, shared)[0] == 1

def test_pedantic_setup(benchmark):
    made = []
    def setup():
        made.append(1)
        return ([2, 1],), {"reverse": False}
    def pop(items, reverse):
        assert len(items) == 2
        items.sort(reverse=reverse)
        return items.pop()
    assert benchmark.pedantic(pop, setup=setup, rounds=3) == 2
    log(what="setups", n=len(made))

def test_pedantic_teardown(benchmark):
    down = []
    benchmark.pedantic(work, args=(100,), teardown=down.append, rounds=2, iterations=5)
    log(what="teardowns", n=len(down), all=set(down) == {100})

def test_pedantic_once(benchmark):
    ran = []
    assert benchmark.pedantic(lambda: ran.append(1) or len(ran)) == 1
    log(what="once", n=len(ran))

@pytest.mark.codspeed_benchmark
def test_whole_body():
    work(500)

def test_own_fixture_name(codspeed_benchmark):
    codspeed_benchmark(work)

def test_no_benchmark_call(benchmark):
    pass

def test_twice(benchmark):
    benchmark(work)
    benchmark(work)

def test_unknown_attribute(benchmark):
    benchmark._raw

def test_coroutine_function(benchmark):
    async def later():
        pass
    benchmark(later)

def test_wrong_count(benchmark):
    benchmark.pedantic(work, rounds=0)

def test_setup_and_iterations(benchmark):
    benchmark.pedantic(work, setup=dict, iterations=2)

def test_arguments_twice(benchmark):
    benchmark.pedantic(work, args=(1,), setup=lambda: ((2,), {}))

def test_weave(benchmark):
    benchmark.weave("os.getcwd")

def test_wrong_answer(benchmark):
    assert benchmark(work) == -1

def test_skipped(benchmark):
    pytest.skip("not here")

@pytest.mark.xfail(reason="known", strict=True)
def test_expected_failure(benchmark):
    assert benchmark(work) == -1

def test_generator(benchmark):
    assert next(benchmark(lambda: (n for n in range(9)))) == 0

def test_raises_as_it_would(benchmark):
    with pytest.raises(ZeroDivisionError):
        benchmark(lambda: 1 / 0)

def test_plain():
    raise AssertionError("children run benchmarks only")
"""
MEASURED = {
    "test_called", "test_decorator", "test_parametrised[list]", "test_parametrised[tuple]",
    "TestClass::test_method", "test_pedantic_setup", "test_pedantic_teardown", "test_pedantic_once",
    "test_whole_body", "test_own_fixture_name", "test_generator",
}  # fmt: skip
WITHOUT = ()
WITH_BOTH = ("-p", "pytest_benchmark.plugin", "-p", "pytest_codspeed.plugin", "--benchmark-min-rounds=3")


@pytest.fixture(scope="module", params=[WITHOUT, WITH_BOTH], ids=["without plugins", "with both plugins"])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[PairResult, Path]]:
    """One pair of children over the whole suite."""
    folder = tmp_path_factory.mktemp("suite")
    (folder / "test_suite.py").write_text(SUITE)
    (folder / "pytest.ini").write_text(
        "[pytest]\naddopts = --strict-markers\n" + ("" if request.param else "markers = benchmark: mine\n")
    )
    with driver(folder, *request.param) as pairs:
        collected = pairs.collect()["baseline"]
        assert collected.errors == ()
        assert "test_suite.py::test_plain" not in collected.benchmarks
        yield pairs.pair(0, collected.benchmarks, compare_results=True), folder


def failure(pair: PairResult, test: str) -> str:
    """Return what the baseline's child said of a failed test."""
    first = pair.failures[f"test_suite.py::{test}"][0]
    assert first.lane == "baseline"
    return f"{first.kind}: {first.message}"


def log(folder: Path, what: str) -> list[dict[str, object]]:
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [entry for entry in entries if entry["what"] == what]


def test_every_way_to_use_the_fixture_is_measured(pair: tuple[PairResult, Path]) -> None:
    """Calls, decorators, parametrised and class-based tests, pedantic rounds and markers all give a trial."""
    result, _ = pair
    assert {key.removeprefix("test_suite.py::") for key in result.measured} == MEASURED
    for sampled in result.measured.values():
        trial = sampled.trials["optimized"]
        assert trial.baseline_s > 0
        assert trial.optimized_s > 0
        assert len(trial.runs) == sampled.micro_pairs


def test_the_trial_of_a_short_benchmark_holds_balanced_micro_pairs(pair: tuple[PairResult, Path]) -> None:
    """Both lanes run first equally often inside one pair, and one loop count is shared."""
    sampled = pair[0].measured["test_suite.py::test_called"]
    orders = [order for order, _, _ in sampled.trials["optimized"].runs]
    assert sum(orders) == 0
    assert 4 <= len(orders) <= 60
    assert sampled.loops > 1


def test_fixtures_of_wider_scope_are_set_up_once_per_child(pair: tuple[PairResult, Path]) -> None:
    """A module-scoped fixture is shared by the benchmarks of one pair and torn down before the child ends."""
    for what in ("shared up", "shared down"):
        pids = [entry["pid"] for entry in log(pair[1], what)]
        assert len(pids) == len(set(pids)) == 2


def test_pedantic_runs_rounds(pair: tuple[PairResult, Path]) -> None:
    """Setup runs before every call, teardown after every round with the arguments of the calls."""
    _, folder = pair
    setups, teardowns = log(folder, "setups"), log(folder, "teardowns")
    assert len({entry["pid"] for entry in setups}) == len({entry["pid"] for entry in teardowns}) == 2
    assert all(int(str(entry["n"])) > 10 for entry in setups)
    assert all(entry["all"] and int(str(entry["n"])) >= 2 for entry in teardowns)


def test_pedantic_without_rounds_runs_once(pair: tuple[PairResult, Path]) -> None:
    """Work that pedantic runs once is called exactly once in each child, and that call is the sample."""
    result, folder = pair
    assert [entry["n"] for entry in log(folder, "once")] == [1, 1]
    sampled = result.measured["test_suite.py::test_pedantic_once"]
    assert (sampled.loops, sampled.micro_pairs) == (1, 1)
    assert sampled.equality == {}


def test_name_group_and_extra_info_are_recorded(pair: tuple[PairResult, Path]) -> None:
    """What the suite says of a benchmark comes back with the measurement."""
    info = pair[0].measured["test_suite.py::test_parametrised[list]"].info["optimized"]
    assert (info["name"], info["group"]) == ("test_parametrised[list]", "sorting")
    assert info["extra_info"] == {"size": 600}


def test_results_are_compared_across_the_children(pair: tuple[PairResult, Path]) -> None:
    """The optimized child judges the baseline's pickled result; what cannot be pickled is not checked."""
    result, _ = pair
    equal = result.measured["test_suite.py::test_called"].equality["optimized"]
    assert (equal.checked, equal.passed, equal.how) == (True, True, "default comparison, across processes")
    unchecked = result.measured["test_suite.py::test_generator"].equality["optimized"]
    assert (unchecked.checked, unchecked.passed) == (False, None)
    assert "cannot be pickled: TypeError" in str(unchecked.message)


@pytest.mark.parametrize(
    ("test", "says"),
    [
        ("test_no_benchmark_call", "no-benchmark: the test ended without calling its benchmark"),
        ("test_twice", "can be used once per test, received benchmark(...) after benchmark(...)"),
        ("test_unknown_attribute", "has no attribute '_raw'; it offers calling it, pedantic"),
        ("test_coroutine_function", "received the coroutine function"),
        ("test_wrong_count", "rounds must be a whole number of at least 1, received 0"),
        ("test_setup_and_iterations", "iterations must be 1 with a setup, received 2"),
        ("test_arguments_twice", "either from args and kwargs or from setup, received both"),
        ("test_weave", "needs the package aspectlib, which is not installed"),
        ("test_wrong_answer", "assert 1999000 == -1"),
        ("test_skipped", "skipped: Skipped: not here"),
        ("test_expected_failure", "skipped: expected to fail: known"),
        ("test_raises_as_it_would", "no-benchmark: the test ended without calling its benchmark"),
    ],
)
def test_misuse_and_failures_have_words(pair: tuple[PairResult, Path], test: str, says: str) -> None:
    """A test that fails, skips or misuses the fixture gives a failure that says why, and no trial."""
    assert says in failure(pair[0], test)
    assert f"test_suite.py::{test}" not in pair[0].measured


def test_memory_is_that_of_each_child(pair: tuple[PairResult, Path]) -> None:
    """Every lane reports the peak of its own process."""
    memory = pair[0].measured["test_suite.py::test_called"].memory
    assert memory.keys() == {"baseline", "optimized"}
    assert all((use.peak_bytes or 0) > 5_000_000 for use in memory.values())


def test_async_tests_may_call_the_fixture_inside(tmp_path: Path) -> None:
    """In a coroutine test run by pytest-asyncio the fixture measures, and a marked coroutine is one benchmark."""
    (tmp_path / "test_async.py").write_text(
        "import asyncio, pytest\n"
        "@pytest.mark.asyncio\n"
        "async def test_inside(benchmark):\n"
        "    await asyncio.sleep(0)\n"
        "    assert benchmark(sorted, [2, 1]) == [1, 2]\n"
        "@pytest.mark.asyncio\n"
        "@pytest.mark.codspeed_benchmark\n"
        "async def test_whole():\n"
        "    await asyncio.sleep(0)\n"
    )
    options = ("-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function")
    ids = ["test_async.py::test_inside", "test_async.py::test_whole"]
    with driver(tmp_path, *options) as pairs:
        result = pairs.pair(0, ids)
    assert result.failures == {}
    assert list(result.measured) == ids


def test_a_fixture_of_the_suite_that_wraps_the_plugins_counts(tmp_path: Path) -> None:
    """A conftest fixture named benchmark that asks for the plugin's is kept; one that does not is none."""
    (tmp_path / "conftest.py").write_text(
        "import pytest\n"
        "@pytest.fixture\n"
        "def benchmark(benchmark):\n"
        "    benchmark.extra_info['wrapped'] = True\n"
        "    return benchmark\n"
    )
    (tmp_path / "test_wrapped.py").write_text("def test_w(benchmark):\n    benchmark(sum, range(99))\n")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "test_own.py").write_text(
        "import pytest\n"
        "@pytest.fixture\n"
        "def benchmark():\n"
        "    return None\n"
        "def test_o(benchmark):\n"
        "    assert benchmark is None\n"
    )
    with driver(tmp_path) as pairs:
        collected = pairs.collect()["optimized"].benchmarks
        assert collected == ("test_wrapped.py::test_w",)
        result = pairs.pair(0, ["test_wrapped.py::test_w"])
    assert result.measured["test_wrapped.py::test_w"].info["baseline"]["extra_info"] == {"wrapped": True}


def test_a_time_limit_of_the_suite_is_not_for_the_measuring(tmp_path: Path) -> None:
    """A limit of pytest-timeout that one run keeps is not broken by waiting for turns and by being run again."""
    (tmp_path / "test_limited.py").write_text(
        "import time, pytest\n"
        "def test_by_option(benchmark):\n    benchmark(time.sleep, 0.1)\n"
        "@pytest.mark.timeout(0.4)\n"
        "def test_by_marker(benchmark):\n    benchmark(time.sleep, 0.1)\n"
    )
    ids = ["test_limited.py::test_by_option", "test_limited.py::test_by_marker"]
    with driver(tmp_path, "-p", "pytest_timeout", "--timeout=0.4") as pairs:
        result = pairs.pair(0, ids)
    assert result.failures == {}
    assert list(result.measured) == ids
