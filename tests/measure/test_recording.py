"""Numbers that arms record: what is heard, what is refused, and what it costs when nobody listens."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from pytest_optbench.core.metrics import Metric, Samples
from pytest_optbench.measure.arm import Arm, Arms
from pytest_optbench.measure.clock import SYSTEM_CLOCK
from pytest_optbench.measure.equivalence import check
from pytest_optbench.measure.errors import ArmRaised
from pytest_optbench.measure.memory import MemoryUse
from pytest_optbench.measure.observe import record_pairs
from pytest_optbench.measure.record import Declaration, Recorded, RecordError, Recordings, from_wire, record
from pytest_optbench.measured_metrics import (
    memory,
    memory_of_processes,
    much_more_memory,
    recorded,
    recorded_in_pairs,
)

MIB = 2**20


def heard(*given: Any, **asked: Any) -> Recordings:
    """Return what is heard of an arm that records this."""
    recordings = Recordings()
    Arm("a", lambda: record(*given, **asked), recordings=recordings).once()
    return recordings


def test_nothing_is_heard_outside_a_call():
    """Without a listener record does nothing, not even look at what it is given."""
    record("x", "no number", margin="nonsense")


def test_fresh_calls_are_listened_to_and_timed_ones_are_not():
    """`once` hears every value; a run of 50 loops hears none and computes no value."""
    recordings = Recordings()
    computed: list[int] = []

    def value() -> int:
        computed.append(1)
        return 7

    arm = Arm("a", lambda: record("rows", value), recordings=recordings)
    arm.once()
    arm.once()
    arm.run(50, SYSTEM_CLOCK)
    assert recordings.values("rows", "a") == (7, 7)
    assert len(computed) == 2
    assert recordings.values("rows", "b") == recordings.values("other", "a") == ()


def test_async_arms_and_setups_are_heard():
    """An async arm and the setup before it belong to the call."""
    recordings = Recordings()

    async def arm() -> None:
        await asyncio.sleep(0)
        record("in arm", 1)

    listened = Arm("a", arm, lambda: record("in setup", 2), recordings=recordings)
    listened.once()
    listened._loop.close()
    assert (recordings.values("in arm", "a"), recordings.values("in setup", "a")) == ((1,), (2,))


def test_the_last_value_of_a_call_counts():
    """Recording a name again in one call replaces its value."""
    recordings = Recordings()

    def arm() -> None:
        for total in range(5):
            record("total", total)

    Arm("a", arm, recordings=recordings).once()
    assert recordings.values("total", "a") == (4,)


def test_a_call_that_raises_is_forgotten():
    """Half a call says nothing, and the next call is heard again."""
    recordings = Recordings()
    fails = [True, False]

    def arm() -> None:
        record("x", 1)
        if fails.pop(0):
            raise ValueError("no")

    listened = Arm("a", arm, recordings=recordings)
    with pytest.raises(ArmRaised):
        listened.once()
    record("x", "nobody listens any more")
    listened.once()
    assert recordings.values("x", "a") == (1,)


@pytest.mark.parametrize(
    ("given", "value", "kind"),
    [
        (7, 7, int),
        (True, 1, int),
        (np.int64(7), 7, int),
        (0.5, 0.5, float),
        (np.float32(0.5), 0.5, float),
        (Fraction(1, 2), 0.5, float),
        (lambda: 3, 3, int),
    ],
)
def test_numbers_become_plain_ones(given: Any, value: float, kind: type):
    """Whole numbers stay whole, whatever their type; everything else becomes a float."""
    (found,) = heard("x", given).values("x", "a")
    assert (found, type(found)) == (value, kind)


@pytest.mark.parametrize(
    ("given", "asked", "message"),
    [
        (("x", "5"), {}, "the value of metric 'x' must be a number, received '5'"),
        (("x", None), {}, "must be a number, received None"),
        (("x", math.nan), {}, "must be finite, received nan"),
        (("x", 10**400), {}, "must be finite, received 1000"),
        (("", 1), {}, "the name of a metric must be 1 to 80 printable characters, received ''"),
        (("a\nb", 1), {}, "printable characters"),
        ((5, 1), {}, "printable characters, received 5"),
        (("memory", 1), {}, "metric 'memory' is measured by the harness itself; choose another name"),
        (
            ("x", 1),
            {"better": "more"},
            "better of metric 'x' must be one of lower, higher, same, received 'more'",
        ),
        (("x", 1), {"margin": "lots"}, "metric 'x': a margin must be a number, received 'lots'"),
        (("x", 1), {"margin": "-1%"}, "metric 'x': a margin must be at least 0 %, received '-1%'"),
        (("x", 1), {"margin": 20}, "received 20; write 20% or 0.2"),
        (("x", 1), {"exact": 1}, "exact of metric 'x' must be True, False or None, received 1"),
        (("x", 1), {"unit": 3}, "the unit of metric 'x' must be text such as 'rows/s', received 3"),
    ],
)
def test_what_is_no_metric_ends_the_call(given: Any, asked: Any, message: str):
    """A value, name or setting that cannot be judged is an exception of the arm, in words."""
    with pytest.raises(ArmRaised) as caught:
        heard(*given, **asked)
    assert isinstance(caught.value.original, RecordError)
    assert message in str(caught.value.original)


def test_arms_have_to_agree_on_what_a_metric_is():
    """The same name with another margin in the other arm is refused."""
    with (
        Arms(lambda: record("x", 1), {"b": lambda: record("x", 1, margin="20%")}) as arms,
        pytest.raises(ArmRaised) as caught,
    ):
        check(arms)
    assert "must be recorded with the same unit, better, margin and exact everywhere" in str(
        caught.value.original
    )


def test_recorded_numbers_become_metrics():
    """Declarations, single calls and rounds side by side arrive as what `judge` takes."""
    values = {"a": iter((1.5, 1.6, 1.7)), "b": iter((2.5, 2.6, 2.7))}

    def arm(name: str):
        return lambda: record("rate", next(values[name]), unit="1/s", better="higher", margin=0.1)

    with Arms(arm("a"), {"b": arm("b")}) as arms:
        check(arms)
        assert arms.recordings.noisy
        record_pairs(arms, 2, 1)
        ((metric, samples),) = recorded(arms.recordings, "b")
    assert metric == Metric("rate", "1/s", "higher", 0.1, None)
    assert samples == Samples((1.5,), (2.5,), ((1.6, 2.6), (1.7, 2.7)))


@pytest.mark.parametrize(
    ("value", "asked", "noisy"),
    [
        (1, {}, False),
        (1.0, {}, True),
        (1.0, {"margin": None}, False),
        (1.0, {"exact": True}, False),
        (1, {"exact": False}, True),
    ],
)
def test_only_means_that_are_judged_need_more_calls(value: float, asked: Any, noisy: bool):
    """Counts and numbers that are only reported need no rounds of calls."""
    assert heard("x", value, **asked).noisy is noisy


def test_what_a_child_process_records_is_not_heard():
    """Recording in a program started by the arm neither fails nor is heard."""
    program = "from pytest_optbench.measure.record import record; record('x', 'anything')"
    recordings = Recordings()
    Arm(
        "a",
        lambda: subprocess.run([sys.executable, "-c", program], check=True).returncode,
        recordings=recordings,
    ).once()
    assert recordings.declared == {}


def test_listening_around_a_call_hears_it_too():
    """Whoever listens around an arm that is listened to hears the same, and the value is computed once."""
    outer, inner, computed = Recordings(), Recordings(), []
    arm = Arm("a", lambda: record("x", lambda: computed.append(1) or 7), recordings=inner)
    with outer.listening("all"):
        arm.once()
    assert (outer.values("x", "all"), inner.values("x", "a"), computed) == ((7,), (7,), [1])


def test_what_was_recorded_travels_as_json():
    """The latest call of an arm comes back from JSON as it was said."""
    recordings = Recordings()
    arm = Arm(
        "a", lambda: record("rows", 7, unit="rows", better="same", margin="300%"), recordings=recordings
    )
    arm.once()
    sent = json.loads(json.dumps(recordings.last("a")))
    assert from_wire(sent) == {"rows": Recorded(Declaration("rows", "same", 3.0, None), 7)}
    assert recordings.last("b") == {}


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        {"x": None},
        {"x": {"unit": None, "better": "lower", "margin": 0.1, "exact": None}},
        {"x": {"unit": None, "better": "lower", "margin": -1, "exact": None, "value": 1}},
        {"x": {"unit": None, "better": "lower", "margin": "5%", "exact": None, "value": 1}},
        {"x": {"unit": None, "better": "up", "margin": 0.1, "exact": None, "value": 1}},
        {"x": {"unit": None, "better": "lower", "margin": 0.1, "exact": None, "value": math.inf}},
        {"memory": {"unit": None, "better": "lower", "margin": 0.1, "exact": None, "value": 1}},
    ],
)
def test_what_cannot_have_been_recorded_is_left_out(said: Any):
    """Another process cannot make up metrics that `record` would refuse."""
    assert from_wire(said) == {}


def test_processes_record_in_pairs():
    """Each pair of processes gives a pair of values; a side that is silent leaves the other one alone."""

    def said(**values: float) -> dict[str, Recorded]:
        return {
            name: Recorded(Declaration(None, "lower", 0.05, None), value) for name, value in values.items()
        }

    pairs = [{"old": said(x=1, y=5), "new": said(x=2)}, {"old": said(x=3), "new": said(x=4)}]
    found = dict(recorded_in_pairs(pairs, "old", "new"))
    assert {metric.name: samples for metric, samples in found.items()} == {
        "x": Samples(pairs=((1, 2), (3, 4))),
        "y": Samples(baseline=(5,)),
    }


def use(extra: float | None) -> MemoryUse:
    size = None if extra is None else int(extra * MIB)
    return MemoryUse(size, size, "PSS", 3)


def test_memory_becomes_two_metrics():
    """The first call and the later ones are judged apart, in pairs, with a floor for what allocators do."""
    later, first = memory(0.2, (use(50), use(90)), ([use(10), use(9)], [use(11), use(10)]))
    assert (first[0].name, later[0].name) == ("memory, first call", "memory")
    for metric, _ in (first, later):
        assert (metric.unit, metric.better, metric.margin, metric.exact, metric.kind) == (
            "B",
            "lower",
            0.2,
            True,
            "memory",
        )
        assert metric.floor == 2 * MIB
    assert first[1].pairs == ((50 * MIB, 90 * MIB),)
    assert later[1].pairs == ((10 * MIB, 11 * MIB), (9 * MIB, 10 * MIB))
    unknown, _ = memory(0.2, (use(1), use(None)), ([use(1)], [use(None)]))
    assert unknown[1] == Samples()


def test_memory_of_processes_is_a_mean_of_pairs():
    """Peaks of fresh processes are judged by their paired mean, or only reported."""
    metric, samples = memory_of_processes(None, [(100, 110), (101, 111)])
    assert (metric.name, metric.margin, metric.exact) == ("memory", None, False)
    assert samples.pairs == ((100, 110), (101, 111))


def test_much_more_memory_is_a_warning():
    """Twice as much and at least 8 MiB more is said even when nobody asked; less is not."""
    (finding,) = much_more_memory(use(10), use(30))
    assert (finding.code, finding.level) == ("more-memory", "warn")
    assert finding.message.startswith(
        "a call of the optimized arm needs 30.00 MiB, one of the baseline 10.00 MiB"
    )
    assert much_more_memory(use(10), use(19)) == []
    assert much_more_memory(use(0.1), use(5)) == []
    assert much_more_memory(use(None), use(50)) == []
