"""Trials of whole commands: micro-pairs in balanced random order, the surroundings varied from pair to pair.

The same core as for callables plans the order and forms the trials. Before every round a hash seed for Python and a
length of padding for the environment (which moves the stack of every process) are drawn, the same for all arms of
the round; both come from the seed, so a run can be repeated.
"""

from __future__ import annotations

import math
import os
import shutil
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from ..core.findings import Finding
from ..core.pairs import Trial, control_log_ratios
from ..measure.calibrate import rounds_per_trial
from ..measure.clock import SYSTEM_CLOCK, resolution_s
from ..measure.errors import ArmRaised, TimeLimitReached
from ..measure.pilot import FEWEST, PILOT_ROUNDS, enough_micro_pairs, spread
from ..measure.schedule import Plan, Round, draw_plan, order_in
from ..measure.time_limit import TimeLimit
from .command import Command
from .spawn import Run, Spawner

PADDING: Final = "OPTBENCH_PADDING"
HASH_SEED: Final = "PYTHONHASHSEED"
WARMUP_ROUNDS: Final = 2
_TIME_FOR_TRIALS: Final = 0.8
_START_UPS: Final = 11
_CHECKS: Final = -1  # stream of draws for runs that are no trial


class CommandFailed(Exception):
    """A command ended with a status other than 0, or by a signal."""


class CommandRunner:
    """Runs the baseline and its candidates; made once the spawner is there and the time limit has begun.

    ``arms`` maps names to commands, the baseline first; ``setup`` runs untimed before every run. `prepare` must
    come before `trials`.
    """

    def __init__(
        self,
        arms: Mapping[str, Command],
        spawner: Spawner,
        limit: TimeLimit,
        *,
        setup: Command | None,
        looks: Sequence[int],
        seed: int,
    ) -> None:
        """Run nothing yet."""
        self.names = tuple(arms)
        self.out_of_time = False
        self.overhead = {"calibration_s": 0.0, "warmup_s": 0.0, "timed_s": 0.0}
        self.findings: list[Finding] = []
        self.resolution_s = resolution_s(SYSTEM_CLOCK)
        self.shortest_s = math.inf
        self.peaks: dict[str, list[tuple[int, int]]] = {name: [] for name in self.names[1:]}
        self.digests: dict[str, set[str]] = {name: set() for name in self.names}
        self.floor_bytes = 0
        self.plan: Plan | None = None
        self._arms = arms
        self._spawner = spawner
        self._limit = limit
        self._setup = setup
        self._looks = tuple(looks)
        self._seed = seed
        self._environment = {k: v for k, v in os.environ.items() if k != PADDING}
        self._own_hash_seed = self._environment.get(HASH_SEED, "random") not in ("", "random")
        self._warmup_rounds = 0
        self._began_ns = SYSTEM_CLOCK.wall_ns()
        self.start_up_s: float | None = None

    def check(self, name: str, draw: int, *, sample: bool = False) -> Run:
        """Return one untimed run of an arm; raises `ArmRaised` and `TimeLimitReached`."""
        return self._run(name, self._surroundings(_CHECKS, draw), sample=sample)

    def prepare(self) -> None:
        """Settle the micro-pairs, warm up and draw the plan."""
        began = SYSTEM_CLOCK.wall_ns()
        self._measure_start_up()
        runs = {name: self._costed(name) for name in self.names}
        costs = [cost for cost, _ in runs.values()]
        self.shortest_s = min(run.wall_s for _, run in runs.values())
        most = rounds_per_trial(costs, _TIME_FOR_TRIALS * self._limit.seconds / self._looks[-1])
        self.overhead["calibration_s"] = (SYSTEM_CLOCK.wall_ns() - began) / 1e9
        began = SYSTEM_CLOCK.wall_ns()
        self.plan = draw_plan(self._looks, most, len(self.names) - 1, self._seed)
        wanted = PILOT_ROUNDS if most > FEWEST else min(most, WARMUP_ROUNDS)
        rounds = self._rounds(self.plan.rounds[0][:wanted], _CHECKS) or []
        self._warmup_rounds = len(rounds)
        if most > FEWEST and rounds:
            micro = max(
                enough_micro_pairs(spread([math.log(r[c].wall_s / r[0].wall_s) for _, r in rounds]), most)
                for c in range(1, len(self.names))
            )
            self.plan = draw_plan(self._looks, micro, len(self.names) - 1, self._seed)
        self.overhead["warmup_s"] = (SYSTEM_CLOCK.wall_ns() - began) / 1e9
        self.overhead["timed_s"] = 0.0

    @property
    def micro_pairs(self) -> int:
        """How many micro-pairs make a trial."""
        assert self.plan is not None
        return len(self.plan.rounds[0])

    def trials(self, start: int, stop: int) -> Iterator[dict[str, Trial]]:
        """Yield the planned trials ``start`` to ``stop - 1``, by candidate; ends early when the time is over.

        Raises `ArmRaised` and `TimeLimitReached`.
        """
        assert self.plan is not None
        for index in range(start, stop):
            started_s = (SYSTEM_CLOCK.wall_ns() - self._began_ns) / 1e9
            rounds = self._rounds(self.plan.rounds[index], index)
            if rounds is None:
                self.out_of_time = True
                return
            yield {
                name: self._trial(index, candidate, name, started_s, rounds)
                for candidate, name in enumerate(self.names[1:], start=1)
            }

    def protocol(self, candidate: int) -> dict[str, Any]:
        """Return how was measured, as plain JSON values; ``candidate`` counts from 1."""
        if self.plan is None:
            return {}
        return {
            "isolation": "command",
            "loops": 1,
            "micro_pairs": self.micro_pairs,
            "plan": list(self.plan.labels(candidate)),
            "warmup_pairs": self._warmup_rounds,
            "shell": self._arms["baseline"].shell,
            "varied_per_pair": f"{PADDING} (0 to 4095 bytes)"
            + ("" if self._own_hash_seed else f", {HASH_SEED}"),
            "start_up_s": self.start_up_s,
            "setup": self._setup.shown if self._setup else None,
            "control": "baseline runs of one pair"
            if self.micro_pairs > 1
            else "baseline runs of two neighbouring pairs, as a pair has one: an upper estimate of the noise",
            "output": "stdout and stderr go to files, stdin is empty",
            "hard_limit": f"a command is ended, with its group, {self._limit.hard_seconds:g} s after the start",
        }

    def _trial(
        self, index: int, candidate: int, name: str, started_s: float, rounds: list[tuple[Round, list[Run]]]
    ) -> Trial:
        assert self.plan is not None
        runs = [(order_in(order, candidate), r[0].wall_s, r[candidate].wall_s) for order, r in rounds]
        old, new = ([r[position] for _, r in rounds] for position in (0, candidate))
        self.peaks[name].append((_median(old), _median(new)))
        rng = np.random.default_rng([self._seed, index])
        return Trial.from_runs(
            index,
            self.plan.label(index, candidate),
            runs,
            control=control_log_ratios([baseline_s for _, baseline_s, _ in runs], rng),
            baseline_cpu_s=statistics.fmean(run.cpu_s for run in old),
            optimized_cpu_s=statistics.fmean(run.cpu_s for run in new),
            started_s=started_s,
        )

    def _rounds(self, rounds: Sequence[Round], trial: int) -> list[tuple[Round, list[Run]]] | None:
        """Return each round with its runs in the order of the arms; None when the time is over."""
        done = []
        for number, order in enumerate(rounds):
            environment = self._surroundings(trial, number)
            runs: dict[int, Run] = {}
            for position in order:
                if self._limit.reached:
                    return None
                runs[position] = self._run(self.names[position], environment)
                self.overhead["timed_s"] += runs[position].wall_s
            done.append((order, [runs[position] for position in range(len(order))]))
        return done

    def _costed(self, name: str) -> tuple[float, Run]:
        began = SYSTEM_CLOCK.wall_ns()
        run = self.check(name, 1)
        return (SYSTEM_CLOCK.wall_ns() - began) / 1e9, run

    def _run(self, name: str, environment: Mapping[str, str], *, sample: bool = False) -> Run:
        if self._setup is not None:
            self._checked(name, "setup", self._setup, self._one(self._setup, environment))
        run = self._one(self._arms[name], environment, sample=sample)
        self._checked(name, "arm", self._arms[name], run)
        self.digests[name].add(run.digest)
        self.floor_bytes = max(self.floor_bytes, run.floor_bytes)
        return run

    def _one(self, command: Command, environment: Mapping[str, str], *, sample: bool = False) -> Run:
        left = self._limit.hard_seconds - self._limit.elapsed_s
        run = self._spawner.run(command, environment, max(left, 0.001), sample=sample)
        if run.timed_out:
            raise TimeLimitReached(self._limit.hard_seconds)
        return run

    def _checked(self, name: str, stage: str, command: Command, run: Run) -> None:
        if run.status != 0:
            tail = self._spawner.error_tail()
            said = f"; it said: {tail}" if tail else ""
            failed = CommandFailed(f"{command.shown} {run.ending}, it must end with 0{said}")
            raise ArmRaised(name, stage, failed) from failed

    def _surroundings(self, trial: int, number: int) -> dict[str, str]:
        rng = np.random.default_rng([self._seed, trial + 2, number])
        drawn = {PADDING: "x" * int(rng.integers(4096))}
        if not self._own_hash_seed:
            drawn[HASH_SEED] = str(int(rng.integers(2**32)))
        return {**self._environment, **drawn}

    def _measure_start_up(self) -> None:
        """Measure what starting and ending a process that does nothing takes: it is in the times of every arm."""
        path = shutil.which("true")
        if path is None:
            return
        nothing = Command("true", ("true",), path, "true")
        walls = [self._one(nothing, self._environment).wall_s for _ in range(_START_UPS)]
        self.start_up_s = statistics.median(walls)


def _median(runs: Sequence[Run]) -> int:
    return round(statistics.median(run.peak_bytes for run in runs))


__all__ = ["CommandFailed", "CommandRunner"]
