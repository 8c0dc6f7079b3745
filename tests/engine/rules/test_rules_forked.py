"""The forked child of mode auto: whatever a rule does to its process, every rule gets its one result.

Validations run in a fresh interpreter, since a process with other threads of Python is not forked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from optengine.rules.snapshot import RACY_NS


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small folder."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a.txt").write_text("x")
    return tmp_path / "tree"


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run this interpreter with the modules of this folder and of *folder* importable."""
    places = [str(folder), str(Path(__file__).parent), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)


def report_of(code: str, tree: Path, *flags: str) -> dict[str, Any]:
    """What *code* prints last, given RULES to fill and the validator's options to pass."""
    text = textwrap.dedent(
        """
        import json, os, sys
        import process_zoo as zoo
        from optengine.rules import ProcessPoolValidator, RuleSet
        import ctypes, _thread, threading
        TREE = sys.argv[1]
        LIBC = ctypes.CDLL(None)

        def start_a_thread_of_a_library():
            LIBC.pthread_create(ctypes.byref(ctypes.c_ulong()), None, LIBC.pause, None)

        STAYS = threading.Event()

        def stay():
            STAYS.set()
            threading.Event().wait()

        RULES = RuleSet()

        def validate(**options):
            report = ProcessPoolValidator(TREE, RULES, **options).validate()
            print(json.dumps({
                "results": [[one.rule_id, one.status, one.attempts, one.worker, one.message, one.reason, one.evidence]
                            for one in report.results],
                "counts": {name: count for name, count in report.counts.items() if count},
                "stats": {name: getattr(report.stats, name) for name in
                          ("mode", "reason", "retries", "cache_hits", "hashed_files", "memory_how", "fallbacks")},
            }))
        """
    ) + textwrap.dedent(code)
    done = run([*flags, "-c", text, str(tree)], tree.parent)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


ENDS = {
    "exits with 0": ("os._exit(0)", "it left with exit status 0"),
    "exits with 3": ("os._exit(3)", "it left with exit status 3"),
    "segfaults": ("ctypes.string_at(0)", "killed by SIGSEGV"),
    "kills itself": ("os.kill(os.getpid(), 9)", "killed by SIGKILL"),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_rule_that_ends_its_process_costs_only_itself(tree: Path, how: str) -> None:
    """Of 20 tiny rules on the command line in the default mode the one that ends its process is a CRASH, the others
    pass, and the exit status is 1."""
    statement, why = ENDS[how]
    (tree.parent / "ending_rules.py").write_text(
        "import ctypes, os\n"
        "from optengine.rules import RuleSet\n"
        "RULES = RuleSet()\n"
        "def good(ctx):\n    return ctx.fs.exists('a.txt')\n"
        f"def bad(ctx):\n    {statement}\n    return True\n"
        "for number in range(20):\n    RULES.add(f'R{number}', bad if number == 7 else good)\n"
    )
    out = tree.parent / "report.json"
    options = ["--rules", "ending_rules:RULES", "--no-progress", "--format", "json", "--out", str(out)]
    done = run(["-m", "optengine", "validate", str(tree), *options], tree.parent)
    assert done.returncode == 1, done.stderr
    results = json.loads(out.read_text())["results"]
    assert [one["status"] for one in results] == ["PASS"] * 7 + ["CRASH"] + ["PASS"] * 12
    assert results[7]["attempts"] == 2
    assert why in results[7]["reason"]


def test_hanging_rules_are_stopped_once_and_named(tree: Path) -> None:
    """A rule that hangs in Python, in compiled code or stopped is a TIMEOUT after one attempt; the rest runs."""
    found = report_of(
        """
        for check in (zoo.hangs, zoo.hangs_in_compiled_code, zoo.stops_itself):
            RULES.add(check.__name__, check, timeout=0.5)
            RULES.add("after-" + check.__name__, zoo.good)
        validate()
        """,
        tree,
    )
    assert found["counts"] == {"PASS": 3, "TIMEOUT": 3}
    reasons = {one[0]: one[5] for one in found["results"]}
    assert "in hangs" in reasons["hangs"]
    assert "in hangs_in_compiled_code" in reasons["hangs_in_compiled_code"]
    assert "over its limit of 0.5 s" in reasons["stops_itself"]
    assert {one[2] for one in found["results"]} == {1}
    assert found["stats"]["retries"] == 0


def test_a_flaky_rule_passes_the_second_time(tree: Path) -> None:
    """A rule that loses its child once and then passes is a PASS after two attempts."""
    found = report_of(
        """
        from pathlib import Path
        RULES.add("flaky", zoo.CrashesOnce(Path(TREE).parent / "marker"))
        RULES.add("good", zoo.good)
        validate()
        """,
        tree,
    )
    assert [one[1:4] for one in found["results"]] == [["PASS", 2, "child-2"], ["PASS", 1, "child-2"]]
    assert found["stats"]["retries"] == 1


def test_the_child_and_its_shared_inputs_stay_for_all_batches(tree: Path) -> None:
    """Batches follow each other in one child, which builds a shared input once and knows earlier results."""
    found = report_of(
        """
        RULES.shared("counted")(zoo.build_counted)
        RULES.add("R0", zoo.which_process)
        for number in range(1, 6):
            RULES.add(f"R{number}", lambda ctx, of=f"R{number - 1}": ctx.passed(evidence={
                "same": ctx.result(of).status.value, "built": ctx.shared("counted"), "pid": os.getpid()}),
                requires=[f"R{number - 1}"])
        validate()
        """,
        tree,
    )
    evidence = [one[6] for one in found["results"]]
    assert len({one["pid"] for one in evidence}) == 1
    assert {one["built"] for one in evidence} == {1}
    assert [one.get("same") for one in evidence] == [None] + ["PASS"] * 5
    assert "of its child" in found["stats"]["memory_how"]


def test_what_the_child_read_is_kept_in_the_store(tree: Path) -> None:
    """Results, recorded reads and digests of a run in a child serve the next run, which hashes nothing again."""
    code = """
    def reads(ctx):
        return ctx.fs.read("a.txt") == "x"
    for number in range(4):
        RULES.add(f"R{number}", reads)
    validate(cache_dir=sys.argv[1] + "-cache")
    """
    (tree.parent / "keeps.py").write_text("def reads(ctx):\n    return ctx.fs.read('a.txt') == 'x'\n")
    code = code.replace(
        'def reads(ctx):\n        return ctx.fs.read("a.txt") == "x"', "from keeps import reads"
    )
    time.sleep(RACY_NS / 1e9 + 0.1)  # a file that has just been written is not remembered
    first, again = report_of(code, tree), report_of(code, tree)
    assert (first["stats"]["cache_hits"], first["stats"]["hashed_files"]) == (0, 1)
    assert {one[3] for one in first["results"]} == {"child-1"}
    assert (again["stats"]["cache_hits"], again["stats"]["hashed_files"]) == (4, 0)
    (tree / "a.txt").write_text("y")
    assert report_of(code, tree)["counts"] == {"FAIL": 4}


def test_a_run_wide_input_of_the_child_is_not_built_again_for_the_pool(tree: Path) -> None:
    """When auto changes over to a pool, an input that the child built is handed on with what was read for it."""
    found = report_of(
        """
        import time
        @RULES.shared("wide", scope="run")
        def wide(ctx):
            with open(TREE + "-builds", "a") as file:
                file.write("built ")
            return {"text": ctx.fs.read("a.txt")}
        def slow(ctx):
            time.sleep(0.25)
            return ctx.passed(evidence=dict(ctx.shared("wide")))
        for number in range(24):
            RULES.add(f"R{number}", slow)
        if __name__ == "__main__":
            validate(max_workers=2)
        """,
        tree,
    )
    assert found["stats"]["mode"] == "sequential+processes"
    assert found["stats"]["fallbacks"] == 0
    assert {str(one[6]) for one in found["results"]} == {"{'text': 'x'}"}
    assert (tree.parent / "tree-builds").read_text() == "built "


THREADS = {
    "library": ("start_a_thread_of_a_library()", "child-", "sequential"),
    "threading": (
        "threading.Thread(target=stay, daemon=True).start(); STAYS.wait()",
        "pid-",
        "processes",
    ),
    "_thread": ("_thread.start_new_thread(stay, ()); STAYS.wait()", "pid-", "processes"),
}


@pytest.mark.parametrize("kind", THREADS)
def test_beside_any_thread_a_rule_that_ends_its_process_costs_only_itself(tree: Path, kind: str) -> None:
    """Beside a thread of a library the child is forked without a warning; beside one of Python, known to `threading`
    or not, rules run in worker processes, and the report says why. All have their results."""
    start, workers, mode = THREADS[kind]
    found = report_of(
        f"""
        for number in range(6):
            RULES.add(f"R{{number}}", zoo.exits if number == 3 else zoo.good)
        {start}
        validate()
        """,
        tree,
        "-Werror::DeprecationWarning",
    )
    assert [one[1] for one in found["results"]] == ["PASS"] * 3 + ["CRASH"] + ["PASS"] * 2
    assert {one[3].startswith(workers) for one in found["results"]} == {True}
    assert found["stats"]["mode"] == mode
    if mode == "processes":
        why = "rules ran in worker processes to contain crashes, as this process has 1 other thread of Python"
        assert found["stats"]["reason"] == why


HOOKS = {
    "blocks": ("import time; time.sleep(60)", "did not begin within 1 s"),
    "ends it": ("os._exit(3)", "ended before it began: it left with exit status 3"),
}


@pytest.mark.parametrize("hook", HOOKS)
def test_a_child_that_does_not_begin_is_given_up(tree: Path, hook: str) -> None:
    """When what a library does after a fork blocks the child or ends it, rules run in worker processes instead."""
    statement, why = HOOKS[hook]
    found = report_of(
        f"""
        from optengine.rules import child
        child.BEGIN_LIMIT_S = 1
        def after_fork():
            {statement}
        os.register_at_fork(after_in_child=after_fork)
        RULES.add("good", zoo.good)
        RULES.add("bad", zoo.exits)
        validate()
        """,
        tree,
    )
    assert found["counts"] == {"PASS": 1, "CRASH": 1}
    assert why in found["stats"]["reason"]


def test_a_rule_that_hangs_because_of_the_fork_is_judged_elsewhere(tree: Path) -> None:
    """Beside threads of libraries a rule over its limit in the child runs again in a worker process: only one that
    hangs there too is a TIMEOUT, and results that were there stay."""
    found = report_of(
        """
        import time
        MAIN = os.getpid()
        start_a_thread_of_a_library()
        def locked(ctx, main=MAIN):
            if os.getppid() == main:
                time.sleep(60)
            return True
        RULES.add("first", zoo.good)
        RULES.add("locked", locked, timeout=1, requires=["first"])
        RULES.add("hangs", zoo.hangs, timeout=1, requires=["first"])
        RULES.add("last", zoo.good, requires=["first"])
        validate()
        """,
        tree,
    )
    assert [one[1] for one in found["results"]] == ["PASS", "PASS", "TIMEOUT", "PASS"]
    assert [one[3].startswith("child-") for one in found["results"]] == [True, False, False, False]
    assert found["stats"]["mode"] == "sequential+processes"
    assert "locked did not finish within 1 s in a child forked beside threads" in found["stats"]["reason"]


def test_a_rule_without_a_limit_is_not_run_in_a_child_that_may_hang(tree: Path) -> None:
    """Beside threads of libraries nothing would end a hang of a rule that has no limit: it goes to a worker process."""
    found = report_of(
        """
        start_a_thread_of_a_library()
        RULES.add("endless", zoo.good)
        validate(timeout=None)
        """,
        tree,
    )
    assert found["results"][0][3].startswith("pid-")
    assert "endless has no time limit" in found["stats"]["reason"]


def test_a_rule_that_hangs_up_and_stays_is_ended(tree: Path) -> None:
    """A rule that closes all descriptors of its child and goes on costs itself only, and nobody waits for it."""
    found = report_of(
        """
        import time
        def hangs_up(ctx):
            os.closerange(3, 100)
            time.sleep(100)
        RULES.add("hangs-up", hangs_up, timeout=90)
        RULES.add("good", zoo.good)
        validate()
        """,
        tree,
    )
    assert [one[1] for one in found["results"]] == ["CRASH", "PASS"]
    assert "its connection was closed" in found["results"][0][5]


def test_a_rule_that_crashed_never_runs_in_the_parent(tree: Path) -> None:
    """When no second child can be forked the rule that ended the first is a CRASH, and the rest runs in a pool."""
    found = report_of(
        """
        import threading
        done = threading.Event()
        thread = threading.Thread(target=done.wait)
        RULES.add("first", zoo.good)
        RULES.add("bad", zoo.exits, requires=["first"])
        RULES.add("last", zoo.good, requires=["first"])
        validate(on_result=lambda one: thread.start() if one.rule_id == "first" else None)
        done.set()
        thread.join()
        """,
        tree,
    )
    assert [one[1] for one in found["results"]] == ["PASS", "CRASH", "PASS"]
    assert "not tried again" in found["results"][1][5]
    assert found["results"][2][3].startswith("pid-")


def test_an_error_of_the_caller_ends_the_child(tree: Path) -> None:
    """When the callback for results raises, validate raises that error and no process is left."""
    text = """
    import os, sys
    import process_zoo as zoo
    from optengine.rules import ProcessPoolValidator, RuleSet
    rules = RuleSet()
    rules.add("good", zoo.good)
    rules.add("hangs", zoo.hangs, requires=["good"])
    def refuse(one):
        raise RuntimeError("the caller had enough")
    try:
        ProcessPoolValidator(sys.argv[1], rules, on_result=refuse).validate()
    except RuntimeError as error:
        print(error)
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        print("no child")
    """
    done = run(["-c", textwrap.dedent(text), str(tree)], tree.parent)
    assert done.stdout.splitlines() == ["the caller had enough", "no child"], done.stderr


def test_what_rules_print_appears_once(tree: Path) -> None:
    """Text printed before and by rules comes out once, though the child is a copy of its parent."""
    found = run(
        [
            "-c",
            "import sys\nfrom optengine.rules import ProcessPoolValidator, RuleSet\nrules = RuleSet()\n"
            "rules.add('R', lambda ctx: print('from the rule') or True)\nprint('before')\n"
            "ProcessPoolValidator(sys.argv[1], rules).validate()\n",
            str(tree),
        ],
        tree.parent,
    )
    assert sorted(found.stdout.splitlines()) == ["before", "from the rule"], found.stderr


def test_the_child_ends_with_a_parent_that_is_killed(tree: Path) -> None:
    """When the validating process is killed while a rule hangs, the child that ran the rule does not stay."""
    text = """
    import os, sys, time
    from optengine.rules import ProcessPoolValidator, RuleSet
    def hangs(ctx):
        print(os.getpid(), flush=True)
        time.sleep(60)
    rules = RuleSet()
    rules.add("hangs", hangs)
    ProcessPoolValidator(sys.argv[1], rules).validate()
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", textwrap.dedent(text), str(tree)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert child != parent.pid
        parent.kill()
    deadline = time.monotonic() + 20
    while runs(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not runs(child)


def runs(pid: int) -> bool:
    """Whether a process is there and not merely waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
