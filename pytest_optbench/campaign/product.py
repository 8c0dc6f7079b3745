"""The accepted optimizations taken together: ratios multiply along a chain, percentages are never added.

A chain is a sequence of accepted variants each of which names the one before it in ``builds_on``: only then
is its baseline the optimized arm of the stage before, and only then does the product of their ratios mean
anything. Variants that build on nothing begin chains of their own, which are not multiplied with each other.

A stage enters with the interval of its decision: the standard error is the one that gives this interval back,
so a chain of one stage has exactly the interval that was decided on, and sequential looking is paid for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_optbench.core.compose import Composition, Stage, compose
from pytest_optbench.core.distributions import normal_critical, t_critical
from pytest_optbench.core.multiplicity import holm

from .ledger import Attempt
from .plan import CandidateStanding, Standing, State, accepted_ids, standings, together
from .read import TOGETHER, Campaign

Decision = Mapping[str, Any]

COMPOSED_ALPHA = 0.05
"""Products and the comparison with the direct measurement have 95 % intervals."""


@dataclass(frozen=True)
class Claim:
    """A gain that was measured: its p over all looks and attempts, adjusted for the campaign, and whether it stands.

    ``p_adjusted`` is None for a claim of no regression, which needs no correction.
    """

    id: str
    accepted: bool
    p: float | None
    p_adjusted: float | None
    stands: bool


@dataclass(frozen=True)
class Chain:
    """Accepted variants, each building on the one before; ``products[i]`` is the product of the first i + 1."""

    standings: tuple[Standing, ...]
    products: tuple[Composition, ...]
    expected: Composition | None

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids along the chain."""
        return tuple(each.variant.id for each in self.standings)

    @property
    def total(self) -> Composition:
        """The product of all stages."""
        return self.products[-1]


@dataclass(frozen=True)
class Together:
    """The accepted set measured directly.

    ``chain`` is the product to compare with, None when the accepted set is not one chain. ``difference`` is
    direct ratio / product. ``tolerance`` is a fraction of the time: every stage ran in a process of its own,
    and what memory layout gives one process and not another, commonly a per cent or two, is in no interval.
    """

    attempt: Attempt
    direct: Composition | None
    chain: Chain | None
    difference: Composition | None
    tolerance: float

    @property
    def differs(self) -> bool | None:
        """Whether the interval of the difference leaves out 1; None when not comparable."""
        return None if self.difference is None else _beyond(self.difference, 0.0)

    @property
    def disagrees(self) -> bool | None:
        """Whether the difference is shown to be larger than the tolerance; None when not comparable."""
        return None if self.difference is None else _beyond(self.difference, self.tolerance)


@dataclass(frozen=True)
class Account:
    """All that the ledger's decisions amount to."""

    standings: tuple[CandidateStanding, ...]
    claims: Mapping[str, Claim]
    chains: tuple[Chain, ...]
    together: Together | None
    limit: float

    @property
    def fallen(self) -> tuple[str, ...]:
        """Ids accepted alone whose claim does not stand over the whole campaign."""
        return tuple(c.id for c in self.claims.values() if c.accepted and not c.stands)


def account(campaign: Campaign, attempts: Sequence[Attempt]) -> Account:
    """Return what the attempts amount to: claims after Holm, chains, and the set measured together."""
    found = standings(campaign, attempts)
    whole = together(campaign, attempts, accepted_ids(found)) if campaign.together else None
    limit = campaign.alpha / 2.0
    claims = _claims(found, whole, limit, _dropped(campaign, attempts))
    standing = [s for each in found if (s := each.accepted) is not None and claims[s.variant.id].stands]
    chains = tuple(_chain(path) for path in _paths(standing))
    direct = _together(whole, chains, accepted_ids(found), campaign.tolerance)
    return Account(found, claims, chains, direct, limit)


def stage(decision: Decision) -> Stage | None:
    """Return a decision as a stage of a chain; None when it has no interval."""
    ratio = decision["ratio"]
    low, high, estimate = ratio.get("ci_low"), ratio.get("ci_high"), ratio.get("estimate")
    if low is None or high is None or estimate is None:
        return None
    df = float(decision.get("df") or math.inf)
    tail = (1.0 - float(decision["confidence"])) / 2.0
    critical = float(t_critical(tail, df) if math.isfinite(df) else normal_critical(tail))
    return Stage(theta=-math.log(estimate), se=math.log(high / low) / (2.0 * critical), df=df)


def _beyond(difference: Composition, tolerance: float) -> bool:
    """Return whether the whole interval of a ratio lies farther from 1 than ``tolerance``, a time saved."""
    return difference.ratio_low > 1.0 / (1.0 - tolerance) or difference.ratio_high < 1.0 - tolerance


def _dropped(campaign: Campaign, attempts: Sequence[Attempt]) -> list[float | None]:
    """Return the p of every gain that was measured by a test the file no longer names, the last of each test."""
    named = {variant.test for variant in campaign.variants()} | {campaign.together}
    last = {each.test: each.decision for each in attempts if each.decision and each.test not in named}
    return [decision.get("p") for decision in last.values() if decision["goal"] == "speedup"]


def _claims(
    found: Sequence[CandidateStanding],
    whole: Attempt | None,
    limit: float,
    dropped: Sequence[float | None],
) -> dict[str, Claim]:
    """Return every measured gain. All of them are the family, not only the accepted ones, nor those still in
    the file (``dropped`` are the p of the others): a family chosen by its outcome would correct for nothing.
    """
    decisions: dict[str, Decision] = {
        s.variant.id: s.attempt.decision
        for each in found
        for s in each.variants
        if s.attempt is not None and s.attempt.decision is not None and s.state is not State.FAILED
    }
    if whole is not None and whole.decision is not None:
        decisions[TOGETHER] = whole.decision
    gains = [identity for identity, decision in decisions.items() if decision["goal"] == "speedup"]
    values = [*(decisions[identity].get("p") for identity in gains), *dropped]
    family = holm([1.0 if p is None else p for p in values]).tolist()
    adjusted = dict(zip(gains, family[: len(gains)], strict=True))
    claims = {}
    for identity, decision in decisions.items():
        accepted = decision["verdict"] == "ACCEPT"
        p = adjusted.get(identity)
        # Equal up to rounding is not above.
        stands = accepted and (p is None or p <= limit * (1.0 + 1e-9))
        claims[identity] = Claim(identity, accepted, decision.get("p"), p, stands)
    return claims


def _paths(accepted: Sequence[Standing]) -> Iterator[list[Standing]]:
    """Yield every way from a variant that builds on nothing to one that nothing accepted builds on."""
    by_id = {each.variant.id: each for each in accepted}
    based_on = {each.variant.builds_on for each in accepted}
    for leaf in accepted:
        if leaf.variant.id in based_on:
            continue
        path = [leaf]
        while (base := path[0].variant.builds_on) is not None and base in by_id:
            path.insert(0, by_id[base])
        if path[0].variant.builds_on is None:
            yield path


def _chain(path: Sequence[Standing]) -> Chain:
    stages = []
    for each in path:
        decision = each.attempt.decision if each.attempt else None
        found = stage(decision) if decision else None
        if found is None:  # accepted without an interval: no such decision is written
            raise ValueError(f"an accepted decision must have an interval, {each.variant.id!r} has none")
        stages.append(found)
    products = tuple(compose(stages[: n + 1], COMPOSED_ALPHA) for n in range(len(stages)))
    forecasts = [each.variant.expected for each in path]
    known = [Stage.from_time_saved(value) for value in forecasts if value is not None]
    expected = compose(known, COMPOSED_ALPHA) if len(known) == len(forecasts) else None
    return Chain(tuple(path), products, expected)


def _together(
    whole: Attempt | None, chains: Sequence[Chain], accepted: Sequence[str], tolerance: float
) -> Together | None:
    if whole is None or whole.outcome != "decided" or whole.decision is None:
        return None
    measured = stage(whole.decision)
    direct = compose([measured], COMPOSED_ALPHA) if measured else None
    chain = next((each for each in chains if set(each.ids) == set(accepted)), None)
    if chain is None or measured is None:
        return Together(whole, direct, chain, None, tolerance)
    product = chain.total
    against = Stage(-product.theta, product.se, product.df)
    return Together(whole, direct, chain, compose([measured, against], COMPOSED_ALPHA), tolerance)
