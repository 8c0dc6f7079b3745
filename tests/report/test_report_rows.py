"""Rows say what the document says, for decisions that measured nothing too."""

from __future__ import annotations

import math
from typing import Any

import pytest
import samples

from pytest_optbench.core.verdicts import Reason
from pytest_optbench.report import family, figures, provenance, resources, rows, units
from pytest_optbench.report.reasons import REASONS, explain


def test_every_reason_of_the_decision_has_a_sentence() -> None:
    """A code the decision can give is explained; an unknown one says so instead of failing."""
    assert {reason.value for reason in Reason} <= set(REASONS)
    assert all(sentence.endswith(".") for sentence in REASONS.values())
    assert explain("futile").startswith("More pairs would hardly help")
    assert explain("of-the-future") == "No description of this code is known to this version."


@pytest.mark.parametrize(
    ("goal", "margin", "text"),
    [
        ("speedup", 1 / 0.95, "at least 5.00 % time saved = 1.053x"),
        ("no-regression", 1 / 1.05, "at most 5.00 % more time = 0.9524x"),
    ],
)
def test_the_question_is_stated_both_ways(goal: str, margin: float, text: str) -> None:
    """What had to be shown is stated as time and as ratio, for either goal."""
    assert figures.target(samples.decision(goal=goal, margin=margin)) == text


def test_the_facts_of_a_decision() -> None:
    """The short table holds verdict, question, gain, interval, pairs, noise and attempt."""
    facts = dict(rows.facts(samples.inconclusive()))
    assert facts == {
        "Verdict": "INCONCLUSIVE",
        "Question": "at least 5.00 % time saved = 1.053x",
        "Time saved": "5.94 % = 1.063x",
        "95 % confidence interval": "4.71 % to 7.16 % = 1.049x to 1.077x",
        "Pairs of trials": "20, stopped at look 3 of 5",
        "Noise floor of the machine": "±0.48 %",
        "Attempt": "2",
    }
    nothing = dict(rows.facts(samples.not_equivalent()))
    assert nothing["Time saved"] == nothing["95 % confidence interval"] == "n/a"
    assert nothing["Pairs of trials"] == "0"


def test_the_statistics_of_the_arms() -> None:
    """Both arms are described in seconds per call, CPU time beside wall time."""
    table = {row[0]: row[1:] for row in rows.arms(samples.decision())}
    assert table["Mean"] == ("14.69 s", "3.686 s")
    assert table["CPU time, mean"] == ("14.40 s", "3.575 s")
    assert table["Trials"] == ("10", "10")
    assert rows.arms(samples.not_equivalent())[0] == ("Mean", "n/a", "n/a")


def test_validation_shows_every_test() -> None:
    """Estimate, margin, zero, classic t, Welch, distribution-free and total time each have a row."""
    table = rows.validation(samples.decision())
    assert [row[0].split(",")[0].split(":")[0] for row in table] == [
        "Estimate", "Margin", "Any difference (against 0 %)", "Classic paired t test",
        "Welch t test (unpaired)", "Distribution-free", "Total time of all trials",
    ]  # fmt: skip
    assert table[1][4] == "<1e-6 (limit 0.00876)"
    assert table[4][3].endswith("df = 17.8")
    assert all(cell in ("", "n/a") for row in rows.validation(samples.not_equivalent()) for cell in row[1:])


def test_looks_say_where_it_stopped() -> None:
    """Each look shows its level, interval and limit; the last one stopped."""
    table = rows.looks(samples.inconclusive())
    assert [row[0] for row in table] == ["10", "15", "20"]
    assert [row[-1] for row in table] == ["continued", "continued", "stopped"]
    assert table[0][1] == "98.25 %"
    assert table[0][5] == "0.00876"


def test_the_trials_are_numbered_from_one_and_outliers_named() -> None:
    """Every pair has a row; one weighted far down is called an outlier."""
    table = rows.pairs(samples.inconclusive())
    assert [row[0] for row in table] == [str(number) for number in range(1, 21)]
    assert table[0][1] == "baseline"
    assert table[1][1] == "optimized"
    assert table[6][5] == "0.03 (outlier)"
    assert table[7][5] == "1"
    doc = samples.decision()
    for pair in doc["pairs"]:
        pair["index"] += 1
    assert [row[0] for row in rows.pairs(doc)] == [str(number) for number in range(1, 11)]


def test_the_ratio_of_a_pair_is_the_one_the_estimate_sees() -> None:
    """The log ratio over micro-pairs counts, else the ratio of the times; above 1 is faster."""
    pair: dict[str, Any] = {"baseline_s": 2.0, "optimized_s": 1.0, "log_ratio": math.log(1 / 4)}
    assert figures.pair_ratio(pair) == pytest.approx(4.0)
    assert figures.pair_ratio(pair | {"log_ratio": None}) == 2.0
    assert figures.pair_ratio(pair | {"log_ratio": 1e9}) == 2.0
    assert figures.pair_ratio(pair | {"log_ratio": None, "optimized_s": None}) is None
    assert figures.pair_ratio(pair | {"log_ratio": None, "optimized_s": 0.0}) is None


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        (0.749, "The interval contains the expectation."),
        (0.5, "The whole interval lies outside the expectation: it saves more than expected."),
        (0.9, "The whole interval lies outside the expectation: it saves less than expected."),
        (None, "No expectation was stated."),
    ],
)
def test_expected_against_actual(expected: float | None, words: str) -> None:
    """The expectation is held against the interval, not the estimate."""
    assert rows.expectation(samples.decision(expected=expected))[1] == words


def test_an_expectation_without_trials() -> None:
    """An unmeasured decision keeps its expectation and says that nothing was measured."""
    table, words = rows.expectation(samples.not_equivalent())
    assert table == [("Expected", "30.00 % = 1.429x"), ("Actual", "n/a")]
    assert words == "Nothing was measured to hold against it."


METRICS = {
    "memory": {"unit": "B", "better": "lower", "margin": 0.2, "exact": True, "baseline": 10 * 2**20,
               "optimized": 25 * 2**20, "ratio": 0.4, "verdict": "worse", "message": None},
    "rows": {"unit": None, "better": "same", "margin": 0.05, "exact": True, "baseline": 5, "optimized": 5, "ratio": 1,
             "verdict": "within"},
    "rate": {"unit": "1/s", "better": "higher", "margin": 0.05, "exact": False, "baseline": 2.0, "optimized": 1.9,
             "ratio": 1 / 0.95, "ci_low": 1 / 0.97, "ci_high": 1 / 0.93, "verdict": "open", "message": "it straddles"},
    "drift": {"better": "same", "margin": 0.1, "exact": False, "baseline": 0, "optimized": None, "ratio": None},
}  # fmt: skip


def test_memory_metrics_and_overhead() -> None:
    """Memory is compared, metrics keep their units, overhead shows shares of the total."""
    doc = samples.decision()
    assert resources.memory(doc)[0] == ("Peak", "800.00 MiB", "806.00 MiB", "100.75 %")
    assert resources.memory(samples.not_equivalent()) == []
    assert resources.metrics(doc)[1] == ("rows", "2791.2 rows/s", "11152.6 rows/s", "+300.00 %", "any", "n/a")
    assert resources.metrics(samples.decision(metrics=METRICS)) == [
        ("memory", "10.00 MiB", "25.00 MiB", "+150.00 %", "at most +20 %", "exceeded"),
        ("rows", "5", "5", "+0.00 %", "not at all", "kept"),
        ("rate", "2 1/s", "1.9 1/s", "-5.00 % [-7.00 %, -3.00 %]", "at most -5 %", "open: it straddles"),
        ("drift", "0", "n/a", "n/a", "at most ±10 %", "n/a"),
    ]
    assert resources.metrics(samples.decision(metrics={"n": 7})) == [("n", "", "7", "", "", "")]
    assert provenance.overhead(doc)[3] == ("Timed", "183.6 s", "77.9 %")
    assert provenance.overhead(samples.decision(overhead={"timed_s": 1.0, "control_s": None})) == [
        ("Timed", "1.000 s", "n/a")
    ]
    assert provenance.overhead(samples.decision(overhead=None)) == []


def test_settings_are_compact_and_bounded() -> None:
    """Lists are shown on one line, the plan as signs, long values cut."""
    table = dict(
        provenance.settings({"plan": [1, -1, 1], "looks": [10, 15], "x": "y" * 500, "n": None, "ü": ["é"]})
    )
    assert table["plan"] == "+-+"
    assert table["looks"] == "[10, 15]"
    assert len(table["x"]) == units.LONGEST_VALUE
    assert table["n"] == "n/a"
    assert table["ü"] == '["é"]'
    assert provenance.settings(None) == []
    assert dict(provenance.settings({"plan": "random"})) == {"plan": "random"}


def test_code_and_equivalence() -> None:
    """Each arm names its file and line; a message about different results is shown."""
    assert provenance.code(samples.decision())[1][2] == "benchmarks/test_01_persistent_pool.py:52"
    assert provenance.code(samples.not_equivalent())[0] == ("baseline", "parse", "n/a", "n/a")
    assert rows.equivalence(samples.not_equivalent())[-1] == (
        "Message", "item 3 of the result differs: 1.0 against 2.0",
    )  # fmt: skip


def test_earlier_decisions_are_listed() -> None:
    """An earlier decision shows its verdict, reasons and interval."""
    (row,) = provenance.earlier(samples.inconclusive())
    assert row == (
        "1", "2026-11-20T09:00:00Z", "REJECT", "below-threshold", "0.99 % = 1.010x",
        "0.20 % to 1.77 % = 1.002x to 1.018x", "10",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "alone", "verdict"),
    [
        ({"p_adjusted": 0.025}, "ACCEPT", "ACCEPT"),
        ({"p_adjusted": 0.0251}, "ACCEPT", "INCONCLUSIVE"),
        ({"p_adjusted": 0.024, "confidence": 0.9924, "attempt": 2}, "ACCEPT", "ACCEPT"),
        ({"p_adjusted": None}, "ACCEPT", "n/a"),
        ({"p_adjusted": None, "goal": "no-regression"}, "ACCEPT", "ACCEPT"),
        ({"p_adjusted": 0.9, "verdict": "REJECT"}, "REJECT", "REJECT"),
        (
            {"p_adjusted": 0.04, "verdict": "INCONCLUSIVE", "reasons": ["multiplicity"]},
            "ACCEPT",
            "INCONCLUSIVE",
        ),
    ],
)
def test_the_verdict_over_the_suite(changes: dict[str, Any], alone: str, verdict: str) -> None:
    """An ACCEPT stands when its adjusted p is at most 0.025, at a repeated attempt too; without correction: n/a."""
    doc = samples.decision(**changes)
    assert (family.verdict_alone(doc), family.family_verdict(doc)) == (alone, verdict)


def test_counts() -> None:
    """Decisions are counted by verdict, those that do not occur left out."""
    docs = [samples.decision(), samples.decision(), samples.not_equivalent()]
    assert family.counts_text(docs) == "3 decisions: 2 ACCEPT, 1 REJECT"
    assert family.counts_text(docs[:1]) == "1 decision: 1 ACCEPT"
    assert family.counts_text([]) == "0 decisions"
