"""The acceptance bars on a real A/A trace: false ACCEPT, width of the interval, other tools' rules beside ours."""

from __future__ import annotations

import numpy as np

from benchmarks.statistics import rivals, trace
from benchmarks.statistics.bar import GOAL, Bar, accept_percent, at_most
from benchmarks.statistics.noise_models import random_orders
from benchmarks.statistics.sessions import at_looks, run
from pytest_optbench.core.arrays import FloatArray
from pytest_optbench.core.distributions import t_critical
from pytest_optbench.core.estimate import huber
from pytest_optbench.core.orders import INLINE
from pytest_optbench.core.sequential import Schedule, schedule

QUIET_WIDTH = 5.0
"""Width of the block interval in per cent below which a trace is too quiet to compare ways of measuring."""


def on_trace(slots: FloatArray, replications: int, seed: int, k: int = 20) -> list[Bar]:
    """Bars 1, 7 and 11 on a real A/A trace: false ACCEPT, width of the interval, other rules."""
    rng = np.random.default_rng(seed)
    plan = schedule()
    order = random_orders(replications, plan.looks, seed)
    rows = []
    for micro in (4, k):
        stretch = trace.windows(slots, 2 * plan.looks[-1] * micro, replications, rng)
        t = trace.micro_trials(stretch, order, micro, rng)
        # 4 are far fewer than the harness uses for work this short
        rows += _trace_rates(t, plan, f"{micro} micro-pairs", "1" if micro == k else "-")
    stretch = trace.windows(slots, trace.pilot_slots(plan.looks[-1], INLINE.most), replications, rng)
    t, chosen = trace.piloted_trials(stretch, order, INLINE.most, rng)
    rows += _trace_rates(
        t, plan, f"micro-pairs by pilot ({chosen.min()}-{chosen.max()}, mean {chosen.mean():.0f})", "1"
    )
    return [*rows, *_head_to_head(slots, replications, seed, k)]


def _trace_rates(t: trace.Trials, plan: Schedule, how: str, bar: str) -> list[Bar]:
    """A/A ACCEPTs, ACCEPTs of true 4.9 % and power at 8 % with these trials; `bar` "-" is for information."""
    looks = at_looks(t.log_ratio, t.order, t.baseline, t.optimized, plan)
    rate, close, gain = (run(looks, saved, GOAL) for saved in (0.0, 0.049, 0.08))
    name = f"A/A ACCEPT on the trace, {how}"
    power = f"{accept_percent(gain):.1f}% with {gain.mean_pairs:.1f} pairs"
    return [
        Bar("-", name, "for information", f"{accept_percent(rate):.2f}%", None)
        if bar == "-"
        else at_most(bar, name, accept_percent(rate), 0.2),
        Bar(
            "-",
            f"ACCEPT at 4.9 % on the trace, {how}",
            "for information",
            f"{accept_percent(close):.1f}%",
            None,
        ),
        Bar("-", f"power at 8 % on the trace, {how}", "for information", power, None),
    ]


def _head_to_head(slots: FloatArray, replications: int, seed: int, k: int) -> list[Bar]:
    rng = np.random.default_rng(seed + 1)
    n = 10
    stretch = trace.windows(slots, 2 * n * k, replications, rng)
    order = random_orders(replications, (n,), seed + 1)
    fixed = Schedule((n,), (0.025,))
    widths, ours = [], 0.0
    for trials in (trace.micro_trials(stretch, order, k, rng), trace.block_trials(stretch, order, k)):
        estimate = huber(trials.log_ratio, trials.order)
        half = float(t_critical(0.025, estimate.df)) * estimate.se
        widths.append(100.0 * float(np.median(np.exp(estimate.theta + half) - np.exp(estimate.theta - half))))
        if len(widths) == 1:
            looks = at_looks(trials.log_ratio, trials.order, trials.baseline, trials.optimized, fixed)
            ours = accept_percent(run(looks, 0.0, GOAL))
    micro, block = widths
    text = f"{micro:.2f}% against {block:.2f}%: 1/{block / micro:.1f}"
    rows = [
        _narrower("7", k, block / micro, 2.5, block, text),
        _narrower("11", k, block / micro, 2.0, block, text),
    ]
    for name, rule in rivals.RULES.items():
        theirs = 100.0 * float(rivals.judge(stretch, 0.0, rule).mean())
        judged = name != "pytest-benchmark min:5%"
        # With nothing to compare against, the trace is too quiet to show a factor.
        passed = None if not judged or theirs < 1.0 else theirs >= 50.0 * ours
        rows.append(
            Bar(
                "11",
                f"A/A false ACCEPT of {name}",
                ">= 50 times ours" if judged else "for information",
                f"{theirs:.2f}% against {ours:.2f}%",
                passed,
            )
        )
    return rows


def _narrower(number: str, k: int, factor: float, least: float, block: float, text: str) -> Bar:
    # Where blocks alone resolve the threshold there is little noise to remove, and nothing to show.
    passed = True if factor >= least else None if block < QUIET_WIDTH else False
    note = f"{text}, trace too quiet to tell" if passed is None else text
    return Bar(number, f"width of micro-pair interval, k = {k}", f"<= 1/{least:g} of blocks", note, passed)
