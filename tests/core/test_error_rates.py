"""A short seeded simulation of the shipped rule: error rates, coverage, power and pairs used.

The full form is ``python -m benchmarks.statistics.simulate``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.statistics import bars, simulate, trace, trace_bars
from benchmarks.statistics.noise_models import BY_NAME, LIMITS, MODELS, draw, random_orders
from pytest_optbench.core.sequential import LOOKS

REPLICATIONS = 2000
SEED = 5


@pytest.fixture(scope="module")
def study():
    """Return the sequential rule in all thirteen models."""
    return bars.study(3 * REPLICATIONS, SEED)


def failed(rows):
    """Return the bars that failed."""
    return [row for row in rows if row.passed is False]


def test_false_accept(study):
    """A/A is accepted in at most 0.2 %, 4.9 % in at most 3 %, exactly 5 % in at most 3.5 %."""
    assert failed(bars.false_accept(study)) == []


def test_coverage(study):
    """Fixed intervals cover in at least 93.5 %, intervals at the stop in at least 96 %."""
    assert failed(bars.coverage(study, REPLICATIONS, SEED)) == []


def test_power(study):
    """Gains of 8, 10 and 20 % are accepted as often as required."""
    assert failed(bars.power(study, REPLICATIONS, SEED)) == []


def test_pairs_used(study):
    """Clear cases end at the first look, close ones stay within their budget."""
    assert failed(bars.pairs_used(study)) == []


def test_attempts():
    """Twenty attempts do not add up to a false ACCEPT, not even under interference in step with the pairs."""
    models = [BY_NAME[name] for name in ("iid", "bimodal", "alias4", "layout")]
    rows = bars.attempts(bars.study(REPLICATIONS, SEED, models))
    assert failed(rows) == []
    assert len(rows) == 2


def test_no_regression():
    """The no-regression rule keeps its error and its power."""
    assert failed(bars.no_regression(REPLICATIONS, SEED)) == []


def test_plan_and_record():
    """Unplanned looks are refused, and single decisions equal the simulated ones."""
    assert failed([*bars.refusals(SEED), *bars.agreement(SEED, 60)]) == []


def test_control_alarms():
    """The A/A control condemns few healthy sessions."""
    assert failed(bars.control_alarms(500, SEED)) == []


def test_the_limits_are_visible(study):
    """The two kinds of noise that pairing cannot handle really break the rule, as published."""
    close = {name: study.outcomes[name][0.049].accept_rate for name in LIMITS}
    assert close["ar_arm"] > 0.05
    assert close["layout"] > 0.10
    assert study.outcomes["layout"][0.0].coverage < 0.9


@pytest.mark.parametrize("model", [m.name for m in MODELS])
def test_noise_models_have_no_effect_of_their_own(model):
    """Without a true effect the arms of every model are alike on average, and draws repeat."""
    order = random_orders(3000, LOOKS, 1)
    baseline, optimized = draw(BY_NAME[model], order, 2)
    assert baseline.shape == optimized.shape == (3000, 40)
    assert abs(np.median(optimized - baseline)) < 0.002
    again = draw(BY_NAME[model], order, 2)
    assert np.array_equal(again[0], baseline)


def test_micro_pairs_beat_blocks_on_a_noisy_trace():
    """On a trace with slow machine noise the micro-pair interval is under 1/2.5 as wide, at equal runs."""
    rng = np.random.default_rng(3)
    slots = np.zeros(60_000)
    for i in range(1, len(slots)):
        slots[i] = 0.998 * slots[i - 1] + 0.01 * rng.standard_normal()
    rows = trace_bars.on_trace(slots + 0.01 * rng.standard_normal(len(slots)), 300, SEED)
    assert failed(rows) == []
    assert [row.passed for row in rows if row.number == "7"] == [True]


def test_a_quiet_trace_shows_nothing():
    """On a trace without machine noise the comparison says so instead of failing."""
    slots = 0.01 * np.random.default_rng(4).standard_normal(20_000)
    rows = {(row.number, row.name): row for row in trace_bars.on_trace(slots, 200, SEED)}
    quiet = rows["7", "width of micro-pair interval, k = 20"]
    assert quiet.passed is None
    assert quiet.achieved.endswith("trace too quiet to tell")


def test_a_short_trace_is_refused():
    """A trace shorter than one session is refused by its length."""
    with pytest.raises(
        ValueError, match="a session needs 800 slots, got a trace of 100; record it for longer"
    ):
        trace.windows(np.zeros(100), 800, 1, np.random.default_rng(0))


@pytest.mark.usefixtures("untraced")
def test_the_command(tmp_path):
    """The command records a trace, writes the report with every bar and says by its status if all hold."""
    out = tmp_path / "rates.md"
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "benchmarks.statistics.simulate", "--replications", "100"]
    done = subprocess.run(
        [*command, "--trace-seconds", "2", "--out", str(out)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=240,
    )
    text = out.read_text(encoding="utf-8")
    assert done.stderr == ""
    assert done.stdout.strip() == text.strip()
    assert done.returncode == (1 if "**FAIL**" in text else 0)
    for bar in range(1, 12):
        assert f"\n| {bar} | " in text
    assert "*layout* (limit)" in text


def test_too_few_replications_are_refused(capsys):
    """Below a hundred sessions per model the rates mean nothing."""
    with pytest.raises(SystemExit) as end:
        simulate.main(["--replications", "5"])
    assert end.value.code == 2
    assert "--replications must be at least 100, got 5" in capsys.readouterr().err
