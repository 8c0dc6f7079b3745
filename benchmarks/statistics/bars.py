"""The acceptance bars of the decision rule: what must hold, measured on the shipped code.

Each function measures one group and returns `Bar` rows; `simulate` prints them. Numbers are per cent unless
they say otherwise; "each" is the worst single model of the eleven that pairing can handle.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.statistics import rivals, trace
from benchmarks.statistics.noise_models import BY_NAME, MODELS, NoiseModel, draw, random_orders
from benchmarks.statistics.sessions import Looks, Outcome, at_looks, rank_tests, run
from pytest_optbench.core.arrays import FloatArray
from pytest_optbench.core.control import aa_control
from pytest_optbench.core.decision import decide, replay
from pytest_optbench.core.distributions import t_critical
from pytest_optbench.core.estimate import huber
from pytest_optbench.core.goal import Goal
from pytest_optbench.core.judge import look
from pytest_optbench.core.noninferiority import no_regression_rows
from pytest_optbench.core.orders import MICRO_PAIRS
from pytest_optbench.core.pairs import Pairs, Trial, adjacent_control, control_log_ratios
from pytest_optbench.core.sequential import PlanError, Schedule, schedule

SPEEDUPS = (-0.05, 0.0, 0.03, 0.049, 0.05, 0.06, 0.08, 0.10, 0.20)
FIXED_PAIRS = (10, 20, 30, 50)
ATTEMPTS = 20
QUIET_WIDTH = 5.0
"""Width of the block interval in per cent below which a trace is too quiet to compare ways of measuring."""
GOAL = Goal("speedup", 0.05)


@dataclass(frozen=True)
class Bar:
    """One row: which bar, what it asks, what was reached, and whether that passes (None: cannot be shown)."""

    number: str
    name: str
    required: str
    achieved: str
    passed: bool | None


@dataclass(frozen=True)
class Study:
    """The sequential rule in every model: looks without effect, and outcomes per true time saved."""

    looks: dict[str, Looks]
    outcomes: dict[str, dict[float, Outcome]]

    def handled(self) -> list[str]:
        """Names of the models that are not published limits."""
        return [name for name in self.outcomes if not BY_NAME[name].is_limit]

    def worst(self, measure: Callable[[Outcome], float], speedup: float, sign: float) -> tuple[float, str]:
        """Return the largest `sign * measure` over handled models as (measure, model)."""
        values = {name: measure(self.outcomes[name][speedup]) for name in self.handled()}
        name = max(values, key=lambda model: sign * values[model])
        return values[name], name

    def mean(self, measure: Callable[[Outcome], float], speedup: float) -> float:
        """Return the average over handled models."""
        return float(np.mean([measure(self.outcomes[name][speedup]) for name in self.handled()]))


def study(
    replications: int, seed: int, models: Sequence[NoiseModel] = MODELS, plan: Schedule | None = None
) -> Study:
    """Return the outcomes of the sequential rule in `models`, `replications` sessions each."""
    plan = plan or schedule()
    order = random_orders(replications, plan.looks, seed)
    looks, outcomes = {}, {}
    for model in models:
        baseline, optimized = draw(model, order, seed)
        looks[model.name] = at_looks(optimized - baseline, order, np.exp(baseline), np.exp(optimized), plan)
        outcomes[model.name] = {s: run(looks[model.name], s, GOAL) for s in SPEEDUPS}
    return Study(looks, outcomes)


def _accept(outcome: Outcome) -> float:
    return 100.0 * outcome.accept_rate


def _pairs(outcome: Outcome) -> float:
    return outcome.mean_pairs


def _coverage(outcome: Outcome) -> float:
    return 100.0 * outcome.coverage


def _at_most(number: str, name: str, value: float, limit: float, where: str = "", unit: str = "%") -> Bar:
    where = f" ({where})" if where else ""
    return Bar(number, name, f"<= {limit:g}{unit}", f"{value:.2f}{unit}{where}", value <= limit)


def _at_least(number: str, name: str, value: float, limit: float, where: str = "", unit: str = "%") -> Bar:
    where = f" ({where})" if where else ""
    return Bar(number, name, f">= {limit:g}{unit}", f"{value:.2f}{unit}{where}", value >= limit)


def false_accept(result: Study) -> list[Bar]:
    """Bars 1 and 2: ACCEPT of nothing, and of less than the threshold."""
    nothing = {name: _accept(o[0.0]) for name, o in result.outcomes.items()}
    worst = max(nothing, key=lambda name: nothing[name])
    value49, where49 = result.worst(_accept, 0.049, 1)
    value50, where50 = result.worst(_accept, 0.05, 1)
    return [
        _at_most("1", f"A/A ACCEPT, each of {len(nothing)} models", nothing[worst], 0.2, worst),
        _at_most("2", "ACCEPT at true 4.9 %, each", value49, 3.0, where49),
        _at_most("2", "ACCEPT at true 5 %, each", value50, 3.5, where50),
    ]


def coverage(result: Study, replications: int, seed: int, models: Sequence[NoiseModel] = MODELS) -> list[Bar]:
    """Bars 3 and 6: coverage of the 95 % interval at fixed n and of the repeated interval at the stop."""
    rows = []
    for n in FIXED_PAIRS:
        order = random_orders(replications, (n,), seed + n)
        covered = {}
        for model in models:
            if model.is_limit:
                continue
            baseline, optimized = draw(model, order, seed + n)
            estimate = huber(optimized - baseline, order)
            half = float(t_critical(0.025, estimate.df)) * estimate.se
            covered[model.name] = 100.0 * float((np.abs(estimate.theta) <= half).mean())
        worst = min(covered, key=lambda name: covered[name])
        rows.append(_at_least("3", f"coverage at n = {n}, each", covered[worst], 93.5, worst))
    stops = {s: result.worst(_coverage, s, -1) for s in (0.0, 0.049, 0.08, 0.20)}
    speedup = min(stops, key=lambda s: stops[s][0])
    value, where = stops[speedup]
    at = f"{where}, true {100 * speedup:g} %"
    rows.append(_at_least("3", "coverage of the interval at the stop, each", value, 96.0, at))
    rows.append(_at_most("6", "interval at the stop misses the truth, each", 100.0 - value, 4.0, at))
    return rows


def power(result: Study, replications: int, seed: int, models: Sequence[NoiseModel] = MODELS) -> list[Bar]:
    """Bar 4: share of true gains that are accepted."""
    rows = [_at_least("4", "power at 8 %, mean", result.mean(_accept, 0.08), 96.0)]
    for speedup, least in ((0.08, 87.0), (0.10, 97.5), (0.20, 99.5)):
        value, where = result.worst(_accept, speedup, -1)
        rows.append(_at_least("4", f"power at {100 * speedup:g} %, each", value, least, where))
    for n, speedup in ((10, 0.10), (20, 0.08)):
        fixed = Schedule((n,), (0.025,))
        single = study(replications, seed + n, [m for m in models if not m.is_limit], fixed)
        mean = single.mean(_accept, speedup)
        rows.append(_at_least("4", f"power at {100 * speedup:g} %, fixed n = {n}, mean", mean, 94.0))
    return rows


def pairs_used(result: Study) -> list[Bar]:
    """Bar 5: average number of pairs to the decision."""
    rows = []
    for speedup in (-0.05, 0.0, 0.20):
        value, where = result.worst(_pairs, speedup, 1)
        rows.append(_at_most("5", f"pairs at {100 * speedup:g} %, each", value, 10.2, where, ""))
    mean10, mean8 = result.mean(_pairs, 0.10), result.mean(_pairs, 0.08)
    (each10, at10), (each8, at8) = result.worst(_pairs, 0.10, 1), result.worst(_pairs, 0.08, 1)
    value, where = result.worst(_pairs, 0.049, 1)
    return [
        *rows,
        _at_most("5", "pairs at 10 %, mean", mean10, 11.0, "", ""),
        _at_most("5", "pairs at 10 %, each", each10, 13.0, at10, ""),
        _at_most("5", "pairs at 8 %, mean", mean8, 13.7, "", ""),
        _at_most("5", "pairs at 8 %, each", each8, 19.5, at8, ""),
        _at_most("5", "pairs at 4.9 %, each", value, 14.0, where, ""),
    ]


def one_session(seed: int, speedup: float = 0.0, n: int = 40) -> Pairs:
    """Return one simulated session of the "mix" model as recorded pairs."""
    order = random_orders(1, schedule().looks, seed)[:, :n]
    baseline, optimized = draw(BY_NAME["mix"], order, seed)
    return Pairs.from_seconds(
        np.exp(baseline[0]).tolist(),
        (np.exp(optimized[0]) * (1.0 - speedup)).tolist(),
        order[0].tolist(),
    )


def refusals(seed: int) -> list[Bar]:
    """Bar 6: looks outside the plan and a changed last look are refused by code."""
    plan = schedule()
    pairs = one_session(seed, 0.06)
    taken = replay(pairs, plan, GOAL)

    def refused(action: Callable[[], object]) -> bool:
        try:
            action()
        except PlanError:
            return True
        return False

    longer = schedule(10, 80)
    checks = {
        "look at 12 pairs": refused(lambda: look(pairs.first(12), plan, 0, GOAL)),
        "sixth look": refused(lambda: look(pairs, plan, 5, GOAL)),
        "skipped look": refused(lambda: decide(pairs.first(15), plan, taken[:1], GOAL)),
        "last look moved to 80": refused(lambda: decide(pairs.first(10), longer, taken[:1], GOAL)),
        "pairs added after the stop": refused(
            lambda: decide(pairs, plan, replay(one_session(seed), plan, GOAL), GOAL)
        ),
    }
    missed = [name for name, ok in checks.items() if not ok]
    return [
        Bar("6", "unplanned looks and changed plans", "refused", ", ".join(missed) or "refused", not missed)
    ]


def no_regression(replications: int, seed: int, models: Sequence[NoiseModel] = MODELS) -> list[Bar]:
    """Bar 8: error of the no-regression rule at its margin of 2 %, and its power when nothing changed."""
    errors: dict[str, float] = {}
    rows = []
    for n, least in ((10, 58.0), (20, 87.0), (40, 98.0)):
        order = random_orders(replications, (n,), seed + n)
        for model in models:
            if model.is_limit:
                continue
            baseline, optimized = draw(model, order, seed + n)
            estimate = huber(optimized - baseline, order)
            slower = no_regression_rows(estimate.shifted(math.log1p(0.02)), 0.02)
            errors[f"{model.name}, n = {n}"] = 100.0 * float(slower.not_slower.mean())
            if model.name == "iid":
                same = 100.0 * float(no_regression_rows(estimate, 0.02).not_slower.mean())
                rows.append(_at_least("8", f"no regression shown at 0 %, iid, n = {n}", same, least))
    worst = max(errors, key=lambda cell: errors[cell])
    return [_at_most("8", "no regression shown at true 2 %, each", errors[worst], 6.5, worst), *rows]


def attempts(result: Study) -> list[Bar]:
    """Bar 9: chance that at least one of 20 attempts is accepted, with the error spent per attempt."""
    plans = [schedule(attempt=j) for j in range(1, ATTEMPTS + 1)]
    rows = []
    for speedup, limit, names in (
        (0.0, 1.0, list(result.looks)),
        (0.049, 5.0, result.handled()),
    ):
        total = {}
        for name in names:
            none, looks = 1.0, result.looks[name]
            ranks = rank_tests(looks, speedup, GOAL)
            for plan in plans:
                none *= 1.0 - run(looks, speedup, GOAL, plan, ranks).accept_rate
            total[name] = 100.0 * (1.0 - none)
        worst = max(total, key=lambda name: total[name])
        title = f"any ACCEPT in {ATTEMPTS} attempts at {100 * speedup:g} %, each"
        rows.append(_at_most("9", title, total[worst], limit, worst))
    return rows


def speed(seed: int) -> list[Bar]:
    """Bar 10: time of one look at 40 pairs and of the whole decision; the same record decides the same."""
    plan, pairs = schedule(), one_session(seed, 0.06)
    looks = replay(pairs, plan, GOAL)
    measured = pairs.first(looks[-1].n)
    best_look = min(_timed(lambda: look(pairs, plan, 4, GOAL)) for _ in range(20))
    best = min(_timed(lambda: decide(measured, plan, looks, GOAL)) for _ in range(20))
    first, second = (
        repr(decide(Pairs.from_trials(t), plan, looks, GOAL).document())
        for t in (
            measured.trials,
            [Trial.from_record(p) for p in decide(measured, plan, looks, GOAL).document()["pairs"]],
        )
    )
    return [
        _at_most("10", "one look at 40 pairs", 1e3 * best_look, 50.0, "", " ms"),
        _at_most("10", "whole decision with all checks", 1e3 * best, 50.0, "", " ms"),
        Bar("10", "decision from the stored record", "identical", "identical", first == second),
    ]


def _timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def agreement(seed: int, sessions: int = 200) -> list[Bar]:
    """Bar 10: the one-row decision on recorded pairs equals the simulated rule, session by session."""
    plan = schedule()
    order = random_orders(sessions, plan.looks, seed)
    baseline, optimized = draw(BY_NAME["mix"], order, seed)
    a, b = np.exp(baseline), np.exp(optimized) * (1.0 - 0.06)
    together = run(at_looks(np.log(b / a), order, a, b, plan), 0.0, GOAL)
    same = 0
    for row in range(sessions):
        pairs = Pairs.from_seconds(a[row].tolist(), b[row].tolist(), order[row].tolist())
        looks = replay(pairs, plan, GOAL)
        decision = decide(pairs.first(looks[-1].n), plan, looks, GOAL)
        same += decision.accepted == together.accepted[row] and looks[-1].n == together.pairs[row]
    return [
        Bar(
            "10",
            "single decisions equal the simulated ones",
            f"{sessions} of {sessions}",
            f"{same} of {sessions}",
            same == sessions,
        )
    ]


def control_alarms(replications: int, seed: int) -> list[Bar]:
    """How often the A/A control condemns a healthy session (it costs that share of the power)."""
    rng = np.random.default_rng(seed)
    rows = []
    for name in ("iid", "heavy", "neighbour", "mix"):
        looks = schedule().looks
        order = random_orders(replications, (20 * looks[-1],), seed)
        baseline, _ = draw(BY_NAME[name], order, seed)
        first = last = 0
        for row in np.exp(baseline):  # trials of twenty baseline runs
            trials = [control_log_ratios(trial.tolist(), rng) for trial in row.reshape(-1, 20)]
            dirty = [
                control is not None and not control.clean
                for control in (aa_control([v for trial in trials[:n] for v in trial]) for n in looks)
            ]
            first += dirty[0]
            last += all(dirty)
        what = f"20 micro-pairs, {name}"
        rows.append(
            _at_most("-", f"A/A control alarms at the first look, {what}", 100.0 * first / replications, 2.0)
        )
        rows.append(
            _at_most("-", f"A/A control alarms at every look, {what}", 100.0 * last / replications, 0.5)
        )
        single = 0
        for row in np.exp(baseline[:, :10]):  # ten trials of one run
            control = aa_control(adjacent_control(row.tolist(), rng))
            single += control is not None and not control.clean
        rate = 100.0 * single / replications
        rows.append(_at_most("-", f"A/A control alarms, single runs, {name}", rate, 2.0))
    return rows


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
    stretch = trace.windows(slots, trace.pilot_slots(plan.looks[-1], MICRO_PAIRS[1]), replications, rng)
    t, chosen = trace.piloted_trials(stretch, order, MICRO_PAIRS[1], rng)
    rows += _trace_rates(
        t, plan, f"micro-pairs by pilot ({chosen.min()}-{chosen.max()}, mean {chosen.mean():.0f})", "1"
    )
    return [*rows, *_head_to_head(slots, replications, seed, k)]


def _trace_rates(t: trace.Trials, plan: Schedule, how: str, bar: str) -> list[Bar]:
    """A/A ACCEPTs, ACCEPTs of true 4.9 % and power at 8 % with these trials; `bar` "-" is for information."""
    looks = at_looks(t.log_ratio, t.order, t.baseline, t.optimized, plan)
    rate, close, gain = (run(looks, saved, GOAL) for saved in (0.0, 0.049, 0.08))
    name = f"A/A ACCEPT on the trace, {how}"
    power = f"{_accept(gain):.1f}% with {gain.mean_pairs:.1f} pairs"
    return [
        Bar("-", name, "for information", f"{_accept(rate):.2f}%", None)
        if bar == "-"
        else _at_most(bar, name, _accept(rate), 0.2),
        Bar("-", f"ACCEPT at 4.9 % on the trace, {how}", "for information", f"{_accept(close):.1f}%", None),
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
            ours = _accept(run(looks, 0.0, GOAL))
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
