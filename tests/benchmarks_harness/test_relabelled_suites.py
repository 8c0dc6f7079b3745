"""Suites whose labels are drawn again: what a flip does, what the shipped rule then says, what the file keeps."""

from __future__ import annotations

import json
import math
import random
import statistics
from pathlib import Path

import pytest

from benchmarks.harness import calibration_page
from benchmarks.harness.calibration_permuted import FILE, RESULT, main
from benchmarks.harness.intervals import clustered
from benchmarks.harness.recorded_suites import RecordedSuite, append, read, record, recorded_pairs
from benchmarks.harness.relabelled import (
    OPEN,
    RecordedPair,
    Rule,
    Suite,
    coins,
    ending,
    relabelled,
    tally,
    trials,
)
from pytest_optbench.core import Trial

RULE = Rule(0.03, 10, 40)
NAMES = ("work00", "work01", "work02")


def pair(order: int, baseline: float, optimized: float, label: int) -> RecordedPair:
    ratio = math.log(optimized / baseline)
    return RecordedPair(order, baseline, optimized, ratio, baseline, optimized, label)


def made(noise: float, pairs: int = 20, seed: int = 1, slower: float = 1.0) -> Suite:
    """Return a suite of three benchmarks with this relative noise; the first one's new side takes `slower` as long."""
    rng = random.Random(seed)
    return {
        name: [
            pair(
                1 if i % 2 else -1,
                1e-3 * math.exp(rng.gauss(0, noise)),
                1e-3 * math.exp(rng.gauss(0, noise)) * (slower if name == NAMES[0] else 1.0),
                (1, -1)[i // 2 % 2] if i % 2 else 0,
            )
            for i in range(pairs)
        ]
        for name in NAMES
    }


def test_a_flip_swaps_the_sides() -> None:
    """Seconds and medians change places, the log ratio its sign; the planned order stays; twice is not at all."""
    one = RecordedPair(1, 1e-3, 2e-3, 0.5, 1.1e-3, 2.1e-3, -1)
    assert one.flipped() == RecordedPair(1, 2e-3, 1e-3, -0.5, 2.1e-3, 1.1e-3, -1)
    assert one.flipped().flipped() == one


def test_one_coin_turns_all_benchmarks_of_a_pair() -> None:
    """The flipped pairs are the same ones in every benchmark, so what disturbed a pair stays together."""
    suite, flips = made(0.01, 4), (True, False, False, True)
    turned = relabelled(suite, flips)
    for name in NAMES:
        changed = [new != old for new, old in zip(turned[name], suite[name], strict=True)]
        assert changed == list(flips)
        assert turned[name][0] == suite[name][0].flipped()


def test_coins_are_different_and_no_more_than_there_are() -> None:
    """Of three pairs there are eight ways to flip them; of forty as many as asked for."""
    assert len(set(coins(3, 100, random.Random(1)))) == 8
    drawn = coins(40, 100, random.Random(1))
    assert len(set(drawn)) == 100
    assert {len(flips) for flips in drawn} == {40}


def test_what_is_kept_gives_the_same_trials() -> None:
    """Order, seconds, log ratio and the control between two processes come back as they were measured."""
    rng, measured, before = random.Random(2), [], 0.0
    for index in range(6):
        runs = [
            (side, 1e-3 * math.exp(rng.gauss(0, 0.02)), 1e-3 * math.exp(rng.gauss(0, 0.02)))
            for side in (1, -1, -1, 1, 1, -1)
        ]
        median = statistics.median(run[1] for run in runs)
        control = ((-1) ** (index // 2) * math.log(median / before),) if index % 2 else ()
        measured.append(Trial.from_runs(index, runs[0][0], runs, control=control))
        before = median
    kept = [RecordedPair.from_row(json.loads(json.dumps(each.row()))) for each in recorded_pairs(measured)]
    for again, trial in zip(trials(kept), measured, strict=True):
        assert (again.index, again.order) == (trial.index, trial.order)
        assert again.control == pytest.approx(trial.control, rel=1e-3, abs=1e-6)
        for name in ("baseline_s", "optimized_s", "log_ratio"):
            assert getattr(again, name) == pytest.approx(getattr(trial, name), rel=1e-6)


def test_the_control_follows_the_labels() -> None:
    """With all pairs flipped, the control compares the medians of the other side."""
    pairs = made(0.02, 4)["work00"]
    flipped = trials([each.flipped() for each in pairs])
    expected = pairs[1].control_label * math.log(pairs[1].optimized_s / pairs[0].optimized_s)
    assert flipped[1].control == pytest.approx((expected,))
    assert flipped[2].control == ()


def test_single_runs_cannot_be_relabelled() -> None:
    """Without runs in both orders an effect of the order would follow the coin."""
    with pytest.raises(ValueError, match="must hold several runs to be relabelled"):
        recorded_pairs([Trial.from_runs(0, 1, [(1, 1e-3, 1e-3)])])


def test_a_planted_slowdown_is_found_and_nothing_else() -> None:
    """At a noise of 0.5 % each drawn benchmark that takes 5 % longer is called regressed, an unchanged one never."""
    counted = tally(made(0.005), coins(20, 12, random.Random(1)), RULE, 1.05, random.Random(1))
    assert (counted.suites, counted.regressed, counted.planted, counted.found) == (12, 0, 12, 12)
    assert counted.endings == {"ACCEPT": 36}
    assert json.loads(json.dumps(counted.record())) == counted.record()


def test_a_false_regression_is_counted() -> None:
    """A side that differs as recorded is a regression of its suite, at the look where it showed."""
    suite = made(0.005, slower=1.08)
    counted = tally(suite, [(False,) * 20], RULE, 1.05, random.Random(1))
    assert (counted.suites, counted.regressed, dict(counted.looks)) == (1, 1, {10: 1})
    assert counted.endings["REJECT"] == 1


def test_more_pairs_than_recorded_leave_a_benchmark_open() -> None:
    """Noise of 6 % settles nothing in ten pairs of forty, and is inconclusive where ten are all there may be."""
    pairs = made(0.06, 10, seed=3)["work01"]
    assert ending(pairs, RULE).verdict == OPEN
    assert ending(pairs, Rule(0.03, 10, 10)).verdict == "INCONCLUSIVE"


def test_an_interrupted_file_keeps_its_complete_suites(tmp_path: Path) -> None:
    """A line that was cut off is no suite, and the next one takes its place."""
    path = tmp_path / "new" / "suites.jsonl"
    one = RecordedSuite(True, {"date": "2026-11-22", "packages": "none"}, 9.0, made(0.01, 10))
    append(path, one)
    with path.open("a", encoding="utf-8") as file:
        file.write(one.line()[:50])
    assert len(read(path)) == 1
    append(path, one)
    first, second = read(path)
    assert first == second
    assert (first.pairs, first.loaded, sorted(first.suite)) == (10, True, list(NAMES))
    append(path, RecordedSuite(True, one.facts, 9.0, made(0.01, 12)))
    with pytest.raises(ValueError, match="must have the same benchmarks and number of pairs"):
        read(path)
    path.write_text("{}\n")
    with pytest.raises(
        ValueError, match=r"line 1 of suites.jsonl must be a recorded suite: KeyError\('suite'\)"
    ):
        read(path)


def test_suites_are_recorded_and_decided_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both commands, really: every pair of every benchmark is kept, no suite too many, and the page counts them."""
    monkeypatch.chdir(tmp_path)
    assert main(["--record", "1", "--pairs", "10", "--benchmarks", "2", "--idle"]) == 0
    (suite,) = read(FILE)
    assert (suite.pairs, sorted(suite.suite), suite.loaded) == (10, ["work00", "work01"], False)
    assert sum(each.control_label != 0 for each in suite.suite["work00"]) == 5
    assert record(FILE, 1, 10, 2, loaded=False, minutes=1.0) == 1
    assert main(["--relabellings", "3"]) == 0
    found = json.loads(RESULT.read_text(encoding="utf-8"))
    assert [each["relabelled"]["suites"] for each in found["rules"][0]["suites"]] == [3]
    page = calibration_page.page(RESULT.parent)
    assert "### Nothing changed: a suite calls a regression" in page
    assert "1 suite of 2 benchmarks and 10 pairs, idle" in page
    assert str(tmp_path) not in FILE.read_text(encoding="utf-8") + page
    assert "labels drawn again" in capsys.readouterr().out


def test_clusters_are_resampled_whole() -> None:
    """The interval of one cluster in two spans none and all of its hits; agreeing clusters leave no width."""
    found = clustered([2, 0], [10, 10])
    assert (found.value, found.low, found.high, found.clusters) == (0.1, 0.0, 0.2, 2)
    assert clustered([0, 0, 0], [5, 5, 5]).high == 0.0
    with pytest.raises(ValueError, match="every cluster needs cases"):
        clustered([], [])


def test_bad_arguments_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fewer pairs than a verdict needs, and a file without suites, are usage errors."""
    with pytest.raises(SystemExit):
        main(["--record", "1", "--pairs", "9"])
    assert "--pairs must be at least 10" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--from", str(tmp_path / "none.jsonl")])
    assert "none.jsonl must hold recorded suites, found none" in capsys.readouterr().err
