"""Other benchmark plugins installed beside this one change nothing, and it changes nothing for them."""

from __future__ import annotations

import pytest
from plugin_bench import FASTER, UNCHANGED, Bench

pytestmark = pytest.mark.usefixtures("untraced")


def test_the_benchmark_fixture_still_belongs_to_its_plugin(bench: Bench) -> None:
    """One file may use both fixtures; each plugin does its own work."""
    bench.file(FASTER + "\ndef test_theirs(benchmark):\n    assert benchmark(fast) == 7998000\n")
    bench.run().assert_outcomes(passed=2)
    assert len(bench.index()) == 1


def test_their_options_do_not_reach_us(bench: Bench) -> None:
    """Disabling or selecting the other plugin's benchmarks does not switch the gate off."""
    bench.file(UNCHANGED)
    for options in (
        ("--benchmark-disable",),
        ("--benchmark-skip",),
        ("-p", "no:benchmark"),
        ("-p", "no:codspeed"),
    ):
        assert bench.run(*options).ret == 1, options


def test_without_them_the_gate_is_the_same(bench: Bench) -> None:
    """Neither plugin is needed."""
    bench.file(FASTER)
    assert bench.run("-p", "no:benchmark", "-p", "no:codspeed", "-p", "no:xdist").ret == 0


def test_workers_take_turns(bench: Bench) -> None:
    """Under -n 2 the arms of two benchmarks never run in turns: one is done before the other begins."""
    for name in ("one", "two"):
        bench.file(
            f"import time\ncalls = []\n"
            f"def slow():\n    calls.append(time.monotonic_ns())\n    return sum(i for i in range(4000))\n"
            f"def fast():\n    calls.append(time.monotonic_ns())\n    return sum(range(4000))\n"
            f"def test_{name}(optbench):\n"
            f"    optbench.compare(baseline=slow, optimized=fast)\n"
            f"    print(min(calls), max(calls), file=open('{name}.txt', 'w'))\n",
            f"test_{name}.py",
        )
    assert bench.run("-n", "2").ret == 0
    assert len(bench.index()) == 2
    spans = sorted(
        tuple(map(int, (bench.folder / f"{name}.txt").read_text().split())) for name in ("one", "two")
    )
    assert spans[0][1] < spans[1][0]
