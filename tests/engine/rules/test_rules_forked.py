"""The forked child of mode auto: whatever a rule does to its process, every rule gets its one result.

Validations run in a fresh interpreter, since only a process with a single thread is forked.
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


def report_of(code: str, tree: Path) -> dict[str, Any]:
    """What *code* prints last, given RULES to fill and the validator's options to pass."""
    text = textwrap.dedent(
        """
        import json, os, sys
        import process_zoo as zoo
        from optengine.rules import ProcessPoolValidator, RuleSet
        TREE = sys.argv[1]
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
    done = run(["-c", text, str(tree)], tree.parent)
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


def test_a_process_with_threads_is_not_forked_and_the_report_says_so(tree: Path) -> None:
    """Beside a thread rules run in this process as they always did, and the reason names the threads."""
    found = report_of(
        """
        import threading
        done = threading.Event()
        thread = threading.Thread(target=done.wait)
        thread.start()
        RULES.add("R", zoo.good)
        validate()
        done.set()
        thread.join()
        """,
        tree,
    )
    assert [one[1:4] for one in found["results"]] == [["PASS", 1, "main"]]
    assert "not forked: this process has 2 threads" in found["stats"]["reason"]


def test_a_rule_that_crashed_never_runs_in_the_parent(tree: Path) -> None:
    """When no second child can be forked the rule that ended the first is a CRASH, and the rest runs here."""
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
    assert found["results"][2][3] == "main"


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
