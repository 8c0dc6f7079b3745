"""The inline runner: trials measured in this very process, one small round after the other.

Before the first timed run, in this order: pin CPUs, take tracers off, call every arm that was not called yet,
calibrate, warm up (a pilot settles the micro-pairs), draw the whole order, freeze the heap. Then each run is:
collect garbage, divert output, read the clocks around the calls. Everything is put back when the context ends,
whatever happened in between.

Every run is called from a random place of the stack (see `layout`). Still one process is one sample of the heap and of
the hash seed: what those favour, no number of trials in here can tell from a real difference. Process isolation is
for that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TextIO

import numpy as np

from ..core.findings import Finding
from ..core.pairs import Trial, control_log_ratios
from .affinity import pinned
from .arm import Arm, Arms, Reading
from .calibrate import Calibration, calibrate
from .clock import SYSTEM_CLOCK, Clock
from .garbage import Collector, equal_collector_state
from .layout import Place, RandomPlace
from .load import Load, load_between, sample_load
from .output import diverted_output, null_stream
from .pilot import FEWEST, PILOT_ROUNDS, enough_micro_pairs, spread
from .schedule import Plan, Round, draw_plan, order_in
from .tracers import suspended_tracers

WARMUP_ROUNDS = 4
_TIME_FOR_TRIALS = 0.8  # of the soft limit; the rest is for checks, calibration and analysis


class InlineRunner:
    """Measures trials in this process; a context manager around `trials`.

    ``looks`` are the numbers of trials at which decisions may fall, ``seed`` draws the order, ``cpus`` pins
    the process. ``progress`` is called with the number of trials done after each. With ``keep_tracers`` trace
    functions stay on; ``place`` replaces the random place each run is called from. On entering, `calibration`
    and `plan` are settled; after leaving, `findings` and `load` are complete. The context of ``arms`` has to be
    open around the runner's.
    """

    calibration: Calibration
    plan: Plan
    load: Load

    def __init__(
        self,
        arms: Arms,
        *,
        looks: Sequence[int],
        seed: int,
        cpus: Sequence[int] = (),
        clock: Clock = SYSTEM_CLOCK,
        progress: Callable[[int], None] | None = None,
        keep_tracers: bool = False,
        place: Place | None = None,
    ) -> None:
        """Change nothing yet."""
        self.arms = arms
        self.out_of_time = False
        self.overhead = {"calibration_s": 0.0, "warmup_s": 0.0, "timed_s": 0.0}
        self._looks = tuple(looks)
        self._seed = seed
        self._place = RandomPlace(seed) if place is None else place
        self._cpus = tuple(cpus)
        self._clock = clock
        self._progress = progress
        self._keep_tracers = keep_tracers
        self._findings: list[Finding] = []
        self._tracers: tuple[Finding, ...] = ()
        self._used_cpus: tuple[int, ...] = ()
        self._order = (arms.baseline, *arms.candidates)
        self._stack = ExitStack()
        self._collector: Collector
        self._null: TextIO

    def __enter__(self) -> Self:
        """Prepare the process, calibrate, draw the plan and warm up; raises `ArmRaised`, `MeasureError`."""
        with ExitStack() as stack:
            self._used_cpus = stack.enter_context(pinned(self._cpus))
            if not self._keep_tracers:
                self._tracers = stack.enter_context(suspended_tracers())
            self._null = stack.enter_context(null_stream())
            self._collector = stack.enter_context(equal_collector_state())
            self._prepare()
            self._load_before = sample_load()
            self._started_ns = self._clock.wall_ns()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put everything back and take the load."""
        self._stack.close()
        self.load = load_between(self._load_before, sample_load())

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was noticed so far, in the order of the stages."""
        forked = tuple(
            Finding(
                "arm-forked",
                "error",
                f"a process forked by arm {arm.name!r} returned from the arm and was ended there; "
                "end children inside the arm, or start them with multiprocessing or subprocess",
            )
            for arm in self._order
            if arm.child_came_back
        )
        return (*self._tracers, *self.calibration.findings, *forked)

    def trials(self, start: int, stop: int) -> Iterator[tuple[Trial, ...]]:
        """Measure the planned trials ``start`` to ``stop - 1``; yield each as one `Trial` per candidate.

        Ends early, with `out_of_time` set, when the soft time limit is over; a trial that was not finished is
        dropped. Raises `ArmRaised`, and `TimeLimitReached` from an arm that would not return.
        """
        for index in range(start, stop):
            started_s = (self._clock.wall_ns() - self._started_ns) / 1e9
            readings = self._rounds(self.plan.rounds[index])
            if readings is None:
                self.out_of_time = True
                return
            trials = tuple(
                self._trial(index, candidate, started_s, readings) for candidate in range(1, len(self._order))
            )
            if self._progress is not None:
                self._progress(index + 1)
            yield trials

    def protocol(self, candidate: int = 1) -> dict[str, Any]:
        """Return how was measured, as plain JSON values; ``candidate`` (from 1) chooses whose labels."""
        return {
            "isolation": "inline",
            "loops": self.calibration.loops,
            "micro_pairs": self.calibration.micro_pairs,
            "plan": list(self.plan.labels(candidate)),
            "warmup_pairs": self._warmup_rounds,
            "gc": self._collector.record(),
            "cpus": list(self._used_cpus) if self._cpus else [],
            "tracers": [finding.message for finding in self._tracers],
            "async": any(arm.needs_event_loop for arm in self._order),
            "hard_limit": self.arms.limit.hard_limit,
            "output": "stdout and stderr of arms go to the null device",
        }

    def _prepare(self) -> None:
        for arm in self._order:
            if not arm.called:
                with diverted_output(self._null):
                    arm.once()
        began = self._clock.wall_ns()
        budget_s = _TIME_FOR_TRIALS * self.arms.limit.seconds / self._looks[-1]
        with diverted_output(self._null):
            self.calibration = calibrate(self._order, self._clock, budget_s)
        self.overhead["calibration_s"] = (self._clock.wall_ns() - began) / 1e9
        began = self._clock.wall_ns()
        self._warm_up()
        self.overhead["warmup_s"] = (self._clock.wall_ns() - began) / 1e9
        self.overhead["timed_s"] = 0.0
        self._collector.freeze()  # what arms keep from call to call now belongs to the heap too

    def _warm_up(self) -> None:
        """Run some rounds for nothing but their spread, settle the micro-pairs by it and draw the plan."""
        most = self.calibration.micro_pairs
        wanted = PILOT_ROUNDS if most > FEWEST else min(most, WARMUP_ROUNDS)
        self.plan = self._draw(most)
        rounds = self._rounds(self.plan.rounds[0][:wanted]) or []
        self._warmup_rounds = len(rounds)
        if most > FEWEST and rounds:
            needed = max(
                enough_micro_pairs(spread(_log_ratios(rounds, candidate)), most)
                for candidate in range(1, len(self._order))
            )
            self.calibration = replace(self.calibration, micro_pairs=needed)
            self.plan = self._draw(self.calibration.micro_pairs)

    def _draw(self, micro_pairs: int) -> Plan:
        return draw_plan(self._looks, micro_pairs, len(self._order) - 1, self._seed)

    def _rounds(self, rounds: Sequence[Round]) -> list[tuple[Round, list[Reading]]] | None:
        """Return each round with the readings in the order of the arms (not of running); None out of time."""
        done = []
        for order in rounds:
            readings: dict[int, Reading] = {}
            for position in order:
                if self.arms.limit.reached:
                    return None
                readings[position] = self._run(self._order[position])
            done.append((order, [readings[position] for position in range(len(order))]))
        return done

    def _run(self, arm: Arm) -> Reading:
        self._collector.before_run()
        with diverted_output(self._null):
            reading = arm.run(self.calibration.loops, self._clock, self._place)
        self.overhead["timed_s"] += reading.wall_s
        return reading

    def _trial(
        self, index: int, candidate: int, started_s: float, rounds: list[tuple[Round, list[Reading]]]
    ) -> Trial:
        runs = [
            (order_in(order, candidate), readings[0].seconds_per_call, readings[candidate].seconds_per_call)
            for order, readings in rounds
        ]
        # One generator per trial: the control of a trial does not depend on how many trials came before.
        rng = np.random.default_rng([self._seed, index])
        return Trial.from_runs(
            index,
            self.plan.label(index, candidate),
            runs,
            control=control_log_ratios([baseline_s for _, baseline_s, _ in runs], rng),
            baseline_cpu_s=_mean([readings[0].cpu_seconds_per_call for _, readings in rounds]),
            optimized_cpu_s=_mean([readings[candidate].cpu_seconds_per_call for _, readings in rounds]),
            started_s=started_s,
        )


def _log_ratios(rounds: Sequence[tuple[Round, list[Reading]]], candidate: int) -> list[float]:
    return [
        math.log(r[candidate].wall_ns / r[0].wall_ns) if r[0].wall_ns and r[candidate].wall_ns else math.inf
        for _, r in rounds
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
