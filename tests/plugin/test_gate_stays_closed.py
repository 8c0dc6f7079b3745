"""A benchmark the gate refuses, or one that was never measured, ends a run well in no way."""

from __future__ import annotations

import pytest
from plugin_bench import ARMS, FASTER, Bench

REFUSED = "optbench.compare(baseline=fast, optimized=slow)"
QUICK = ("--optbench-quick", "--optbench-no-progress")

ALWAYS_WELL = """
import pytest

@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    session.exitstatus = 0
"""
ALWAYS_PASSED = """
import pytest

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.outcome = "passed"
    return report
"""
ALWAYS_EXPECTED = """
import pytest

def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.xfail)
"""
WHATEVER = "the gate does not pass for test_bench.py::test_claim, whatever its test was made to report"


@pytest.mark.parametrize("marker", ["xfail", "xfail(strict=True)", "xfail(raises=pytest.fail.Exception)"])
def test_an_expected_failure_does_not_open_the_gate(bench: Bench, marker: str) -> None:
    """A test that is marked to fail is reported as such, and the run fails with the reason and the cure."""
    bench.body(REFUSED)
    path = bench.folder / "test_bench.py"
    path.write_text(path.read_text().replace("def test_claim", f"@pytest.mark.{marker}\ndef test_claim"))
    result = bench.run_here(*QUICK)
    assert result.ret == 1
    result.assert_outcomes(xfailed=1)
    result.stdout.fnmatch_lines([f"*{WHATEVER}*--optbench-gate or the marker's gate: INCONCLUSIVE*"])


def test_an_expected_failure_passes_a_gate_that_is_off(bench: Bench) -> None:
    """The cure works: with the gate off the same test passes unexpectedly, which pytest forgives."""
    bench.file(f"{ARMS}\nimport pytest\n\n@pytest.mark.xfail\ndef test_claim(optbench):\n    {REFUSED}\n")
    result = bench.run_here(*QUICK, "--optbench-gate=off")
    assert (result.ret, bench.only()["verdict"]) == (0, "INCONCLUSIVE")


@pytest.mark.parametrize(
    ("conftest", "message"),
    [(ALWAYS_WELL, "INCONCLUSIVE*"), (ALWAYS_PASSED, f"*{WHATEVER}*"), (ALWAYS_EXPECTED, f"*{WHATEVER}*")],
    ids=["exit status", "report", "expected failure"],
)
def test_hooks_do_not_open_the_gate(bench: Bench, conftest: str, message: str) -> None:
    """Whatever a conftest file makes of the report or of the exit status, the run fails."""
    bench.body(REFUSED)
    bench.file(conftest, "conftest.py")
    result = bench.run_here(*QUICK)
    assert result.ret == 1
    result.stdout.fnmatch_lines([message])


@pytest.mark.parametrize("arguments", [("-k", "nothing"), ("--deselect", "test_bench.py::test_claim")])
def test_a_hook_does_not_make_nothing_measured_a_success(bench: Bench, arguments: tuple[str, ...]) -> None:
    """A conftest file that forgives a run without tests does not forgive one without benchmarks."""
    bench.body(REFUSED)
    bench.file(ALWAYS_WELL, "conftest.py")
    result = bench.run_here(*QUICK, *arguments)
    assert result.ret == 4
    result.stdout.fnmatch_lines(["optbench: no benchmark was measured, so nothing was proved*"])


def test_a_run_that_is_ended_early_is_no_success(bench: Bench) -> None:
    """One benchmark was accepted, the next ends the run with status 0: it and the last one are named."""
    end = "pytest.exit('enough', 0)"
    bench.file(
        f"import pytest\n{FASTER}\n"
        f"def test_ends(optbench):\n    try:\n        {REFUSED}\n    except BaseException:\n        {end}\n"
        f"def test_last(optbench):\n    {REFUSED}\n"
    )
    result = bench.run_here("--optbench-no-progress", "--optbench-gate=lenient")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*every benchmark that was chosen must be run to its end, but 2 of them had not when the run ended: *"
        ]
    )


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n2")])
def test_the_gate_cannot_be_blocked(bench: Bench, options: tuple[str, ...]) -> None:
    """Switching off the plugin that gates, alone, is a usage error."""
    bench.body(REFUSED)
    result = bench.run(*QUICK, *options, "-p", "no:optbench-suite")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*must not lose the plugin that gates, received -p no:optbench-suite*"])


def test_a_refusal_through_workers_stays_one(bench: Bench) -> None:
    """Under pytest-xdist, too, a report that was made to pass does not open the gate."""
    bench.body(REFUSED)
    bench.file(ALWAYS_PASSED, "conftest.py")
    result = bench.run(*QUICK, "-n2")
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"*{WHATEVER}*"])
