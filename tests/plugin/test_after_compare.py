"""What stands after ``optbench.compare`` in a test: it runs once, with the decision, and its failures count."""

from __future__ import annotations

import pytest
from plugin_bench import ARMS, Bench

ISOLATIONS = ["inline", "process"]
QUICK = ("--optbench-quick", "--optbench-gate=off")


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_the_rest_of_a_test_runs_once_with_the_decision(bench: Bench, isolation: str) -> None:
    """Lines after compare see the decision, also where processes of their own measured the arms."""
    bench.body(
        "decision = optbench.compare(baseline=slow, optimized=fast)\n"
        "with open('seen', 'a') as file:\n    file.write(f'{len(decision.pairs)} pairs\\n')\n"
        "assert decision.looks"
    )
    result = bench.run(*QUICK, f"--optbench-isolation={isolation}")
    result.assert_outcomes(passed=1)
    assert bench.only()["reasons"] == ["quick"]
    assert (bench.folder / "seen").read_text() == "4 pairs\n"


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_an_assertion_after_compare_fails_the_test_and_leaves_the_decision(
    bench: Bench, isolation: str
) -> None:
    """A test may ask for more than its decision; what was decided stands as it is."""
    bench.body("optbench.compare(baseline=slow, optimized=fast)\nassert False, 'more was asked for'")
    result = bench.run(*QUICK, f"--optbench-isolation={isolation}")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*more was asked for*"])
    document = bench.only()
    assert (document["reasons"], len(document["pairs"])) == (["quick"], 4)


def test_what_a_test_sets_up_is_torn_down_in_every_process(bench: Bench) -> None:
    """A test that ends early in its children leaves its with statements and fixtures there."""
    bench.file(
        f"""{ARMS}
import os
import pytest

def note(word):
    with open("noted", "a") as file:
        file.write(f"{{word}} {{os.getpid()}}\\n")

@pytest.fixture
def server():
    yield
    note("fixture")

def test_claim(optbench, server):
    try:
        optbench.compare(baseline=slow, optimized=fast)
    finally:
        note("body")
"""
    )
    result = bench.run(*QUICK, "--optbench-isolation=process")
    result.assert_outcomes(passed=1)
    lines = (bench.folder / "noted").read_text().split("\n")[:-1]
    pids = {
        word: [line.split()[1] for line in lines if line.startswith(word)] for word in ("fixture", "body")
    }
    assert len(pids["body"]) == len(set(pids["body"])) == 1 + 2 * 4
    assert sorted(pids["fixture"]) == sorted(pids["body"])


def test_a_test_case_of_unittest_is_measured_in_processes_too(bench: Bench) -> None:
    """A TestCase cannot end early without an error, so the rest of it runs in its children as well."""
    bench.file(
        f"""{ARMS}
import unittest
import pytest

class TestOld(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _take(self, optbench):
        self.optbench = optbench

    def test_claim(self):
        self.optbench.compare(baseline=slow, optimized=fast)
"""
    )
    result = bench.run(*QUICK, "--optbench-isolation=process")
    result.assert_outcomes(passed=1)
    assert bench.only()["reasons"] == ["quick"]
