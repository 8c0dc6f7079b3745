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

from benchmarks.statistics.bar import GOAL, Bar, accept_percent, at_least, at_most
from benchmarks.statistics.noise_models import BY_NAME, MODELS, NoiseModel, draw, random_orders
from benchmarks.statistics.sessions import Looks, Outcome, at_looks, rank_tests, run
from pytest_optbench.core.control import aa_control
from pytest_optbench.core.decision import decide, replay
from pytest_optbench.core.distributions import t_critical
from pytest_optbench.core.estimate import huber
from pytest_optbench.core.judge import look
from pytest_optbench.core.noninferiority import no_regression_rows
from pytest_optbench.core.pairs import Pairs, Trial, adjacent_control, control_log_ratios
from pytest_optbench.core.sequential import PlanError, Schedule, schedule

SPEEDUPS = (-0.05, 0.0, 0.03, 0.049, 0.05, 0.06, 0.08, 0.10, 0.20)
FIXED_PAIRS = (10, 20, 30, 50)
ATTEMPTS = 20


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


def _pairs(outcome: Outcome) -> float:
    return outcome.mean_pairs


def _coverage(outcome: Outcome) -> float:
    return 100.0 * outcome.coverage


def false_accept(result: Study) -> list[Bar]:
    """Bars 1 and 2: ACCEPT of nothing, and of less than the threshold."""
    nothing = {name: accept_percent(o[0.0]) for name, o in result.outcomes.items()}
    worst = max(nothing, key=lambda name: nothing[name])
    value49, where49 = result.worst(accept_percent, 0.049, 1)
    value50, where50 = result.worst(accept_percent, 0.05, 1)
    return [
        at_most("1", f"A/A ACCEPT, each of {len(nothing)} models", nothing[worst], 0.2, worst),
        at_most("2", "ACCEPT at true 4.9 %, each", value49, 3.0, where49),
        at_most("2", "ACCEPT at true 5 %, each", value50, 3.5, where50),
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
        rows.append(at_least("3", f"coverage at n = {n}, each", covered[worst], 93.5, worst))
    stops = {s: result.worst(_coverage, s, -1) for s in (0.0, 0.049, 0.08, 0.20)}
    speedup = min(stops, key=lambda s: stops[s][0])
    value, where = stops[speedup]
    at = f"{where}, true {100 * speedup:g} %"
    rows.append(at_least("3", "coverage of the interval at the stop, each", value, 96.0, at))
    rows.append(at_most("6", "interval at the stop misses the truth, each", 100.0 - value, 4.0, at))
    return rows


def power(result: Study, replications: int, seed: int, models: Sequence[NoiseModel] = MODELS) -> list[Bar]:
    """Bar 4: share of true gains that are accepted."""
    rows = [at_least("4", "power at 8 %, mean", result.mean(accept_percent, 0.08), 96.0)]
    for speedup, least in ((0.08, 87.0), (0.10, 97.5), (0.20, 99.5)):
        value, where = result.worst(accept_percent, speedup, -1)
        rows.append(at_least("4", f"power at {100 * speedup:g} %, each", value, least, where))
    for n, speedup in ((10, 0.10), (20, 0.08)):
        fixed = Schedule((n,), (0.025,))
        single = study(replications, seed + n, [m for m in models if not m.is_limit], fixed)
        mean = single.mean(accept_percent, speedup)
        rows.append(at_least("4", f"power at {100 * speedup:g} %, fixed n = {n}, mean", mean, 94.0))
    return rows


def pairs_used(result: Study) -> list[Bar]:
    """Bar 5: average number of pairs to the decision."""
    rows = []
    for speedup in (-0.05, 0.0, 0.20):
        value, where = result.worst(_pairs, speedup, 1)
        rows.append(at_most("5", f"pairs at {100 * speedup:g} %, each", value, 10.2, where, ""))
    mean10, mean8 = result.mean(_pairs, 0.10), result.mean(_pairs, 0.08)
    (each10, at10), (each8, at8) = result.worst(_pairs, 0.10, 1), result.worst(_pairs, 0.08, 1)
    value, where = result.worst(_pairs, 0.049, 1)
    return [
        *rows,
        at_most("5", "pairs at 10 %, mean", mean10, 11.0, "", ""),
        at_most("5", "pairs at 10 %, each", each10, 13.0, at10, ""),
        at_most("5", "pairs at 8 %, mean", mean8, 13.7, "", ""),
        at_most("5", "pairs at 8 %, each", each8, 19.5, at8, ""),
        at_most("5", "pairs at 4.9 %, each", value, 14.0, where, ""),
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
                rows.append(at_least("8", f"no regression shown at 0 %, iid, n = {n}", same, least))
    worst = max(errors, key=lambda cell: errors[cell])
    return [at_most("8", "no regression shown at true 2 %, each", errors[worst], 6.5, worst), *rows]


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
        rows.append(at_most("9", title, total[worst], limit, worst))
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
        at_most("10", "one look at 40 pairs", 1e3 * best_look, 50.0, "", " ms"),
        at_most("10", "whole decision with all checks", 1e3 * best, 50.0, "", " ms"),
        Bar("10", "decision from the stored record", "identical", "identical", first == second),
    ]


def _timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def agreement(seed: int, sessions: int = 200) -> list[Bar]:
    """Bar 10: the one-row decision on recorded pairs equals the simulated rule, session by session.

    The simulated rule knows no A/A control, and one control in a hundred is unclean by chance and stops a look from
    settling anything; such sessions are left out, and their number is shown.
    """
    plan = schedule()
    order = random_orders(sessions, plan.looks, seed)
    baseline, optimized = draw(BY_NAME["mix"], order, seed)
    a, b = np.exp(baseline), np.exp(optimized) * (1.0 - 0.06)
    together = run(at_looks(np.log(b / a), order, a, b, plan), 0.0, GOAL)
    same = clean = 0
    for row in range(sessions):
        pairs = Pairs.from_seconds(a[row].tolist(), b[row].tolist(), order[row].tolist())
        controls = [aa_control(pairs.first(n).control) for n in plan.looks if n <= together.pairs[row]]
        if not all(control is not None and control.clean for control in controls):
            continue
        clean += 1
        looks = replay(pairs, plan, GOAL)
        decision = decide(pairs.first(looks[-1].n), plan, looks, GOAL)
        same += decision.accepted == together.accepted[row] and looks[-1].n == together.pairs[row]
    return [
        Bar(
            "10",
            "single decisions equal the simulated ones",
            f"all of at least {9 * sessions // 10} with a clean control",
            f"{same} of {clean}, {sessions - clean} with an unclean one left out",
            same == clean and clean >= 9 * sessions // 10,
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
            at_most("-", f"A/A control alarms at the first look, {what}", 100.0 * first / replications, 2.0)
        )
        rows.append(
            at_most("-", f"A/A control alarms at every look, {what}", 100.0 * last / replications, 0.5)
        )
        single = 0
        for row in np.exp(baseline[:, :10]):  # ten trials of one run
            control = aa_control(adjacent_control(row.tolist(), rng))
            single += control is not None and not control.clean
        rate = 100.0 * single / replications
        rows.append(at_most("-", f"A/A control alarms, single runs, {name}", rate, 2.0))
    return rows
