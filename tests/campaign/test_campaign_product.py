"""Ratios along a chain, claims over the campaign, and product against direct measurement."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from campaign_project import Project, decided

from pytest_optbench.campaign.ledger import Attempt
from pytest_optbench.campaign.product import Account, account, stage

HALF, AGAIN, SLOWER, WHOLE = (
    f"test_work.py::{name}" for name in ("test_half", "test_half_again", "test_slower", "test_whole")
)
CHAIN = '1 a test_half expected = "74.97%"\n2 b test_half_again expected = "98.76%"; builds_on = "a"'


def result(project: Project, candidates: str, *attempts: Attempt, together: bool = True) -> Account:
    project.write(candidates, head=f'together = "{WHOLE}"' if together else "")
    return account(project.read(), attempts)


def test_percentages_multiply_and_never_reach_a_hundred(project: Project) -> None:
    """74.97 % and then 98.76 % saved are 99.6896 % saved, 322.19 times faster; the forecast composes alike."""
    first, second = 1 / (1 - 0.7497), 1 / (1 - 0.9876)
    found = result(project, CHAIN, decided(1, "a", HALF, first), decided(2, "b", AGAIN, second))
    (chain,) = found.chains
    assert chain.ids == ("a", "b")
    assert chain.total.time_saved == pytest.approx(0.99689628, abs=1e-8)
    assert chain.total.ratio == pytest.approx(322.19, abs=0.01)
    assert chain.total.time_saved < 1.0
    assert chain.expected is not None
    assert chain.expected.ratio == pytest.approx(322.19, abs=0.01)


def test_one_stage_has_the_interval_of_its_decision(project: Project) -> None:
    """Composing a single stage gives back what was decided on."""
    found = result(project, "1 a test_half", decided(1, "a", HALF, 2.0, spread=0.03))
    (chain,) = found.chains
    assert chain.total.ratio_low == pytest.approx(2.0 * math.exp(-0.03))
    assert chain.total.ratio_high == pytest.approx(2.0 * math.exp(0.03))


def test_two_equal_stages_widen_by_less_than_their_sum(project: Project) -> None:
    """Variances add: 16 degrees of freedom, t 2.1199 against 2.3060, and the root of two."""
    found = result(project, CHAIN, decided(1, "a", HALF, 2.0), decided(2, "b", AGAIN, 2.0))
    total = found.chains[0].total
    assert math.log(total.ratio_high / total.ratio) == pytest.approx(
        0.01 * 2**0.5 * 2.1199 / 2.3060, rel=1e-4
    )


def test_candidates_that_build_on_nothing_are_not_multiplied(project: Project) -> None:
    """Each begins a chain of its own."""
    found = result(
        project, "1 a test_half\n2 b test_half_again", decided(1, "a", HALF, 2.0), decided(2, "b", AGAIN, 2.0)
    )
    assert [chain.ids for chain in found.chains] == [("a",), ("b",)]


def test_two_ways_to_go_on_are_two_chains(project: Project) -> None:
    """Candidates on the same base share it and are not multiplied with each other."""
    found = result(
        project,
        '1 a test_half\n2 b test_half_again builds_on = "a"\n3 c test_slower builds_on = "a"',
        decided(1, "a", HALF, 2.0), decided(2, "b", AGAIN, 3.0), decided(3, "c", SLOWER, 5.0),
    )  # fmt: skip
    assert [(chain.ids, round(chain.total.ratio, 6)) for chain in found.chains] == [
        (("a", "b"), 6.0),
        (("a", "c"), 10.0),
    ]


def test_product_and_direct_measurement_agree(project: Project) -> None:
    """Within their intervals they agree; the difference is shown as a ratio."""
    attempts = [decided(1, "a", HALF, 2.0), decided(2, "b", AGAIN, 2.0)]
    whole = decided(3, "together", WHOLE, 4.02, accepted=["a", "b"])
    found = result(project, CHAIN, *attempts, whole).together
    assert found is not None
    assert found.disagrees is False
    assert found.difference is not None
    assert found.difference.ratio == pytest.approx(1.005)


def test_product_and_direct_measurement_disagree(project: Project) -> None:
    """A direct measurement outside of what chance explains disagrees."""
    attempts = [decided(1, "a", HALF, 2.0), decided(2, "b", AGAIN, 2.0)]
    whole = decided(3, "together", WHOLE, 3.0, accepted=["a", "b"])
    found = result(project, CHAIN, *attempts, whole).together
    assert found is not None
    assert found.disagrees is True


def test_a_small_difference_is_told_apart_from_a_disagreement(project: Project) -> None:
    """Four per cent beyond chance differ; they disagree only under a smaller tolerance than the usual 5 %."""
    attempts = [decided(1, "a", HALF, 2.0), decided(2, "b", AGAIN, 2.0)]
    whole = decided(3, "together", WHOLE, 4.16, accepted=["a", "b"])
    found = result(project, CHAIN, *attempts, whole).together
    assert found is not None
    assert (found.differs, found.disagrees) == (True, False)
    project.write(CHAIN, head=f'together = "{WHOLE}"\ntolerance = "1%"')
    strict = account(project.read(), [*attempts, whole]).together
    assert strict is not None
    assert strict.disagrees is True


def test_chance_is_judged_on_both_intervals(project: Project) -> None:
    """The same difference is no disagreement when the direct measurement is a wide one."""
    attempts = [decided(1, "a", HALF, 2.0), decided(2, "b", AGAIN, 2.0)]
    whole = decided(3, "together", WHOLE, 3.0, spread=0.5, accepted=["a", "b"])
    found = result(project, CHAIN, *attempts, whole).together
    assert found is not None
    assert found.disagrees is False


def test_a_set_that_is_no_chain_is_not_compared(project: Project) -> None:
    """Without one chain over the accepted set there is no product to compare with."""
    attempts = [decided(1, "a", HALF, 2.0), decided(2, "b", AGAIN, 2.0)]
    whole = decided(3, "together", WHOLE, 4.0, accepted=["a", "b"])
    found = result(project, "1 a test_half\n2 b test_half_again", *attempts, whole).together
    assert found is not None
    assert found.direct is not None
    assert (found.chain, found.disagrees) == (None, None)


def test_a_set_measured_before_it_changed_does_not_count(project: Project) -> None:
    """Only the measurement of exactly the accepted set stands beside the product."""
    attempts = [decided(1, "a", HALF, 2.0), decided(2, "b", AGAIN, 2.0)]
    assert (
        result(project, CHAIN, *attempts, decided(3, "together", WHOLE, 2.0, accepted=["a"])).together is None
    )


def test_every_measured_gain_is_a_claim(project: Project) -> None:
    """Holm counts what was rejected too: p 0.02 stands alone and falls among three (limit 0.025)."""
    three = "1 a test_half\n2 b test_half_again\n3 c test_slower"
    alone = result(project, three, decided(1, "a", HALF, 1.2, p=0.02))
    assert alone.claims["a"].stands
    found = result(
        project, three, decided(1, "a", HALF, 1.2, p=0.02),
        decided(2, "b", AGAIN, 2.0, p=0.001), decided(3, "c", SLOWER, 0.5, "REJECT", ["slower"], p=1.0),
    )  # fmt: skip
    assert found.claims["a"].p_adjusted == pytest.approx(0.04)
    assert found.claims["b"].p_adjusted == pytest.approx(0.003)
    assert found.fallen == ("a",)
    assert [chain.ids for chain in found.chains] == [("b",)]


def test_a_candidate_taken_out_of_the_file_stays_in_the_family(project: Project) -> None:
    """Deleting what was not accepted makes no claim easier: p 0.02 falls among two, though one is left."""
    attempts = decided(1, "a", HALF, 1.2, p=0.02), decided(2, "b", SLOWER, 0.5, "REJECT", ["slower"], p=1.0)
    assert result(project, "1 a test_half\n2 b test_slower", *attempts).fallen == ("a",)
    found = result(project, "1 a test_half", *attempts)
    assert found.claims["a"].p_adjusted == pytest.approx(0.04)
    assert found.fallen == ("a",)


def test_what_builds_on_a_fallen_claim_is_not_multiplied(project: Project) -> None:
    """A chain stands only on claims that stand."""
    found = result(project, CHAIN, decided(1, "a", HALF, 1.2, p=0.02), decided(2, "b", AGAIN, 2.0, p=0.02))
    assert found.fallen == ("a", "b")
    found = result(project, CHAIN, decided(1, "a", HALF, 1.2, p=0.026), decided(2, "b", AGAIN, 2.0, p=1e-6))
    assert (found.fallen, found.chains) == (("a",), ())


def test_no_regression_needs_no_correction(project: Project) -> None:
    """It claims no gain, so it is no member of the family, and its ratio still multiplies."""
    found = result(
        project, CHAIN,
        decided(1, "a", HALF, 0.99, p=0.02, goal="no-regression"), decided(2, "b", AGAIN, 2.0, p=0.02),
    )  # fmt: skip
    assert found.claims["a"].p_adjusted is None
    assert found.claims["b"].p_adjusted == pytest.approx(0.02)
    assert found.fallen == ()
    assert found.chains[0].total.ratio == pytest.approx(1.98)


def test_a_claim_without_p_is_no_claim(project: Project) -> None:
    """A missing p is no evidence."""
    assert result(project, "1 a test_half", decided(1, "a", HALF, 2.0, p=None)).fallen == ("a",)


def test_a_decision_without_interval_is_no_stage() -> None:
    """Nothing was measured, so there is nothing to multiply."""
    attempt = decided(1, "a", HALF, 2.0)
    assert attempt.decision is not None
    bare = replace(attempt, decision={**attempt.decision, "ratio": {"estimate": None}})
    assert bare.decision is not None
    assert stage(bare.decision) is None
