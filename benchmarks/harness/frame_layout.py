"""What the place of a Python frame in memory does to timings, and what drawing it anew for every run does.

    python -m benchmarks.harness.frame_layout [--processes N] [--trials N] [--out FILE.md]

Claim: with its frame at a fixed place, a function and a lambda that only calls it may differ by several per cent in
every run of a process; called from random places they do not. Three steps in each of N fresh processes, on the very
same two arms: (1) a sweep over all places of a page, which shows how both arms depend on it, (2) decisions with every
run at one of the three places where the sweep saw the lambda look fastest, which is what bad luck would do, (3) a
decision with random places, which is what `pytest --optbench` does. Traps avoided: places tried one after the other
(each run of the sweep takes the next place, over and over), and believing the places chosen: step 2 measures them
afresh, and most turn out to be nothing.

About half a minute per process. Exit status 1 when a decision with random places accepts the lambda or has its whole
interval more than 1 % off zero.
"""

from __future__ import annotations

import itertools
import math
import multiprocessing
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.harness.figure import Check, Figure, Table, command_line, parser, progress
from pytest_optbench.core.goal import Goal
from pytest_optbench.core.judge import look_candidates
from pytest_optbench.core.pairs import Pairs
from pytest_optbench.core.sequential import schedule
from pytest_optbench.measure.arm import Arms
from pytest_optbench.measure.inline import InlineRunner
from pytest_optbench.measure.layout import PAGE, STEP, FixedPlace, Place

WORDS = [f"word{i % 500}" for i in range(20_000)]
_WORST_BIAS = 0.01
_SWEEPS = 3
_SUSPECTS = 3


def count_by_hand() -> dict[str, int]:
    """Return how often each word occurs."""
    counts: dict[str, int] = {}
    for word in WORDS:
        counts[word] = counts.get(word, 0) + 1
    return counts


class Sweep:
    """Calls each run of an arm from the next of some places and keeps what it took, by place and arm."""

    def __init__(self, offsets: Sequence[int]) -> None:
        """Begin at the first place."""
        self.seconds: dict[tuple[int, str], list[float]] = defaultdict(list)
        self._next = {name: itertools.cycle(offsets) for name in ("baseline", "optimized")}

    def __call__(self, call: Callable[..., Any], /, *arguments: Any) -> Any:
        """Return what ``call`` returns, a reading of one arm."""
        name = call.__self__.name  # type: ignore[attr-defined]  # a bound method of Arm
        offset = next(self._next[name])
        reading = FixedPlace(offset)(call, *arguments)
        self.seconds[offset, name].append(reading.seconds_per_call)
        return reading

    def fastest(self, name: str) -> dict[int, float]:
        """Return the fewest seconds of an arm at every place; what else disturbs a run is not in them."""
        return {
            offset: min(seconds) for (offset, arm), seconds in sorted(self.seconds.items()) if arm == name
        }


def measured(place: Place | None, trials: int, seed: int) -> dict[str, float | str]:
    """Return the interval of time saved by a lambda around the function itself after ``trials`` trials."""
    goal = Goal("speedup", 0.05)
    plan = schedule(trials, trials, goal.one_sided(0.05))
    arms = Arms(count_by_hand, {"optimized": lambda: count_by_hand()}, max_time_s=120.0)
    with arms:
        for arm in arms:
            arm.once()
        with InlineRunner(arms, looks=plan.looks, seed=seed, place=place) as runner:
            done = [trials_[0] for trials_ in runner.trials(0, trials)]
    look = look_candidates({"optimized": Pairs.from_trials(done)}, plan, 0, goal, set())["optimized"]
    saved, low, high = (-math.expm1(value) for value in (look.theta, look.hi, look.lo))
    return {"saved": saved, "low": low, "high": high, "verdict": look.verdict.value}


def one_process(trials: int, seed: int) -> dict[str, Any]:
    """Return what the three steps saw in this process."""
    sweep = Sweep(range(0, PAGE, STEP))
    for turn in range(_SWEEPS):
        measured(sweep, 40, seed + turn)
    arms = {name: sweep.fastest(name) for name in ("baseline", "optimized")}
    typical = statistics.median(arms["baseline"].values())
    apart = {offset: arms["optimized"][offset] / arms["baseline"][offset] - 1 for offset in arms["baseline"]}
    worst = sorted(apart, key=lambda offset: apart[offset])[:_SUSPECTS]
    return {
        "slower_by": {str(offset): seconds / typical - 1 for offset, seconds in arms["baseline"].items()},
        "apart": {str(offset): value for offset, value in apart.items()},
        "fixed": {str(offset): measured(Sweep([offset]), trials, seed) for offset in worst},
        "random": measured(None, trials, seed),
    }


def figure(processes: Sequence[dict[str, Any]], command: str, seconds: float) -> Figure:
    """Return the figure of what all processes saw."""
    slower = [value for process in processes for value in process["slower_by"].values()]
    apart = [abs(value) for process in processes for value in process["apart"].values()]
    drawn = [process["random"] for process in processes]
    bias = max(max(result["low"], -result["high"], 0.0) for result in drawn)
    accepted = sum(result["verdict"] == "ACCEPT" for result in drawn)
    rows = []
    for number, process in enumerate(processes, 1):
        rows += [[str(number), offset, _interval(result)] for offset, result in process["fixed"].items()]
        rows.append([str(number), "random", _interval(process["random"])])
    return Figure(
        title="Where a frame lies, and what random places do",
        what="A function against a lambda that calls it: the same work, so every difference is layout.",
        command=command,
        seconds=seconds,
        checks=[
            Check(
                "bias shown by an interval with random places",
                f"at most {_WORST_BIAS:.0%}",
                f"{bias:.2%}",
                bias <= _WORST_BIAS,
            ),
            Check("accepted with random places", "0", f"{accepted} of {len(drawn)}", accepted == 0),
            Check("places that slow the function by 5 % or more", "-", f"{_share(slower, 0.05):.1%}", None),
            Check("slowest place", "-", f"{max(slower):+.1%}", None),
            Check("places where the arms differ by 5 % or more", "-", f"{_share(apart, 0.05):.1%}", None),
        ],
        tables=[
            Table(
                "Time saved by the lambda",
                ("process", "place of every run", "time saved by the lambda"),
                rows,
            )
        ],
        data={"processes": list(processes)},
    )


def _share(values: Sequence[float], limit: float) -> float:
    return sum(value >= limit for value in values) / len(values)


def _interval(result: dict[str, Any]) -> str:
    return f"{100 * result['saved']:.2f} % [{100 * result['low']:.2f}, {100 * result['high']:.2f}] {result['verdict']}"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure in fresh processes and write the figure; return 0 when the targets are met."""
    made = parser("frame_layout", "Show what the place of a frame does to timings.")
    made.add_argument("--processes", type=int, default=8, help="fresh processes (default 8)")
    made.add_argument("--trials", type=int, default=10, help="trials of each decision (default 10)")
    options = made.parse_args(argv)
    if options.processes < 1 or options.trials < 10:
        made.error("--processes must be at least 1 and --trials at least 10")
    began = time.perf_counter()
    seen = []
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as fresh:
        for number in range(options.processes):
            seen.append(fresh.apply(one_process, (options.trials, options.seed + number)))
            progress(f"process {number + 1}/{options.processes}")
    return figure(seen, command_line(made, options), time.perf_counter() - began).write(options.out)


if __name__ == "__main__":
    sys.exit(main())
