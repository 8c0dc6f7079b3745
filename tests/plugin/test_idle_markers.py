"""Markers of benchmarks where nothing is measured: warned of once each, wherever they are written."""

from __future__ import annotations

import pytest
from plugin_bench import FASTER, Bench

IDLE = """
import pytest
pytestmark = pytest.mark.optbench(group="g")

def test_one():
    pass

@pytest.mark.parametrize("number", [1, 2])
def test_two(number):
    pass
"""

CLASSES = """
import pytest

@pytest.mark.optbench(group="g")
class TestIdle:
    def test_one(self):
        pass

    def test_two(self):
        pass

@pytest.mark.optbench(group="g")
class TestWithOne:
    def test_measured(self, optbench):
        optbench.compare(baseline=lambda: 1, optimized=lambda: 1)

    def test_plain(self):
        pass

@pytest.mark.optbench(group="g")
class Base:
    def test_plain(self):
        pass

class TestInherits(Base):
    def test_measured(self, optbench):
        optbench.compare(baseline=lambda: 1, optimized=lambda: 1)

class TestInheritsToo(Base):
    pass
"""

PARAMETERS = """
import pytest

@pytest.mark.optbench(title="t")
@pytest.mark.parametrize("number", [1, 2, 3])
def test_forgotten(number):
    pass
"""


def warned(result: pytest.RunResult) -> list[str]:
    """Return what is said to be marked, in the order of the summary."""
    lines = [
        line for line in result.outlines if "PytestWarning: optbench:" in line and "is marked with" in line
    ]
    return [line.split("optbench: ", 1)[1].split(" ", 1)[0] for line in lines]


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_marked_module_without_a_benchmark_warns_once(bench: Bench, workers: tuple[str, ...]) -> None:
    """The marker of a module whose tests measure nothing is named once, with the cure, also among workers."""
    bench.file(IDLE, "test_idle.py")
    bench.file(f"import pytest\npytestmark = pytest.mark.optbench(group='g')\n{FASTER}")
    result = bench.run("--optbench-quick", "--optbench-gate=off", *workers)
    assert warned(result) == ["test_idle.py"]
    result.assert_outcomes(passed=4, warnings=1)
    result.stdout.fnmatch_lines(
        ["*test_idle.py is marked with pytest.mark.optbench; none of its tests measures anything: take*"]
    )


def test_a_marked_class_without_a_benchmark_warns_once(bench: Bench) -> None:
    """A class is named when none of its tests measures; one benchmark under its marker, even inherited, is enough."""
    bench.file(CLASSES)
    result = bench.run("--optbench-quick", "--optbench-gate=off")
    assert warned(result) == ["test_bench.py::TestIdle"]
    result.assert_outcomes(passed=7, warnings=1)


def test_parameters_of_a_marked_test_warn_once(bench: Bench) -> None:
    """One marker is one warning, whatever it is multiplied by."""
    bench.file(PARAMETERS)
    assert warned(bench.run()) == ["test_bench.py::test_forgotten"]


@pytest.mark.parametrize("chosen", ["-k plain", "test_bench.py::TestWithOne::test_plain", "--lf"])
def test_a_benchmark_that_is_not_selected_still_counts(bench: Bench, chosen: str) -> None:
    """Running a part of a class or module is no reason to say that the rest of it measures nothing."""
    body = CLASSES.partition("class TestWithOne")[2]
    text = f"import pytest\n\n@pytest.mark.optbench(group='g')\nclass TestWithOne{body}"
    bench.file(text.replace("        pass", "        assert False"))
    if chosen == "--lf":
        bench.plain("-k", "plain")
    result = bench.run(*chosen.split())
    assert "failed" in result.parseoutcomes()
    assert warned(result) == []


def test_a_skipped_first_test_does_not_hide_the_warning(bench: Bench) -> None:
    """The warning is given even when the test that would give it is skipped."""
    bench.file(IDLE.replace("def test_one", "@pytest.mark.skip(reason='later')\ndef test_one"))
    assert warned(bench.run()) == ["test_bench.py"]
