"""What ten pairs can prove: computed with the shipped rule, written between the page's markers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.statistics.ten_pairs import SPEEDUP, Study, filled, main
from pytest_optbench.core import Goal, Verdict

PAGE = Path(__file__).parents[2] / "docs" / "ten-pairs.md"


@pytest.fixture(scope="module")
def study() -> Study:
    """Return a study of few sessions."""
    return Study(400, 3)


def test_the_three_verdicts_are_all_there_is(study: Study) -> None:
    """The chances of ACCEPT, REJECT and INCONCLUSIVE add up to one, whatever the true effect."""
    for gain in (0.0, 0.05, 0.08):
        outcome = study.outcome(0.05, 40, gain, SPEEDUP)
        assert sum(outcome.rate(v) for v in (Verdict.ACCEPT, Verdict.REJECT, Verdict.INCONCLUSIVE)) == 1.0
        assert outcome.rate(Verdict.ACCEPT) == outcome.accept_rate


def test_more_pairs_and_less_noise_show_smaller_gains(study: Study) -> None:
    """The smallest gain shown falls with the pairs, rises with the noise and lies beyond the threshold."""
    by_pairs = [study.smallest(0.02, last, SPEEDUP) for last in (10, 40)]
    by_noise = [study.smallest(noise, 10, SPEEDUP) for noise in (0.005, 0.02, 0.1)]
    assert 0.05 < by_pairs[1] < by_pairs[0]
    assert 0.05 < by_noise[0] < by_noise[1] < by_noise[2]


def test_the_smallest_gain_is_the_one_accepted_in_four_of_five(study: Study) -> None:
    """At the gain found the rule accepts 80 % of the same sessions, slightly below it fewer."""
    gain = study.smallest(0.02, 40, SPEEDUP)
    assert study.outcome(0.02, 40, gain + 1e-3, SPEEDUP).accept_rate >= 0.8
    assert study.outcome(0.02, 40, gain - 1e-3, SPEEDUP).accept_rate < 0.8


def test_a_slowdown_beyond_the_margin_is_refuted(study: Study) -> None:
    """Under the goal no-regression nothing changed passes and a slowdown of three margins does not."""
    goal = Goal("no-regression", 0.05)
    assert study.outcome(0.01, 40, 0.0, goal).rate(Verdict.ACCEPT) > 0.95
    assert study.outcome(0.01, 40, -0.15, goal).rate(Verdict.REJECT) > 0.95


def test_the_command_fills_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tables and plots are written, prose stays, and a second run writes the same bytes."""
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    pictures = []
    for _ in range(2):
        assert main(["--sessions", "100", "--page", str(page)]) == 0
        pictures.append({path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()})
    assert pictures[0] == pictures[1]
    assert set(pictures[0]) == {"ten-pairs-accepted.svg", "ten-pairs-smallest.svg"}
    new, old = page.read_text(encoding="utf-8"), PAGE.read_text(encoding="utf-8")
    assert "--sessions 100 --seed 1" in new
    assert re.sub(r"\|.*\n", "", new.split("## In short")[1]) == re.sub(
        r"\|.*\n", "", old.split("## In short")[1]
    )
    assert all(name in new for name in pictures[0])
    assert "| 10 % |" in capsys.readouterr().out


def test_a_page_without_a_place_is_refused() -> None:
    """A table that has no markers in the page is an error that names them."""
    with pytest.raises(ValueError, match="simulated verdicts: begin"):
        filled("no markers", {"verdicts": "| a |"})


def test_too_few_sessions_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Below a hundred sessions the shares mean nothing."""
    with pytest.raises(SystemExit):
        main(["--sessions", "10"])
    assert "--sessions must be at least 100, received 10" in capsys.readouterr().err
