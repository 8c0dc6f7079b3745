"""Process pairs with real children: what varies, what is recorded, and how misbehaving children end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from suites import driver, lane, scripted

from pytest_optbench.measure.errors import MeasureError
from pytest_optbench.measure.lanes import Lane, PairResult
from pytest_optbench.measure.process import ProcessPairs

TREE = """
import os, signal, subprocess, sys, time
from pathlib import Path
OPTIMIZED = os.getcwd().endswith("optimized")

def test_first(benchmark):
    benchmark(sorted, range(300))
    benchmark.extra_info.update(
        seed=os.environ["PYTHONHASHSEED"], padding=len(os.environ["OPTBENCH_PADDING"]),
        told=[name for name in os.environ if name.startswith("OPTBENCH_CHILD")],
    )

def test_bad(benchmark):
    {bad}

def test_last(benchmark, tmp_path):
    benchmark(sum, range(300))
"""
IDS = [f"test_tree.py::{name}" for name in ("test_first", "test_bad", "test_last")]


# For the tests of how children end: what runs in them is traced in all others.
untraced = pytest.mark.usefixtures("untraced")

_earlier: set[psutil.Process] = set()


@pytest.fixture(autouse=True)
def earlier_children() -> None:
    """Other tests of this process may have left it a child for good, such as the resource tracker of a pool."""
    _earlier.clear()
    _earlier.update(psutil.Process().children(recursive=True))


def children() -> list[psutil.Process]:
    """Return what this process has started since the test began and what still runs."""
    return [
        each
        for each in psutil.Process().children(recursive=True)
        if each not in _earlier and each.status() != psutil.STATUS_ZOMBIE
    ]


def gone(pid: int, within_s: float = 120.0) -> bool:
    """Return whether a process ends in time."""
    until = time.monotonic() + within_s
    while True:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        if time.monotonic() >= until:
            return False
        time.sleep(0.02)


def one_pair(folder: Path, bad: str, max_time_s: float = 120.0) -> PairResult:
    """Return a pair over three benchmarks, of which the second does ``bad`` in the optimized lane only."""
    lanes = []
    for name in ("baseline", "optimized"):
        (folder / name).mkdir()
        body = TREE.replace("{bad}", f"benchmark((lambda: {bad}) if OPTIMIZED else int)")
        (folder / name / "test_tree.py").write_text(body)
        lanes.append(lane(folder / name, name))
    with ProcessPairs(lanes, looks=(4,), seed=5, max_time_s=max_time_s) as pairs:
        result = pairs.pair(0, IDS)
    assert children() == []
    return result


@untraced
@pytest.mark.parametrize(
    ("bad", "kind", "says"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "died", "killed by SIGKILL"),
        ("print('last words', flush=True) or os._exit(7)", "died", "exit status 7\n"),
        ("time.sleep(600)", "hung", "after 7 s"),
        ("[][1]", "failed", "IndexError: list index out of range"),
        ("sys.exit(3)", "failed", "SystemExit: 3"),
    ],
)
def test_only_the_benchmark_at_fault_is_lost(tmp_path: Path, bad: str, kind: str, says: str) -> None:
    """A child killed, leaving, hanging or raising fails that benchmark; the others of the pair are measured."""
    result = one_pair(tmp_path, bad, max_time_s=4.0 if kind == "hung" else 120.0)
    assert list(result.measured) == [IDS[0], IDS[2]]
    (failure,) = result.failures[IDS[1]]
    assert (failure.lane, failure.kind) == ("optimized", kind)
    assert says in failure.message
    assert str(failure).startswith("optimized: the ")
    if "last words" in bad:
        assert "last words" in failure.message


def test_a_benchmark_that_fails_half_way_gives_no_trial(tmp_path: Path) -> None:
    """An exception in a timed run, after many good ones, fails the benchmark in its lane alone."""
    bad = "globals().__setitem__('n', globals().get('n', 0) + 1) or 1 / (200 - n)"
    result = one_pair(tmp_path, bad)
    assert [(f.lane, f.kind) for f in result.failures[IDS[1]]] == [("optimized", "failed")]
    assert "ZeroDivisionError" in result.failures[IDS[1]][0].message
    assert list(result.measured) == [IDS[0], IDS[2]]


@untraced
def test_a_fork_cannot_keep_the_driver_waiting(tmp_path: Path) -> None:
    """A fork of the test does not hold the channel: its parent's death is noticed as such, and it is ended."""
    result = one_pair(tmp_path, "os.fork() and os._exit(5) or time.sleep(600)", max_time_s=200)
    assert result.failures[IDS[1]][0].kind == "died"


DAEMON = "sh -c 'setsid -f sh -c \"echo \\$\\$ >> {note}; exec sleep 600\"'"


@untraced
@pytest.mark.parametrize(
    ("start", "after", "ends"),
    [
        ("subprocess.Popen(['sh', '-c', 'echo $$ >> {note}; exec sleep 600'])", "None", "by itself"),
        ("os.system({daemon!r})", "None", "by itself"),
        ("os.system({daemon!r})", "os._exit(5)", "died"),
        ("os.system({daemon!r})", "time.sleep(600)", "hung"),
    ],
)
def test_what_a_test_leaves_running_is_ended(tmp_path: Path, start: str, after: str, ends: str) -> None:
    """A process a test leaves behind is gone when the pair is over, also a daemon, however the child itself ended."""
    note = tmp_path / "pid"
    started = start.format(note=note, daemon=DAEMON.format(note=note))
    waited = f"[time.sleep(0.02) for _ in range(5000) if not Path({str(note)!r}).exists()]"
    once = f"Path({str(note)!r}).exists() or ({started}, {waited}, {after})"
    result = one_pair(tmp_path, once, max_time_s=8 if ends == "hung" else 120)
    assert {f.kind for fs in result.failures.values() for f in fs} == ({ends} - {"by itself"}), (
        result.failures
    )
    pids = [int(pid) for pid in note.read_text().split()]
    assert pids
    assert all(gone(pid, 0.0) for pid in pids)


def test_seed_and_padding_vary_by_pair_and_reach_the_children(tmp_path: Path) -> None:
    """One hash seed for all lanes of a pair, a padding per child, other ones in the next pair, all recorded."""
    (tmp_path / "test_tree.py").write_text(TREE.replace("{bad}", "benchmark(int)"))
    with driver(tmp_path) as pairs:
        results = [pairs.pair(index, IDS[:1]) for index in range(2)]
    for result in results:
        info = result.measured[IDS[0]].info
        for name in ("baseline", "optimized"):
            told = info[name]["extra_info"]
            assert told == {"seed": str(result.hash_seed), "padding": result.padding[name], "told": []}
        assert len(set(result.padding.values())) == 2
    assert results[0].hash_seed != results[1].hash_seed
    first, second = (result.measured[IDS[0]] for result in results)
    assert (first.loops, first.micro_pairs) == (second.loops, second.micro_pairs)


HUNGRY = "import time; held = b'x' * 80_000_000; time.sleep(1)"


def test_what_a_benchmark_starts_counts_although_it_is_gone_at_the_end(tmp_path: Path) -> None:
    """The memory of a process that lives during the call only is part of the peak of the lane that started it."""
    (tmp_path / "test_tree.py").write_text(
        "import os, subprocess, sys\n"
        "def test_hungry(benchmark):\n"
        f"    code = {HUNGRY!r} if os.environ['HUNGRY'] else 'pass'\n"
        "    benchmark(subprocess.run, [sys.executable, '-S', '-c', code], check=True)\n"
    )
    lanes = [
        lane(tmp_path, name, environment={"HUNGRY": hungry})
        for name, hungry in (("baseline", ""), ("optimized", "1"))
    ]
    with ProcessPairs(lanes, looks=(4,), seed=5) as pairs:
        memory = pairs.pair(0, ["test_tree.py::test_hungry"]).measured["test_tree.py::test_hungry"].memory
    assert memory["baseline"].peak_bytes is not None
    assert memory["optimized"].peak_bytes is not None
    assert 70e6 < memory["optimized"].peak_bytes - memory["baseline"].peak_bytes < 140e6
    assert "what its children held at most" in memory["optimized"].how


def test_children_stay_on_the_cpus_given(tmp_path: Path) -> None:
    """Pinning applies to every child, before anything is imported."""
    cpu = min(os.sched_getaffinity(0))
    (tmp_path / "test_cpu.py").write_text(
        "import os\nAT_IMPORT = sorted(os.sched_getaffinity(0))\n"
        "def test_cpu(benchmark):\n    benchmark(int)\n    benchmark.extra_info['cpus'] = AT_IMPORT\n"
    )
    lanes = [lane(tmp_path, name) for name in ("baseline", "optimized")]
    with ProcessPairs(lanes, looks=(4,), seed=5, cpus=(cpu,)) as pairs:
        sampled = pairs.pair(0, ["test_cpu.py::test_cpu"]).measured["test_cpu.py::test_cpu"]
    assert [each["extra_info"] for each in sampled.info.values()] == [{"cpus": [cpu]}] * 2


def test_regions_are_named_by_arm_and_one_lane_can_measure_one(tmp_path: Path) -> None:
    """Without an arm every arm of a comparison is a benchmark of its own, judged by the test's equal."""
    (tmp_path / "test_arms.py").write_text(
        "import pytest\n"
        "@pytest.mark.optbench(title='Arms', max_slowdown='3%')\n"
        "def test_arms(optbench):\n"
        "    optbench.compare(baseline=lambda: 1, optimized={'a': lambda: 2, 'b': lambda: 3},\n"
        "                     equal=lambda e, a: False, config={'n': 1})\n"
        "def test_measure(optbench):\n"
        "    optbench.measure(lambda x: x * 2, setup=lambda: 21)\n"
        "async def work():\n"
        "    return 5\n"
        "def test_async(optbench):\n"
        "    optbench.compare(baseline=work, optimized=work)\n"
        "def test_wrong(optbench):\n"
        "    optbench.compare(baseline=lambda x: 1, optimized=int)\n"
    )
    node, measure, later, wrong = (f"test_arms.py::test_{n}" for n in ("arms", "measure", "async", "wrong"))
    with driver(tmp_path) as pairs:
        result = pairs.pair(0, [node, measure, later, wrong], compare_results=True)
    expected = [f"{node}::{arm}" for arm in ("baseline", "a", "b")] + [measure]
    assert list(result.measured) == [*expected, f"{later}::baseline", f"{later}::optimized"]
    sampled = result.measured[f"{node}::b"]
    assert sampled.info["baseline"]["keys"] == {"title": "Arms", "max_slowdown": "3%"}
    assert sampled.info["baseline"]["config"] == {"n": 1}
    assert sampled.equality["optimized"].passed is False
    assert "equal=test_arms.<locals>.<lambda> returned False" in str(sampled.equality["optimized"].message)
    assert result.measured[measure].equality["optimized"].passed is True
    assert "must be callable without arguments" in result.failures[wrong][0].message


def test_modules_are_reported_with_their_hashes(tmp_path: Path) -> None:
    """A child reports what it imported from its tree, lazily too, with file and hash."""
    (tmp_path / "lazily.py").write_text("VALUE = 1\n")
    (tmp_path / "test_m.py").write_text(
        "def test_m(benchmark):\n    def work():\n        import lazily\n        return lazily.VALUE\n"
        "    benchmark(work)\n"
    )
    lanes = [
        lane(tmp_path, name, environment={"OPTBENCH_TREE": str(tmp_path)})
        for name in ("baseline", "optimized")
    ]
    with ProcessPairs(lanes, looks=(4,), seed=5) as pairs:
        collected = pairs.collect()["baseline"]
        result = pairs.pair(0, collected.benchmarks)
    assert "test_m" in collected.modules
    assert "lazily" not in collected.modules
    assert Path(result.modules["optimized"]["lazily"].file).name == "lazily.py"
    assert len(result.modules["optimized"]["lazily"].sha256) == 64


def test_collection_errors_are_words_and_one_lane_can_collect(tmp_path: Path) -> None:
    """A module that does not import is an error of collection; other benchmarks are still found."""
    (tmp_path / "test_broken.py").write_text("import nowhere_to_be_found\n")
    (tmp_path / "test_fine.py").write_text("def test_f(benchmark):\n    benchmark(int)\n")
    with ProcessPairs([lane(tmp_path, "only")], looks=(4,), seed=5) as pairs:
        collected = pairs.collect()["only"]
    assert collected.benchmarks == ("test_fine.py::test_f",)
    assert "No module named 'nowhere_to_be_found'" in collected.errors[0]
    assert children() == []


def test_a_child_that_cannot_start_pytest_says_why(tmp_path: Path) -> None:
    """A usage error of pytest comes back with its message, from collect and from a pair."""
    with driver(tmp_path, "--no-such-option") as pairs:
        collected = pairs.collect()["baseline"]
        result = pairs.pair(0, ["test_x.py::test_x"])
    assert collected.benchmarks == ()
    assert "exit status 4" in collected.errors[0]
    assert "unrecognized arguments: --no-such-option" in collected.errors[0]
    assert "--no-such-option" in result.failures["test_x.py::test_x"][0].message


def test_a_benchmark_that_is_not_there_fails_alone(tmp_path: Path) -> None:
    """An id that a child does not collect is a failure of that benchmark, the others are measured."""
    (tmp_path / "test_fine.py").write_text("def test_f(benchmark):\n    benchmark(int)\n")
    ids = ["test_fine.py::test_f", "test_fine.py::test_gone"]
    with driver(tmp_path) as pairs:
        result = pairs.pair(0, ids)
    assert list(result.measured) == ids[:1]
    assert [f.message for f in result.failures[ids[1]]] == ["it was not collected"] * 2


HELLO = "hear(); say(event='collected', benchmarks=['b'], errors=[]); hear(); say(event='at', id='b')\n"


@pytest.mark.parametrize(
    ("script", "kind", "says"),
    [
        ("end.sendall(b'good morning\\n'); time.sleep(600)", "nonsense", "good morning"),
        ("say(event='collected', benchmarks=7, errors=[]); time.sleep(600)", "nonsense", "collected {"),
        ("say(event='bye'); time.sleep(600)", "nonsense", "expected collected, received"),
        (HELLO + "say(event='reading', loops=1, wall_ns=-5, cpu_ns=0, elapsed_ns=0)\ntime.sleep(600)",
         "nonsense", "a reading of [1, -5, 0, 0]"),
        (HELLO + "say(event='reading', loops=1, wall_ns=1e9, cpu_ns=0, elapsed_ns=0)\ntime.sleep(600)",
         "nonsense", "a reading of [1, 1000000000.0, 0, 0]"),
        (HELLO + "say(event='reading', loops=1)\ntime.sleep(600)", "nonsense", "a reading without 'wall_ns'"),
        (HELLO + "hear(); say(event='ended', id='b', outcome='splendid')", "nonsense", ""),
        ("end.close(); lines.close(); time.sleep(600)", "died", "closed its channel while running"),
    ],
)  # fmt: skip
def test_children_that_make_no_sense_are_ended(tmp_path: Path, script: str, kind: str, says: str) -> None:
    """What is not the protocol ends the child and fails the benchmark; it is never taken for a measurement."""
    lanes = [scripted(tmp_path, name, script) for name in ("baseline", "optimized")]
    with ProcessPairs(lanes, looks=(4,), seed=5, max_time_s=120) as pairs:
        result = pairs.pair(0, ["b"])
    assert result.measured == {}
    assert result.failures["b"][0].kind == kind
    assert says in result.failures["b"][0].message
    assert children() == []


SERVING = """
cpu = {cpu}
log = open({log!r}, "w")
say(event="collected", benchmarks=["b"], errors=[], modules={{}})
while (command := hear())["do"] != "leave":
    if command["do"] == "run":
        say(event="at", id="b")
    elif command["do"] == "sample":
        print(time.monotonic_ns(), cpu, command["cpu"], file=log, flush=True)
        n = command["loops"] * 1_000_000
        say(event="reading", loops=command["loops"], wall_ns=n, cpu_ns=n, elapsed_ns=n, cpu=cpu)
    elif command["do"] == "finish":
        say(event="finished")
        say(event="ended", outcome="passed")
say(event="bye", modules={{}})
"""


def test_the_lanes_of_a_micro_pair_start_on_one_cpu(tmp_path: Path) -> None:
    """Whoever is second in a micro-pair is told the CPU of the first, who is told none."""
    lanes = [
        scripted(tmp_path, name, SERVING.format(cpu=cpu, log=str(tmp_path / name)))
        for name, cpu in (("baseline", 3), ("optimized", 5))
    ]
    with ProcessPairs(lanes, looks=(4,), seed=5, max_time_s=120) as pairs:
        sampled = pairs.pair(0, ["b"]).measured["b"]
    log = sorted(
        line.split()
        for name in ("baseline", "optimized")
        for line in (tmp_path / name).read_text().splitlines()
    )
    timed = [(cpu, told) for _, cpu, told in log[-2 * sampled.micro_pairs :]]
    assert {
        (first[1], second[1] == first[0]) for first, second in zip(timed[::2], timed[1::2], strict=True)
    } == {("None", True)}
    assert {first[0] for first in timed[::2]} == {"3", "5"}


def test_a_program_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    """A child that cannot be started at all is an error that names the program."""
    lanes = [Lane(name, (), tmp_path, {}, ("/no/such/python",)) for name in ("baseline", "optimized")]
    with (
        pytest.raises(MeasureError, match="a child process must be startable, received '/no/such/python'"),
        ProcessPairs(lanes, looks=(4,), seed=5) as pairs,
    ):
        pairs.collect()


def test_lanes_need_different_names(tmp_path: Path) -> None:
    """Two lanes of one name are refused."""
    with pytest.raises(ValueError, match="lanes need different names, received"):
        ProcessPairs([lane(tmp_path, "a"), lane(tmp_path, "a")], looks=(4,), seed=5)


DRIVE = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from suites import driver
with driver(Path({folder!r}), max_time_s=600) as pairs:
    print(*[child.pid for child in (pairs.collect(), pairs._children)[1]], flush=True)
    pairs.pair(0, ["test_long.py::test_long"])
"""


@untraced
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_children_never_outlive_the_driver(tmp_path: Path, number: signal.Signals) -> None:
    """After Ctrl-C, and after a kill that nothing can catch, no child is left."""
    (tmp_path / "test_long.py").write_text(
        "import time\ndef test_long(benchmark):\n    benchmark(lambda: time.sleep(600))\n"
    )
    script = DRIVE.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "TMPDIR": str(temporary)},  # nobody is left to remove it after a kill
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 2
    time.sleep(0.3)  # into the long call
    process.send_signal(number)
    _, errors = process.communicate(timeout=240)
    assert process.returncode != 0
    assert ("KeyboardInterrupt" in errors) == (number is signal.SIGINT)
    assert all(gone(pid) for pid in pids)
    assert number is signal.SIGKILL or list(temporary.glob("optbench-*")) == []


def test_the_plugin_is_not_for_users(tmp_path: Path) -> None:
    """Loaded by hand the child's plugin refuses, naming the option that uses it."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "pytest_optbench.child.plugin"],
        cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 4
    assert "run pytest --optbench --optbench-isolation=process instead" in done.stderr
