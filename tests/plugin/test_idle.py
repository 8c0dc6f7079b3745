"""A run that measures nothing loads nothing."""

from __future__ import annotations

import pytest
from plugin_bench import FASTER, WRONG, Bench

pytestmark = pytest.mark.usefixtures("untraced")

LOADED = """
import sys

def pytest_unconfigure(config):
    ours = sorted(m for m in sys.modules if m.split(".")[0] in {"pytest_optbench", "optengine"})
    heavy = sorted({m.split(".")[0] for m in sys.modules} & {"numpy", "scipy", "pandas", "jinja2", "psutil"})
    with open("loaded.txt", "w") as file:
        print(*ours, "|", *heavy, file=file)
"""

# Other plugins may load numpy for reasons of their own; the claim is about this one.
ALONE = (
    "-p", "no:benchmark", "-p", "no:codspeed", "-p", "no:xdist", "-p", "no:asyncio",
    "-p", "no:hypothesispytest", "-p", "no:timeout",
)  # fmt: skip


def loaded(bench: Bench, *args: str) -> tuple[list[str], list[str]]:
    bench.file(LOADED, "conftest.py")
    assert bench.plain(*ALONE, *args).ret == 0
    ours, heavy = (bench.folder / "loaded.txt").read_text().split("|")
    return ours.split(), heavy.split()


def test_a_run_without_benchmarks_loads_two_modules(bench: Bench) -> None:
    """Without --optbench only the hooks and the options are imported, and nothing heavy."""
    bench.file("def test_other():\n    pass\n")
    ours, heavy = loaded(bench)
    assert ours == ["pytest_optbench", "pytest_optbench.options", "pytest_optbench.plugin"]
    assert heavy == []


def test_a_plain_run_of_a_benchmark_needs_nothing_heavy(bench: Bench) -> None:
    """Without --optbench a comparison checks the results without numpy, scipy or templates."""
    bench.file(FASTER)
    ours, heavy = loaded(bench)
    assert "pytest_optbench.smoke" in ours
    judging = {m for m in ours if m.startswith(("pytest_optbench.core.", "pytest_optbench.report"))}
    assert judging == {"pytest_optbench.core.equivalence", "pytest_optbench.core.findings"}
    assert heavy == []


def test_a_plain_run_finds_a_wrong_result(bench: Bench) -> None:
    """Without --optbench a difference in results fails the test and shows both values."""
    bench.file(WRONG)
    result = bench.plain()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*optbench: optimized is not equivalent*7998000*1*"])
    assert bench.reports() == []


def test_a_plain_run_lets_an_assertion_on_the_decision_hold(bench: Bench) -> None:
    """`assert decision.accepted` in a test body does not break runs that do not measure."""
    bench.body(
        "decision = optbench.compare(baseline=slow, optimized=fast)\n"
        "assert decision.accepted\nassert decision.verdict is None"
    )
    bench.plain().assert_outcomes(passed=1)


def test_a_plain_run_calls_every_arm_once(bench: Bench) -> None:
    """Set-up and arm run once each, sync or async, for one candidate or several."""
    bench.body(
        "calls = []\n"
        "async def later(value):\n    calls.append(('later', value))\n    return value\n"
        "def now(value):\n    calls.append(('now', value))\n    return value\n"
        "optbench.compare(baseline=now, optimized={'later': later}, setup=lambda: calls.append('setup') or 5)\n"
        "assert calls == ['setup', ('now', 5), 'setup', ('later', 5)]"
    )
    bench.plain().assert_outcomes(passed=1)
    bench.body(
        "calls = []\n"
        "optbench.measure(lambda: calls.append(1), equal=lambda old, new: True, config={'n': 1})\n"
        "assert calls == [1]"
    )
    bench.plain().assert_outcomes(passed=1)
