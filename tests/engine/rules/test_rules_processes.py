"""Worker processes: whatever happens in one, every rule gets its one result."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import process_zoo as zoo
import pytest

from optengine import PersistentWorkerPool
from optengine.rules import ProcessPoolValidator, Report, Rule, RuleSet
from optengine.rules.ledger import LedgerReader, LedgerWriter
from optengine.rules.tree import IGNORED_NAMES
from optengine.rules.work import RunSettings, UnitOrder, dumps, run_unit


@pytest.fixture(scope="module")
def pool() -> Iterator[PersistentWorkerPool]:
    with PersistentWorkerPool(max_workers=2, max_attempts=1) as opened:
        yield opened


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a.txt").write_text("x")
    return tmp_path / "tree"


def validate(tree: Path, rules: RuleSet, **more: Any) -> Report:
    options: dict[str, Any] = {"mode": "processes", "max_workers": 2, "timeout": 60, **more}
    return ProcessPoolValidator(tree, rules, **options).validate()


@pytest.mark.parametrize(
    ("check", "status", "says"),
    [
        (zoo.hangs_in_compiled_code, "TIMEOUT", "in hangs_in_compiled_code"),
        (zoo.stops_itself, "TIMEOUT", "over its limit of 1 s"),
        (zoo.takes_the_timer_away, "TIMEOUT", "over its limit of 1 s"),
        (zoo.segfaults, "CRASH", "SIGSEGV"),
        (zoo.sends_the_timers_signal, "CRASH", "SIGALRM"),
        (zoo.exits, "CRASH", "worker left"),
    ],
)
def test_one_bad_rule_costs_only_itself(
    tree: Path, pool: PersistentWorkerPool, check: Any, status: str, says: str
) -> None:
    """A rule that hangs in any way, stops or crashes is named so with its cause; its group is not harmed."""
    rules = RuleSet()
    for number in range(5):
        rules.add(f"good{number}", zoo.good, group="g")
    rules.add("bad", check, group="g", timeout=1)
    rules.add("last", zoo.good, group="g")
    report = validate(tree, rules, pool=pool)
    assert [one.status for one in report.results] == ["PASS"] * 5 + [status, "PASS"]
    bad = report.result("bad")
    assert says in (bad.reason or "")
    # Who hangs is known for certain and pays for its limit once; who crashed may have been hit by another.
    assert bad.attempts == (2 if status == "CRASH" else 1)
    assert report.stats.retries == bad.attempts - 1
    assert report.stats.fallbacks == 0


def test_a_flaky_rule_gets_its_second_chance(tree: Path, tmp_path: Path, pool: PersistentWorkerPool) -> None:
    """A rule that loses its worker once and then passes is a PASS after two attempts."""
    rules = RuleSet()
    rules.add("flaky", zoo.CrashesOnce(tmp_path / "marker"))
    rules.add("good", zoo.good)
    report = validate(tree, rules, pool=pool)
    assert [(one.status, one.attempts) for one in report.results] == [("PASS", 2), ("PASS", 1)]
    assert report.stats.crashes == 0


@pytest.mark.parametrize("check", [zoo.OnlyHere(), zoo.NotThere()])
def test_rules_that_cannot_travel_run_in_threads_and_are_counted(
    tree: Path, pool: PersistentWorkerPool, check: Any
) -> None:
    """A rule that cannot be pickled or rebuilt runs in this process, and the report says so."""
    rules = RuleSet()
    rules.add("stays", check)
    rules.add("good", zoo.good)
    report = validate(tree, rules, pool=pool)
    assert report.counts["PASS"] == 2
    assert report.result("stays").evidence == {"pid": os.getpid()}
    assert report.stats.fallbacks == 1
    assert report.stats.fallback_reasons[0].startswith("stays cannot be")


def test_a_worker_lost_before_the_start_is_not_blamed_on_others(
    tree: Path, pool: PersistentWorkerPool
) -> None:
    """A rule that ends the worker while it is rebuilt is a CRASH in the end; the rules around it are not
    harmed."""
    rules = RuleSet()
    rules.add("first", zoo.good, group="g")
    rules.add("ends", zoo.EndsTheLoader(), group="g")
    rules.add("last", zoo.good, group="g")
    report = validate(tree, rules, pool=pool)
    assert [one.status for one in report.results] == ["PASS", "CRASH", "PASS"]
    assert report.result("ends").message == "ends was lost with its worker 3 times before it was started"


def test_a_rule_hit_by_another_ones_thread_is_run_again(
    tree: Path, tmp_path: Path, pool: PersistentWorkerPool
) -> None:
    """When a thread left behind ends the process, the rule that happened to run gets its own attempt and
    passes."""
    rules = RuleSet()
    rules.add("bomb", zoo.LeavesABomb(tmp_path / "marker"), group="g")
    rules.add("victim", zoo.GetsHit(tmp_path / "marker"), group="g")
    report = validate(tree, rules, pool=pool, max_workers=1, timeout=120)
    assert [one.status for one in report.results] == ["PASS", "PASS"]
    assert report.result("victim").attempts == 2


@pytest.mark.parametrize("mode", ["sequential", "threads", "processes"])
def test_an_error_of_the_caller_ends_the_run(tree: Path, pool: PersistentWorkerPool, mode: str) -> None:
    """When the callback for results raises, validate raises that error at once instead of waiting for
    ever."""
    rules = RuleSet()
    for number in range(6):
        rules.add(f"R{number}", zoo.good)

    def refuse(_: object) -> None:
        raise RuntimeError("the caller had enough")

    options = {"pool": pool} if mode == "processes" else {}
    with pytest.raises(RuntimeError, match="the caller had enough"):
        validate(tree, rules, mode=mode, on_result=refuse, **options)


def test_a_worker_without_the_segment_reads_the_disk_and_says_so(
    tree: Path, pool: PersistentWorkerPool
) -> None:
    """A segment that cannot be attached is reported as such, and the rules still see the same tree."""
    settings = RunSettings(str(tree), IGNORED_NAMES, (), {}, {}, {}, track=False)
    ledger = LedgerReader()
    with ledger.scratch:
        order = UnitOrder(
            run="alone",
            segment="/nonexistent",
            ledger=ledger.path,
            ledger_name=ledger.scratch.name,
            settings=dumps(settings),
            share=True,
            rules=[(0, dumps(Rule("R", zoo.good)), 5.0)],
        )
        pool.submit(run_unit, order).result(timeout=60)
        events = {event["event"]: event for event in ledger.new_events()}
    assert events["begin"]["attached"] is False
    assert "must be readable at '/nonexistent'" in events["begin"]["why"]
    assert events["result"]["evidence"] == {"there": True}


class TwicePool(Executor):
    """A pool that runs everything twice, as one would that lost sight of a task it had already run."""

    def __init__(self, pool: PersistentWorkerPool) -> None:
        self.pool = pool

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Run in the pool, and again when that is done; the second future is returned."""
        self.pool.submit(fn, *args, **kwargs).result(timeout=60)
        return self.pool.submit(fn, *args, **kwargs)


def test_a_unit_that_is_run_twice_gives_one_result(tree: Path, pool: PersistentWorkerPool) -> None:
    """Results are taken once per rule, whatever the pool does."""
    rules = RuleSet()
    for number in range(4):
        rules.add(f"R{number}", zoo.good, group="g")
    report = validate(tree, rules, pool=TwicePool(pool))
    assert report.counts["PASS"] == len(report.results) == 4


def test_a_unit_of_a_run_that_is_over_writes_nowhere(pool: PersistentWorkerPool) -> None:
    """When a unit starts after its run has ended it finds its ledger gone, even if the number is used
    again."""
    over = LedgerReader()
    path, name = over.path, over.scratch.name
    over.close()
    following = LedgerReader()
    with following.scratch:
        assert following.path == path, "the descriptor's number was used again"
        with pytest.raises(FileNotFoundError, match=f"The scratch file {name} is gone"):
            LedgerWriter(path, name)
        order = UnitOrder(
            run="over",
            segment="/nonexistent",
            ledger=path,
            ledger_name=name,
            settings=b"",
            share=True,
            rules=[],
        )
        with pytest.raises(FileNotFoundError, match="is gone"):
            pool.submit(run_unit, order).result(timeout=60)
        assert following.new_events() == []


def test_output_and_large_evidence_pass_through(tree: Path, pool: PersistentWorkerPool) -> None:
    """Megabytes of printed text and of evidence harm nobody."""
    rules = RuleSet()
    rules.add("prints", zoo.prints_much)
    rules.add("large", zoo.large_evidence)
    report = validate(tree, rules, pool=pool)
    assert report.counts["PASS"] == 2
    assert len(report.result("large").evidence) == 110


def test_every_worker_reports_that_it_attached_the_segment(tree: Path) -> None:
    """Each worker says that it mapped the shared segment, and how many bytes; a disabled cache cannot go
    unnoticed."""
    rules = RuleSet()
    for number in range(8):
        rules.add(f"R{number}", zoo.good)
    report = validate(tree, rules)
    assert report.stats.worker_reports
    assert all(one.attached for one in report.stats.worker_reports)
    assert {one.mapped_bytes for one in report.stats.worker_reports} == {report.stats.segment_bytes}
    assert sum(one.rules for one in report.stats.worker_reports) == 8
    assert report.stats.peak_memory > 1_000_000
    assert report.stats.startup_s > 0
    assert report.stats["serialisation_s"] > 0
    assert dict(report.stats)["mode"] == "processes"


def test_groups_stay_together_and_inputs_are_built_once_per_worker(
    tree: Path, pool: PersistentWorkerPool
) -> None:
    """Rules of one group run in one process when another group keeps the other worker busy; ungrouped units
    build anew."""
    rules = RuleSet()
    rules.shared("counted")(zoo.build_counted)
    for number in range(6):
        rules.add(f"A{number}", zoo.which_process, group="a")
        rules.add(f"B{number}", zoo.which_process, group="b")
    grouped = validate(tree, rules, pool=pool)
    for letter in "AB":
        seen = {str(one.evidence) for one in grouped.results if one.rule_id.startswith(letter)}
        assert len(seen) == 1
    alone = validate(tree, rules, pool=pool, grouping=False)
    assert len({str(one.evidence) for one in alone.results}) == len(rules)


def test_a_run_wide_input_is_built_once_for_all_workers(
    tree: Path, tmp_path: Path, pool: PersistentWorkerPool
) -> None:
    """One worker builds it, and both read what it built."""
    rules = RuleSet()
    rules.shared("wide", scope="run")(zoo.BuildsOnce(tmp_path / "log"))
    (tmp_path / "met").mkdir()
    for number in range(8):
        rules.add(f"R{number}", zoo.Gathers(tmp_path / "met"))
    report = validate(tree, rules, pool=pool, timeout=120)
    assert {str(one.evidence) for one in report.results} == {"{'text': 'x'}"}
    assert len({one.message for one in report.results}) == 2
    built = (tmp_path / "log").read_text().split()
    assert len(built) == 1
    assert built != [str(os.getpid())]


def test_a_group_whose_input_was_dear_stays_whole(
    tree: Path, tmp_path: Path, pool: PersistentWorkerPool
) -> None:
    """A group that is alone is cut for two workers while nothing is known of it, and no more once the store knows
    that building its input takes longer than all its rules."""
    rules = RuleSet()
    (tmp_path / "met").mkdir()
    rules.shared("slow")(zoo.BuildsSlowly(tmp_path / "met"))
    for number in range(6):
        rules.add(f"R{number}", zoo.uses_slow, group="g")
    processes = []
    for run in range(2):
        report = validate(
            tree, rules, pool=pool, cache_dir=tmp_path / "cache", config={"run": run}, timeout=120
        )
        assert report.stats.cache_hits == 0
        processes.append(len({one.evidence for one in report.results}))
    assert processes == [2, 1]


@pytest.mark.parametrize("cached", [False, True])
def test_no_worker_waits_for_the_end_of_a_batch(
    tree: Path, tmp_path: Path, pool: PersistentWorkerPool, cached: bool
) -> None:
    """A rule of the third batch runs while one of the first still does, once its own requirements are done."""
    rules = RuleSet()
    rules.add("waits", zoo.Awaits(tmp_path / "marker"))
    rules.add("first", zoo.good)
    rules.add("late", zoo.good, requires=["waits"])
    rules.add("second", zoo.good, requires=["first"])
    rules.add("third", zoo.Leaves(tmp_path / "marker"), requires=["second"])
    report = validate(tree, rules, pool=pool, timeout=120, cache_dir=tmp_path / "cache" if cached else None)
    assert report.counts["PASS"] == 5
    assert [(one.rules, one.ran) for one in report.batches] == [
        (["waits", "first"], 2),
        (["late", "second"], 2),
        (["third"], 1),
    ]
    assert sum(one.seconds for one in report.batches) <= report.stats.wall_s


@pytest.mark.parametrize("runs", [2])
def test_384_rules_give_384_results_with_a_crash_and_a_hang(tree: Path, runs: int) -> None:
    """Run after run, 384 rules in 9 batches with a crashing and a hanging one give 384 results in order."""
    rules = zoo.batched()
    assert [len(batch) for batch in rules.batches()] == [43] * 8 + [40]
    for _ in range(runs):
        report = validate(tree, rules)
        assert [one.rule_id for one in report.results] == [rule.id for rule in rules]
        counts = {name: count for name, count in report.counts.items() if count}
        assert counts == {"PASS": 384 - 2 - 8, "CRASH": 1, "TIMEOUT": 1, "SKIP": 8}
        assert report.stats.fallbacks == 0


def run_script(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys\nfrom pathlib import Path\n" + textwrap.dedent(text)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment, check=False)


def test_a_pool_that_cannot_start_falls_back_to_threads(tree: Path) -> None:
    """When the system gives no more descriptors for a pool, all rules run in threads, counted and
    reported."""
    done = run_script(
        """
        import os, resource
        import process_zoo as zoo
        from optengine import PersistentWorkerPool
        from optengine.rules import ProcessPoolValidator, RuleSet
        import optengine.rules.segment
        rules = RuleSet()
        for number in range(10):
            rules.add(f"R{number}", zoo.good)
        used = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 3, used + 3))
        report = ProcessPoolValidator(sys.argv[1], rules, mode="processes", max_workers=2).validate()
        print(report.counts["PASS"], report.stats.fallbacks, report.stats.mode, report.stats.fallback_reasons)
        """,
        str(tree),
    )
    assert done.returncode == 0, done.stderr
    passed, fallbacks, mode, why = done.stdout.split(maxsplit=3)
    assert (passed, mode) == ("10", "threads")
    assert int(fallbacks) == 1
    assert "file descriptors, more than are left to this process" in why


def test_an_interrupted_run_leaves_nothing_behind(tree: Path) -> None:
    """A run that is killed leaves no process and no file: segments and ledgers have no name anywhere."""
    before = shared_memory_names()
    code = """
    import process_zoo as zoo
    from optengine.rules import ProcessPoolValidator, RuleSet
    rules = RuleSet()
    rules.add("hangs", zoo.hangs)
    rules.add("good", zoo.good)
    ProcessPoolValidator(sys.argv[1], rules, mode="processes", max_workers=2,
                         on_result=lambda one: print(one.rule_id, one.worker, flush=True)).validate()
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    text = "import sys\n" + textwrap.dedent(code)
    with subprocess.Popen(
        [sys.executable, "-c", text, str(tree)], stdout=subprocess.PIPE, text=True, env=environment
    ) as run:
        assert run.stdout is not None
        name, worker = run.stdout.readline().split()
        assert name == "good"
        run.kill()
    pid = int(worker.removeprefix("pid-"))
    deadline = time.monotonic() + 120
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pid)
    assert not [name for name in shared_memory_names() - before if "rules" in name or "ledger" in name]


def shared_memory_names() -> set[str]:
    """Names in the folder where shared memory has names."""
    folder = Path("/dev/shm")
    return {one.name for one in folder.iterdir()} if folder.is_dir() else set()


def alive(pid: int) -> bool:
    """Whether a process is there and not merely waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
