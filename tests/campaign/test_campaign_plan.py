"""What is measured next, and what became of each candidate: computed from file and attempts alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from campaign_project import Project, decided

from pytest_optbench.campaign.ledger import Attempt
from pytest_optbench.campaign.plan import Done, Measure, next_step, rules, standings
from pytest_optbench.campaign.read import Campaign

WORK = "test_work.py::"
THREE = (
    '1 a test_half expected = "50%"\n- a2 test_several[1]\n'
    '2 b test_half_again expected = "20%"; builds_on = "a"\n3 c test_slower expected = "4%"'
)
HALF, AGAIN, SLOWER, WHOLE = (
    f"{WORK}{name}" for name in ("test_half", "test_half_again", "test_slower", "test_whole")
)
ALTERNATIVE = f"{WORK}test_several[1]"


def rejected(number: int, identity: str, test: str) -> Attempt:
    return decided(number, identity, test, 0.5, "REJECT", ["slower"], p=1.0)


def inconclusive(number: int, identity: str, test: str, *reasons: str) -> Attempt:
    return decided(number, identity, test, 1.02, "INCONCLUSIVE", reasons, p=0.3)


def states(campaign: Campaign, *attempts: Attempt) -> list[str]:
    return [each.state.value for each in standings(campaign, attempts)]


def step(campaign: Campaign, *attempts: Attempt, tried: tuple[str, ...] = ()) -> str:
    """Return the id to be measured next, or the message that ends the campaign."""
    found = next_step(campaign, attempts, tried)
    return found.id if isinstance(found, Measure) else found.message


@pytest.fixture
def campaign(project: Project) -> Campaign:
    project.write(THREE)
    return project.read()


def test_candidates_come_by_rank(campaign: Campaign) -> None:
    """The next is the first by rank that is not decided."""
    assert step(campaign) == "a"
    first = decided(1, "a", HALF, 2.0)
    assert step(campaign, first) == "b"
    second = decided(2, "b", AGAIN, 2.0)
    assert step(campaign, first, second) == "c"
    assert step(campaign, first, second, rejected(3, "c", SLOWER)) == "every candidate is decided"
    assert states(campaign, first, second, rejected(3, "c", SLOWER)) == ["accepted", "accepted", "rejected"]


def test_an_alternative_follows_a_rejection(campaign: Campaign) -> None:
    """A rejected candidate gives its turn to its alternative; accepted by it, it counts as accepted."""
    assert step(campaign, rejected(1, "a", HALF)) == "a2"
    found = standings(campaign, [rejected(1, "a", HALF), decided(2, "a2", ALTERNATIVE, 1.5)])[0]
    assert found.state.value == "accepted"
    assert found.accepted is not None
    assert found.accepted.variant.id == "a2"


def test_an_alternative_is_not_needed_after_an_acceptance(campaign: Campaign) -> None:
    """What was accepted needs no alternative."""
    variants = standings(campaign, [decided(1, "a", HALF, 2.0)])[0].variants
    assert [each.state.value for each in variants] == ["accepted", "not needed"]


def test_only_what_the_pairs_left_open_calls_for_an_alternative(campaign: Campaign) -> None:
    """A futile candidate gives way to its alternative; one that noise left open does not."""
    assert step(campaign, inconclusive(1, "a", HALF, "futile")) == "a2"
    late = inconclusive(1, "a", HALF, "time-limit")
    assert states(campaign, late)[0] == "inconclusive"
    assert step(campaign, late) == "c"


def test_what_noise_left_open_is_repeated(campaign: Campaign) -> None:
    """A noisy machine is given one more chance, as the file says; then the candidate is inconclusive."""
    noisy = [inconclusive(n, "a", HALF, "noisy-control") for n in (1, 2)]
    assert step(campaign, noisy[0]) == "a"
    assert states(campaign, *noisy)[0] == "inconclusive"
    assert step(campaign, *noisy) == "c"
    assert step(replace(campaign, retries=0), noisy[0]) == "c"
    assert step(replace(campaign, retries=2), *noisy) == "a"
    assert step(campaign, noisy[0], decided(2, "a", HALF, 2.0)) == "b"


def test_noise_over_the_whole_set_is_repeated(project: Project) -> None:
    """The set measured together is given the same chance."""
    project.write("1 a test_half", head=f'together = "{WHOLE}"')
    noisy = [
        decided(n, "together", WHOLE, 2.0, "INCONCLUSIVE", ["noisy-control"], accepted=["a"]) for n in (2, 3)
    ]
    first = decided(1, "a", HALF, 2.0)
    assert step(project.read(), first, noisy[0]) == "together"
    assert step(project.read(), first, *noisy) == "every candidate is decided"


def test_what_builds_on_a_rejected_candidate_is_blocked(campaign: Campaign) -> None:
    """It would be compared with a version nobody uses, so it is not measured."""
    attempts = [rejected(1, "a", HALF), rejected(2, "a2", ALTERNATIVE)]
    assert states(campaign, *attempts) == ["rejected", "blocked", "not tried"]
    assert step(campaign, *attempts) == "c"


def test_an_accepted_alternative_is_another_baseline(campaign: Campaign) -> None:
    """What builds on the candidate itself is blocked when only its alternative was accepted."""
    attempts = [rejected(1, "a", HALF), decided(2, "a2", ALTERNATIVE, 1.5)]
    assert states(campaign, *attempts)[:2] == ["accepted", "blocked"]


def test_an_interrupted_attempt_decides_nothing(campaign: Campaign) -> None:
    """A candidate whose measuring was interrupted is measured again."""
    assert step(campaign, Attempt(1, "a", HALF, (), "2026-01-01T00:00:00Z")) == "a"


def test_an_interrupted_attempt_undoes_nothing(campaign: Campaign) -> None:
    """A decision stays when a later attempt on the same test was interrupted."""
    attempts = [decided(1, "a", HALF, 2.0), Attempt(2, "a", HALF, (), "2026-01-01T00:00:00Z")]
    assert states(campaign, *attempts)[0] == "accepted"


def test_a_failed_attempt_is_left_to_the_next_run(campaign: Campaign) -> None:
    """In the run that failed it is passed over with all that builds on it; the next run tries again."""
    failed = Attempt(1, "a", HALF, (), "2026-01-01T00:00:00Z", outcome="failed", message="no decision")
    assert states(campaign, failed) == ["failed", "waiting", "not tried"]
    assert step(campaign, failed) == "a"
    assert step(campaign, failed, tried=("a",)) == "c"
    done = next_step(campaign, [failed, rejected(2, "c", SLOWER)], ("a",))
    assert done == Done("could not be measured: a, b; the next run tries again", False)


def test_another_test_under_the_same_id_is_another_question(campaign: Campaign) -> None:
    """A decision counts for the test it was made on."""
    assert step(campaign, decided(1, "a", SLOWER, 2.0)) == "a"


def test_measuring_again_sets_aside_what_was_decided(campaign: Campaign) -> None:
    """An attempt that no longer counts decides nothing."""
    assert step(campaign, replace(decided(1, "a", HALF, 2.0), counts=False)) == "a"


def test_diminishing_returns_stop(project: Project) -> None:
    """Measuring stops when the best forecast left is below the rule's, and goes on while one is not."""
    project.write(THREE, 'expected_below = "5%"')
    first, second = decided(1, "a", HALF, 2.0), decided(2, "b", AGAIN, 1.5)
    assert step(project.read(), first) == "b"
    assert step(project.read(), first, second) == (
        "stopped: the best gain expected of those left is 4.00 %, below 5.00 % (diminishing returns)"
    )


def test_an_unknown_forecast_never_stops(project: Project) -> None:
    """Diminishing returns are stated, not guessed: a candidate without a forecast is measured."""
    project.write('1 a test_half expected = "1%"\n2 b test_half_again', 'expected_below = "5%"')
    assert step(project.read()) == "a"


def test_rejections_in_a_row_stop(project: Project) -> None:
    """An acceptance between two rejections begins the row anew."""
    project.write(
        "1 a test_half\n2 b test_half_again\n3 c test_slower\n4 d test_whole", "rejections_in_a_row = 2"
    )
    row = [rejected(1, "a", HALF), rejected(2, "b", AGAIN)]
    assert step(project.read(), *row) == ("stopped: 2 candidates were rejected in a row, the rule allows 2")
    assert step(project.read(), row[0], decided(2, "b", AGAIN, 2.0), rejected(3, "c", SLOWER)) == "d"


def test_the_time_budget_stops(project: Project) -> None:
    """The seconds of all attempts count, those that no longer settle anything too."""
    project.write("1 a test_half\n2 b test_half_again", "time_budget = 2")
    spent = [replace(decided(1, "a", HALF, 2.0), counts=False, seconds=1.5)]
    assert step(project.read(), *spent) == "a"
    spent.append(decided(2, "a", HALF, 2.0))
    assert step(project.read(), *spent) == ("stopped: the attempts took 2 s, the time budget is 2 s")


def test_a_rule_that_holds_at_the_end_stops_nothing(project: Project) -> None:
    """When every candidate is decided the campaign is done, whatever the rules say."""
    project.write("1 a test_half", "rejections_in_a_row = 1")
    assert step(project.read(), rejected(1, "a", HALF)) == "every candidate is decided"


def test_the_accepted_set_is_measured_last(project: Project) -> None:
    """It is measured when nothing else is left, also after a stop, and again when the set has changed."""
    project.write("1 a test_half\n2 b test_half_again", head=f'together = "{WHOLE}"')
    campaign = project.read()
    first = decided(1, "a", HALF, 2.0)
    found = next_step(campaign, [first, rejected(2, "b", AGAIN)])
    assert found == Measure("together", "The accepted set together", WHOLE, ("a",))
    whole = decided(3, "together", WHOLE, 2.0, accepted=["a"])
    assert step(campaign, first, rejected(2, "b", AGAIN), whole) == "every candidate is decided"
    again = next_step(campaign, [first, decided(2, "b", AGAIN, 2.0), whole])
    assert isinstance(again, Measure)
    assert again.accepted == ("a", "b")


def test_nothing_accepted_is_nothing_to_measure_together(project: Project) -> None:
    """Without an accepted candidate there is no set."""
    project.write("1 a test_half", head=f'together = "{WHOLE}"')
    assert step(project.read(), rejected(1, "a", HALF)) == "every candidate is decided"


def test_rules_are_said_in_words(project: Project) -> None:
    """Each rule of the file is one sentence."""
    project.write("1 a test_half", 'expected_below = "3%"\nrejections_in_a_row = 2\ntime_budget = 60')
    assert rules(project.read().stop) == [
        "stop when the best gain expected of the candidates left is below 3.00 % of the time",
        "stop after 2 rejected candidates in a row",
        "start no further measurement after 60 s of measuring in all",
    ]
