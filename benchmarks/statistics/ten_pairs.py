"""What ten pairs can and cannot prove: the smallest gain shown, and every verdict's chance, by noise and pairs.

    python -m benchmarks.statistics.ten_pairs [--sessions N] [--seed N] [--page docs/ten-pairs.md]

Simulates sessions with independent normal noise and runs the shipped decision rule on them, then writes the
tables between their markers in the page and the plots beside it. One core, about a minute at the defaults.
The trap avoided: textbook power formulas for a test the rule does not use (it looks up to five times, adjusts
for order, and asks the total time as well). The plots need matplotlib (extra `report`).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.statistics.noise_models import random_orders
from benchmarks.statistics.sessions import Looks, Outcome, at_looks, run
from pytest_optbench.core.goal import Goal
from pytest_optbench.core.sequential import schedule
from pytest_optbench.core.verdicts import Verdict

COMMAND = "python -m benchmarks.statistics.ten_pairs"
NOISE = (0.005, 0.01, 0.02, 0.05, 0.10)
"""Standard deviations of the log ratio of one trial."""
LAST = (10, 15, 20, 30, 40, 80)
"""Pairs at the last look; the first look is always at 10."""
GAINS = (0.0, 0.02, 0.04, 0.05, 0.06, 0.08, 0.10, 0.15, 0.20)
SLOWDOWNS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.08, 0.10, 0.15)
MARGINS = (0.02, 0.03, 0.05, 0.10)
POWER = 0.8
SPEEDUP = Goal("speedup", 0.05)
VERDICTS = (Verdict.ACCEPT, Verdict.REJECT, Verdict.INCONCLUSIVE)


class Study:
    """Sessions without any true effect by noise and plan, made once; an effect is added afterwards."""

    def __init__(self, sessions: int, seed: int) -> None:
        """Prepare `sessions` sessions per cell, all drawn from `seed`."""
        self._sessions, self._seed = sessions, seed
        self._looks = cache(self._draw)
        self._smallest = cache(self._bisected)  # the table and the plot show the same

    def outcome(self, noise: float, last: int, time_saved: float, goal: Goal) -> Outcome:
        """Return what the rule decides at looks from 10 to `last` pairs; `time_saved` is a fraction, or below 0."""
        return run(self._looks(noise, last, goal.one_sided(0.05)), time_saved, goal)

    def smallest(self, noise: float, last: int, goal: Goal) -> float:
        """Return the time saved (negative: the slowdown) accepted in 80 % of sessions, to 0.01 points.

        For "speedup" the smallest gain that is accepted, for "no-regression" the largest slowdown.
        """
        return self._smallest(noise, last, goal)

    def _bisected(self, noise: float, last: int, goal: Goal) -> float:
        low, high = goal.time_ratio * 0.2, goal.time_ratio  # of the time left; the wanted ratio lies between
        while high - low > 1e-4:
            middle = (low + high) / 2
            shown = self.outcome(noise, last, 1.0 - middle, goal).accept_rate >= POWER
            low, high = (middle, high) if shown else (low, middle)
        return 1.0 - low

    def _draw(self, noise: float, last: int, alpha: float) -> Looks:
        plan = schedule(10, last, alpha)
        rng = np.random.default_rng([self._seed, round(1e6 * noise), last])
        order = random_orders(self._sessions, plan.looks, self._seed)
        # Each arm carries half of the variance, so the log ratio of a trial has the stated deviation.
        arms = noise / np.sqrt(2.0) * rng.standard_normal((2, *order.shape))
        return at_looks(arms[1] - arms[0], order, np.exp(arms[0]), np.exp(arms[1]), plan)


def smallest_gain(study: Study) -> str:
    """Return the table of the smallest true gain accepted with 80 % probability against a 5 % threshold."""
    header = ["noise of a trial", *(f"{last} pairs" if last == 10 else f"up to {last}" for last in LAST)]
    rows = [
        [_percent(noise), *(f"{100 * study.smallest(noise, last, SPEEDUP):.1f} %" for last in LAST)]
        for noise in NOISE
    ]
    return _table(header, rows)


def verdicts(study: Study) -> str:
    """Return the table of the chances of the three verdicts by true gain and noise, looks at 10 to 40 pairs."""
    header = ["true time saved", *(f"noise {_percent(noise)}" for noise in NOISE)]
    rows = []
    for gain in GAINS:
        cells = [_cell(study.outcome(noise, 40, gain, SPEEDUP)) for noise in NOISE]
        rows.append([_percent(gain), *cells])
    return _table(header, rows)


def no_regression(study: Study) -> str:
    """Return the same for the goal no-regression at a margin of 5 %, by true slowdown."""
    goal = Goal("no-regression", 0.05)
    rows = [
        [_percent(slower), *(_cell(study.outcome(noise, 40, -slower, goal)) for noise in NOISE)]
        for slower in SLOWDOWNS
    ]
    return _table(["true slowdown", *(f"noise {_percent(noise)}" for noise in NOISE)], rows)


def unchanged(study: Study) -> str:
    """Return how often an unchanged benchmark passes the no-regression gate, by margin and noise."""
    rows = []
    for margin in MARGINS:
        goal = Goal("no-regression", margin)
        rows.append([_percent(margin), *(_cell(study.outcome(noise, 40, 0.0, goal)) for noise in NOISE)])
    return _table(["margin", *(f"noise {_percent(noise)}" for noise in NOISE)], rows)


def plots(study: Study) -> Mapping[str, bytes]:
    """Return the plots by file name as SVG; the same numbers give the same bytes."""
    try:
        import matplotlib
    except ImportError as error:
        raise SystemExit(
            "the plots need matplotlib, which is not installed; pip install 'pytest-optbench[report]'"
        ) from error
    matplotlib.use("svg")
    from matplotlib import pyplot

    settings = {
        "svg.hashsalt": "ten pairs",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 11,
    }
    made: dict[str, bytes] = {}
    colours = ("#0b7285", "#2b8a3e", "#e67700", "#c2255c", "#5f3dc4")
    styles = ("-", "--", "-.", (0, (6, 1, 1, 1, 1, 1)), ":")
    with matplotlib.rc_context(settings):
        figure, axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
        gains = np.arange(0.0, 0.2001, 0.005)
        for noise, colour, style in zip(NOISE, colours, styles, strict=True):
            rates = [study.outcome(noise, 40, float(gain), SPEEDUP).accept_rate for gain in gains]
            axes.plot(
                100 * gains, 100 * np.array(rates), color=colour, linestyle=style, label=_percent(noise)
            )
        axes.axvline(5, color="#495057", linewidth=1)
        axes.annotate("threshold", (4.8, 60), color="#495057", fontsize=9, ha="right")
        axes.set(xlabel="true time saved, %", ylabel="sessions that end in ACCEPT, %", ylim=(-2, 102))
        axes.grid(alpha=0.3)
        axes.legend(title="noise of a trial", frameon=False)
        made["ten-pairs-accepted.svg"] = _svg(figure)
        figure, axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
        for noise, colour, style in zip(NOISE, colours, styles, strict=True):
            smallest = [100 * study.smallest(noise, last, SPEEDUP) for last in LAST]
            axes.plot(LAST, smallest, color=colour, linestyle=style, marker="o", label=_percent(noise))
        axes.axhline(5, color="#495057", linewidth=1)
        axes.set(xlabel="pairs at the last look", ylabel="smallest gain accepted in 80 %, %", ylim=(4, None))
        axes.set_xticks(LAST)
        axes.grid(alpha=0.3)
        axes.legend(title="noise of a trial", frameon=False)
        made["ten-pairs-smallest.svg"] = _svg(figure)
        pyplot.close("all")
    return made


def _svg(figure: Any) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def filled(page: str, tables: Mapping[str, str]) -> str:
    """Return the page with each table between its markers.

    Raises:
        ValueError: the page has no place for one of them.
    """
    for name, table in tables.items():
        found = re.search(
            rf"(<!-- simulated {name}: begin[^>]*-->\n)(?:.*?\n)?(<!-- simulated {name}: end -->)",
            page,
            re.DOTALL,
        )
        if found is None:
            raise ValueError(f"the page must have the markers <!-- simulated {name}: begin --> and ... end")
        page = f"{page[: found.end(1)]}{table}\n{page[found.start(2) :]}"
    return page


def _percent(fraction: float) -> str:
    return f"{100 * fraction:g} %"


def _cell(outcome: Outcome) -> str:
    shares = " / ".join(f"{100 * outcome.rate(verdict):.0f}" for verdict in VERDICTS)
    return f"{shares} ({outcome.mean_pairs:.0f})"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows))


def main(argv: Sequence[str] | None = None) -> int:
    """Compute everything and write page and plots; return 0."""
    parser = argparse.ArgumentParser(description="Compute what ten pairs can and cannot prove.")
    parser.add_argument("--sessions", type=int, default=20_000, help="sessions per cell (default 20000)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the simulation (default 1)")
    parser.add_argument("--page", type=Path, default=Path("docs/ten-pairs.md"), help="the page to fill")
    chosen = parser.parse_args(argv)
    if chosen.sessions < 100:
        parser.error(f"--sessions must be at least 100, received {chosen.sessions}")
    study = Study(chosen.sessions, chosen.seed)
    command = f"{COMMAND} --sessions {chosen.sessions} --seed {chosen.seed}"
    tables = {
        "command": f"```text\n{command}\n```",
        "smallest-gain": smallest_gain(study),
        "verdicts": verdicts(study),
        "no-regression": no_regression(study),
        "unchanged": unchanged(study),
    }
    page = filled(chosen.page.read_text(encoding="utf-8"), tables)
    pictures = plots(study)
    folder = chosen.page.parent / "figures"
    folder.mkdir(exist_ok=True)
    for name, content in pictures.items():
        (folder / name).write_bytes(content)
    chosen.page.write_text(page, encoding="utf-8")
    print("\n\n".join(tables.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
