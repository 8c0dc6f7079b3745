"""The gate holds however pytest is run: each row is a way in which another tool's gate passed."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from plugin_bench import ARMS, FASTER, UNCHANGED, WRONG, Bench

WAYS = {
    "plain": (),
    "quiet": ("-q",),
    "no summary": ("--no-summary",),
    "no terminal": ("-p", "no:terminal"),
    "one worker": ("-n", "1"),
    "two workers": ("-n", "2"),
    "no capture": ("-s",),
    "junit": ("--junitxml=junit.xml",),
    "other benchmarks disabled": ("--benchmark-disable",),
    "no traceback": ("--tb=no",),
    "no cache": ("-p", "no:cacheprovider"),
    "first failure stops": ("-x",),
}

UNITTEST = f"""{ARMS}
import unittest
import pytest

class TestOld(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _take(self, optbench):
        self.optbench = optbench

    def swallowed(self):
        try:
            self.optbench.compare(baseline=slow, optimized=same)
        except BaseException:
            pass

    def test_claim(self):
        BODY
"""


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("way", WAYS)
def test_a_claim_that_does_not_hold_fails_the_run(bench: Bench, way: str) -> None:
    """Identical code never passes the strict gate, whatever the options."""
    bench.file(UNCHANGED)
    result = bench.run(*WAYS[way])
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert bench.only()["verdict"] != "ACCEPT"


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("way", ["plain", "no terminal", "two workers"])
def test_a_gain_passes(bench: Bench, way: str) -> None:
    """A clear gain with equal results is accepted and the run succeeds."""
    bench.file(FASTER)
    result = bench.run(*WAYS[way])
    assert result.ret == pytest.ExitCode.OK
    document = bench.only()
    assert (document["verdict"], document["reasons"]) == ("ACCEPT", ["demonstrated"])
    assert document["ratio"]["ci_low"] > 1.05


def test_a_renamed_test_is_still_judged(bench: Bench) -> None:
    """A gate that compares by stored names passes when the name is gone; this one does not look them up."""
    bench.file(UNCHANGED)
    assert bench.run_here().ret == 1
    bench.file(UNCHANGED.replace("test_claim", "test_renamed"))
    assert bench.run_here().ret == 1


def test_junit_says_failure(bench: Bench) -> None:
    """The JUnit file counts the failure and carries verdict and interval as properties."""
    bench.file(UNCHANGED)
    bench.run_here("--junitxml=junit.xml")
    suite = ET.parse(bench.folder / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    assert suite.attrib["failures"] == "1"
    properties = {p.attrib["name"]: p.attrib["value"] for p in suite.iter("property")}
    assert properties["optbench_verdict"] == bench.only()["verdict"]
    assert float(properties["optbench_ratio"]) == pytest.approx(bench.only()["ratio"]["estimate"], rel=1e-3)


def test_the_failure_is_one_line_without_a_traceback(bench: Bench) -> None:
    """The test's own report states verdict, estimate, interval, threshold and reason in one line."""
    bench.file(UNCHANGED.replace("compare(", "compare(") + "    assert False, 'not reached'\n")
    result = bench.run_here()
    text = result.stdout.str()
    assert "Traceback" not in text
    assert "not reached" not in text
    document = bench.only()
    (line,) = {line for line in result.outlines if line == document["summary"]}
    assert line.startswith(document["verdict"])
    for part in ("test_claim", "CI [", "5 %", *document["reasons"]):
        assert part in line


def test_a_wrong_answer_is_rejected_however_fast(bench: Bench) -> None:
    """A different result is REJECT not-equivalent, says where, and is not timed at all."""
    bench.file(WRONG)
    result = bench.run_here()
    assert result.ret == 1
    document = bench.only()
    assert (document["verdict"], document["reasons"]) == ("REJECT", ["not-equivalent"])
    assert document["pairs"] == []
    result.stdout.fnmatch_lines(["*REJECT*not-equivalent*"])
    assert "7998000" in document["equivalence"]["message"]


@pytest.mark.parametrize("then", ["pass", "pytest.skip('flaky')", "pytest.xfail('known')"])
def test_a_swallowed_verdict_still_fails(bench: Bench, then: str) -> None:
    """A bare except around compare cannot turn a failed gate green, whatever the test does then."""
    compare = "import pytest\ntry:\n    optbench.compare(baseline=slow, optimized=same)\n"
    bench.body(f"{compare}except BaseException:\n    {then}")
    result = bench.run_here()
    assert result.ret == 1
    result.assert_outcomes(failed=1)


@pytest.mark.parametrize("args", [(), ("-n", "2"), ("-p", "no:terminal")])
def test_an_empty_gate_is_an_error(bench: Bench, args: tuple[str, ...]) -> None:
    """A run that measured nothing exits with an error although its tests passed."""
    bench.file("def test_other():\n    pass\n")
    result = bench.run(*args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    if "no:terminal" not in args:
        result.stdout.fnmatch_lines(["*no benchmark was measured*"])


@pytest.mark.parametrize(
    "arguments",
    [
        "baseline=None, optimized=same",
        "baseline=slow, optimized={}",
        "baseline=slow, optimized=same, config=1",
    ],
)
def test_a_swallowed_misuse_is_no_comparison(bench: Bench, arguments: str) -> None:
    """A call that was refused and whose refusal the test caught has compared nothing, so the test fails."""
    bench.body(f"try:\n    optbench.compare({arguments})\nexcept BaseException:\n    pass")
    for result in (bench.run_here(), bench.plain_here()):
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["*never called optbench.compare()*"])


def test_a_swallowed_interrupt_still_fails(bench: Bench) -> None:
    """What ends measuring before there is a decision cannot be caught to pass without one."""
    bench.body(
        "def interrupted():\n    raise KeyboardInterrupt\n"
        "try:\n    optbench.compare(baseline=slow, optimized=interrupted)\nexcept BaseException:\n    pass"
    )
    result = bench.run_here()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*must reach a decision, but the test caught what ended it before*"])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("self.optbench.compare(baseline=slow, optimized=same)", "test_claim: time saved"),
        ("self.swallowed()", "test_claim: time saved"),
        ("self.swallowed()\n        self.skipTest('flaky')", "test_claim: time saved"),
        ("pass", "never called optbench.compare()"),
    ],
)
def test_a_test_case_of_unittest_is_gated_too(bench: Bench, body: str, words: str) -> None:
    """A TestCase that takes the fixture fails for the same reasons as a function, whatever it catches or skips."""
    bench.file(UNITTEST.replace("BODY", body))
    result = bench.run_here("--optbench-quick")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{words}*"])


def test_a_test_case_of_unittest_may_skip(bench: Bench) -> None:
    """A TestCase that skips before it compares is skipped, and one that is accepted passes."""
    bench.file(UNITTEST.replace("BODY", "self.skipTest('not here')"))
    bench.run_here().assert_outcomes(skipped=1)
    bench.file(UNITTEST.replace("BODY", "self.optbench.compare(baseline=slow, optimized=fast)"))
    bench.run_here("--optbench-quick", "--optbench-gate=off").assert_outcomes(passed=1)


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_an_empty_gate_says_how_to_measure_other_suites(bench: Bench, workers: tuple[str, ...]) -> None:
    """Where tests use the benchmark fixture, the error names the option that measures them."""
    bench.file("def test_theirs(benchmark):\n    benchmark(sum, range(9))\n")
    result = bench.run(*workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["*no benchmark was measured*add --optbench-base=REV*"])


def test_a_marker_on_a_test_that_measures_nothing_warns(bench: Bench) -> None:
    """A marked test without a benchmark fixture is named with the cure; a real benchmark and no marker are not."""
    mark = "@pytest.mark.optbench(title='t')\n"
    bench.file(
        FASTER.replace("def test_gain", f"import pytest\n{mark}def test_gain")
        + f"\n{mark}def test_forgotten():\n    pass\n\ndef test_plain():\n    pass\n"
        + f"\n{mark}def test_theirs(benchmark):\n    benchmark(sum, range(9))\n"
    )
    result = bench.run("--optbench-quick", "--optbench-gate=off")
    result.assert_outcomes(passed=4, warnings=1)
    result.stdout.fnmatch_lines(["*test_bench.py::test_forgotten is marked*take the optbench fixture*"])


def test_a_deselected_benchmark_leaves_an_empty_gate(bench: Bench) -> None:
    """Selecting everything away keeps pytest's own non-zero status."""
    bench.file(FASTER)
    assert bench.run_here("-k", "nothing").ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_collecting_only_is_not_a_gate(bench: Bench) -> None:
    """Listing tests under --optbench measures nothing and says so with pytest's usual success."""
    bench.file(FASTER)
    assert bench.run_here("--collect-only").ret == pytest.ExitCode.OK


def test_a_higher_exit_status_is_kept(bench: Bench) -> None:
    """The plugin never lowers a status that another plugin set."""
    bench.file(FASTER)
    bench.file(
        "import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_sessionfinish(session):\n"
        "    session.exitstatus = 9\n",
        "conftest.py",
    )
    assert bench.run_here().ret == 9
    bench.file("def test_other():\n    pass\n")
    assert bench.run_here().ret == 9


def test_lenient_gate_passes_what_is_undecided_with_a_warning(bench: Bench) -> None:
    """INCONCLUSIVE passes the lenient gate and is warned about; REJECT does not pass."""
    bench.file(FASTER)
    result = bench.run("--optbench-gate=lenient", "--optbench-quick")
    assert result.ret == 0
    assert bench.only()["reasons"] == ["quick"]
    result.stdout.fnmatch_lines(["*PytestWarning: optbench: INCONCLUSIVE*quick*"])
    bench.file(WRONG)
    assert bench.run("--optbench-gate=lenient").ret == 1


def test_gate_off_writes_documents_only(bench: Bench) -> None:
    """With the gate off a rejected claim leaves its report and the run succeeds."""
    bench.file(WRONG)
    assert bench.run_here("--optbench-gate=off").ret == 0
    assert bench.only()["verdict"] == "REJECT"
