"""Other benchmark plugins installed beside this one change nothing, and it changes nothing for them."""

from __future__ import annotations

from conftest import FASTER, UNCHANGED, Bench


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
    """Under -n 2 two benchmarks are never timed at the same moment, and both reach one index."""
    for name in ("one", "two"):
        bench.file(FASTER.replace("test_gain", f"test_{name}"), f"test_{name}.py")
    assert bench.run("-n", "2").ret == 0
    spans = sorted((d["started"], d["seconds"]) for d in bench.index())
    assert len(spans) == 2
    assert len({d["seed"] for d in bench.index()}) >= 1
