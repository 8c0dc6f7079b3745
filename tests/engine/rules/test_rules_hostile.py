"""Rules that do what no rule should: each gets one result, the same in every mode, and harms no other."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import process_zoo as zoo
import pytest

from optengine.rules import ProcessPoolValidator, RuleSet
from optengine.rules.formats.document import document
from optengine.rules.formats.markdown import markdown
from optengine.rules.formats.table import table

MODES = ("sequential", "threads", "auto", "processes")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small folder."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a.txt").write_text("x")
    return tmp_path / "tree"


def results(code: str, tree: Path, mode: str) -> dict[str, list[Any]]:
    """Status, message, evidence and attempts by rule, when RULES filled by *code* are run in a fresh interpreter."""
    text = (
        "import json, os, sys, threading\n"
        "import process_zoo as zoo\n"
        "from optengine.rules import ProcessPoolValidator, RuleSet\n"
        "RULES = RuleSet()\n"
        + textwrap.dedent(code)
        + textwrap.dedent(
            """
            RULES.add("last", zoo.good)
            report = ProcessPoolValidator(sys.argv[1], RULES, mode=sys.argv[2], max_workers=2, timeout=30).validate()
            print("\\n" + json.dumps({one.rule_id: [one.status, one.message, one.evidence, one.attempts]
                                     for one in report.results}))
            """
        )
    )
    places = [str(Path(__file__).parent), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places), "PYTHONHASHSEED": "random"}
    command = [sys.executable, "-c", text, str(tree), mode]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(lines) == 1, "a copy of the validator went on"
    found: dict[str, list[Any]] = json.loads(lines[0])
    return found


def test_hostile_answers_are_judged_alike_in_every_mode(tree: Path) -> None:
    """Errors nobody can show, numbers nobody can print, large sets, addresses, outcomes made by hand, copies that go
    on and limits beyond all time give the same results in every mode."""
    code = """
    for check in (zoo.raises_unshowable, zoo.answers_by_hand, zoo.answers_wrongly_by_hand, zoo.gives_a_huge_number,
                  zoo.gives_a_large_set, zoo.gives_an_address, zoo.answers_with_an_object,
                  zoo.forks_and_goes_on, zoo.forks_and_raises):
        RULES.add(check.__name__, check)
    RULES.add("patient", zoo.good, timeout=float("inf"))
    """
    by_mode = {mode: results(code, tree, mode) for mode in MODES}
    first = by_mode["sequential"]
    assert {name: one[0] for name, one in first.items()} == {
        "raises_unshowable": "ERROR",
        "answers_by_hand": "FAIL",
        "answers_wrongly_by_hand": "ERROR",
        "gives_a_huge_number": "PASS",
        "gives_a_large_set": "PASS",
        "gives_an_address": "PASS",
        "answers_with_an_object": "ERROR",
        "forks_and_goes_on": "PASS",
        "forks_and_raises": "PASS",
        "patient": "PASS",
        "last": "PASS",
    }
    assert first["raises_unshowable"][1] == (
        "raises_unshowable raised Unshowable: (its message cannot be shown)"
    )
    assert first["gives_a_huge_number"][2]["number"]["bits"] == 19932
    assert first["forks_and_goes_on"][1] == "from the process itself"
    assert all(one[3] == 1 for one in first.values())
    for mode in MODES:
        assert by_mode[mode] == first, mode


@pytest.mark.parametrize("seed", range(2))
def test_random_graphs_with_crashes_and_hangs_are_judged_alike(tree: Path, seed: int) -> None:
    """Where crashes are contained, a random graph of rules that pass, fail, raise, skip, crash and hang gives every
    rule what was drawn for it, or a SKIP that names a requirement, and the same in both modes."""
    chance = random.Random(seed)
    ends = ["PASS"] * 45 + ["FAIL", "ERROR", "SKIP", "CRASH", "CRASH", "CRASH", "TIMEOUT", "TIMEOUT"]
    chance.shuffle(ends)
    drawn = {f"R{number}": end for number, end in enumerate(ends)}
    names = list(drawn)
    requires = {
        name: sorted(chance.sample(names[:place], min(place, chance.choice([0, 0, 1, 2]))))
        for place, name in enumerate(names)
    }
    groups = {name: chance.choice([None, "g", "h"]) for name in names}
    code = f"""
    requires, groups = {requires!r}, {groups!r}
    for name, end in {drawn!r}.items():
        RULES.add(name, zoo.Draws(end), requires=requires[name], group=groups[name],
                  timeout=0.5 if end == "TIMEOUT" else None)
    """
    auto, processes = results(code, tree, "auto"), results(code, tree, "processes")
    assert list(auto) == list(processes) == [*names, "last"]
    assert {name: one[:3] for name, one in auto.items()} == {name: one[:3] for name, one in processes.items()}
    for name, end in drawn.items():
        blocked = [one for one in requires[name] if auto[one][0] != "PASS"]
        assert auto[name][0] == ("SKIP" if blocked else end)
        if blocked:
            assert auto[name][1].startswith(f"skipped: {blocked[0]} ")
    assert {"CRASH", "TIMEOUT", "SKIP"} <= {one[0] for one in auto.values()}


@pytest.mark.parametrize(("mode", "end"), [("auto", "CRASH"), ("processes", "PASS")])
def test_nonsense_on_the_connection_costs_its_rule_only(tree: Path, mode: str, end: str) -> None:
    """A rule that writes to every connection of its process is a CRASH where its result comes over one of them; rules
    before and after it pass, and nobody waits for ever."""
    code = """
    for number in range(4):
        RULES.add(f"R{number}", zoo.writes_everywhere if number == 2 else zoo.good)
    """
    found = results(code, tree, mode)
    ends = {"R0": "PASS", "R1": "PASS", "R2": end, "R3": "PASS", "last": "PASS"}
    assert {name: one[0] for name, one in found.items()} == ends


def test_a_rule_that_cannot_be_sent_or_shown_runs_in_a_thread(tree: Path) -> None:
    """When pickling a rule raises what nobody can show, it runs in this process, counted, and the others where they
    should."""
    rules = RuleSet()
    rules.add("stays", zoo.TravelsUnshowably())
    rules.add("good", zoo.good)
    report = ProcessPoolValidator(tree, rules, mode="processes", max_workers=2).validate()
    assert report.counts["PASS"] == 2
    assert (report.stats.mode, report.stats.ran) == ("processes", {"processes": 1, "threads": 1})
    assert [one.mode for one in report.results] == ["threads", "processes"]
    for text in (table(report), markdown(report)):
        assert "rules by mode: 1 processes, 1 threads" in text
    assert [one["mode"] for one in document(report)["results"]] == ["threads", "processes"]
    assert document(report)["stats"]["ran"] == {"processes": 1, "threads": 1}
    assert report.stats.fallback_reasons == [
        "stays cannot be sent to a worker: Unshowable: (its message cannot be shown)"
    ]


@pytest.mark.parametrize("mode", MODES)
def test_a_run_wide_input_that_is_never_built_costs_its_users_only(tree: Path, mode: str) -> None:
    """In every mode a rule that waits for such an input is a TIMEOUT, and rules without it have their results."""
    rules = RuleSet()
    rules.shared("wide", scope="run")(zoo.never_builds)
    rules.add("waits", zoo.uses_wide, timeout=0.5)
    rules.add("good", zoo.good, timeout=120)
    report = ProcessPoolValidator(tree, rules, mode=mode, max_workers=2, timeout=1).validate()
    assert [one.status for one in report.results] == ["TIMEOUT", "PASS"]


@pytest.mark.parametrize("mode", MODES)
def test_inputs_that_need_each_other_are_told_alike(tree: Path, mode: str) -> None:
    """Two shared inputs that need each other are one error with one text, also when two threads build them at the
    same moment; nobody waits for ever."""
    meet = threading.Barrier(2) if mode == "threads" else None
    rules = RuleSet()
    rules.shared("a")(zoo.Asks("b", meet))
    rules.shared("b")(zoo.Asks("a", meet))
    rules.add("wants-a", zoo.Asks("a"))
    rules.add("wants-b", zoo.Asks("b"))
    report = ProcessPoolValidator(tree, rules, mode=mode, max_workers=2, timeout=30).validate()
    assert {one.status for one in report.results} == {"ERROR"}
    for one in report.results:
        assert one.message == (
            f"{one.rule_id} raised CircularInputs: "
            "Shared inputs must not need each other in a circle; found a -> b -> a."
        )


ENDS = {"exits": "os._exit(0)", "segfaults": "ctypes.string_at(0)"}


@pytest.mark.parametrize("mode", ["auto", "processes"])
@pytest.mark.parametrize("how", ENDS)
def test_a_run_wide_input_whose_builder_ends_its_process_costs_its_users_only(
    tree: Path, how: str, mode: str
) -> None:
    """Rules that need it are a CRASH each that names it, as in any mode; other inputs and rules are not harmed, and an
    input that needs the deadly one harms no others either."""
    found = results(
        f"""
        import ctypes
        @RULES.shared("before", scope="run")
        def before(ctx):
            return [os.getpid()]
        @RULES.shared("deadly", scope="run")
        def deadly(ctx):
            {ENDS[how]}
        @RULES.shared("needs-deadly", scope="run")
        def needs_deadly(ctx):
            return ctx.shared("deadly")
        @RULES.shared("after", scope="run")
        def after(ctx):
            return [1]
        for name in ("before", "deadly", "needs-deadly", "after"):
            RULES.add("uses-" + name, zoo.Gets(name))
        """,
        tree,
        mode,
    )
    assert [one[0] for one in found.values()] == ["PASS", "CRASH", "CRASH", "PASS", "PASS"]
    assert found["uses-after"][2] == [1]


@pytest.mark.parametrize("mode", ["auto", "processes"])
def test_a_crash_names_the_input_that_was_being_built(tree: Path, mode: str) -> None:
    """The reason of a CRASH tells which shared input its process was building, and only if it was."""
    rules = RuleSet()
    rules.shared("deadly")(zoo.exits)
    rules.shared("fine")(zoo.build_counted)
    rules.add("in-builder", zoo.Gets("deadly"))
    rules.add("after-builder", zoo.Gets("fine", leave=True))
    report = ProcessPoolValidator(tree, rules, mode=mode, max_workers=1).validate()
    assert [one.status for one in report.results] == ["CRASH", "CRASH"]
    reasons = [one.reason or "" for one in report.results]
    assert "while it built shared input 'deadly'" in reasons[0]
    assert "while it built" not in reasons[1]


def test_a_run_wide_input_is_built_outside_of_this_process(tree: Path, tmp_path: Path) -> None:
    """In worker processes a run-wide input is built once, by a worker; one that raises is an ERROR of its users."""
    rules = RuleSet()
    rules.shared("wide", scope="run")(zoo.BuildsOnce(tmp_path / "log"))
    rules.shared("raises", scope="run")(zoo.raises_unshowable)
    rules.add("uses-wide", zoo.uses_wide)
    rules.add("uses-raises", zoo.Gets("raises"))
    report = ProcessPoolValidator(tree, rules, mode="processes", max_workers=2).validate()
    assert [one.status for one in report.results] == ["PASS", "ERROR"]
    assert "builder of shared input 'raises' raised Unshowable" in report.results[1].message
    built = (tmp_path / "log").read_text().split()
    assert len(built) == 1
    assert built != [str(os.getpid())]
    assert report.stats.startup_s > 0


@pytest.mark.parametrize("mode", ["auto", "processes"])
def test_a_rule_that_changes_what_writes_results_costs_only_itself(tree: Path, mode: str) -> None:
    """A rule after which its process writes well-formed nonsense is a CRASH, and its process judges no other rule."""
    found = results(
        """
        for number in range(6):
            RULES.add(f"R{number}", zoo.breaks_json if number == 2 else zoo.good)
        """,
        tree,
        mode,
    )
    assert [one[0] for one in found.values()] == ["PASS"] * 2 + ["CRASH"] + ["PASS"] * 4


@pytest.mark.parametrize("mode", ["auto", "processes"])
def test_a_rule_that_sends_itself_ctrl_c_is_judged_alike(tree: Path, mode: str) -> None:
    """Ctrl-C is for the process that validates: where rules run in another one, that signal does nothing to them."""
    found = results("RULES.add('R', zoo.interrupts_itself)", tree, mode)
    assert [one[0] for one in found.values()] == ["PASS", "PASS"]
