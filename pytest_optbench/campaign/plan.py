"""What the ledger says of each candidate, and what is to be measured next. Pure: no files, no clock.

An alternative is tried when what came before it was judged and not shown: rejected, or left open by the data
themselves (`NOT_SHOWN`). What a time limit or an error left open is no reason to try another. When the machine
differed from itself (`NOISE`) the same test is measured again, as often as the file says: such a decision could
not have been an ACCEPT, so repeating it spends no error. A variant whose baseline was not accepted is blocked:
it would be compared with a version nobody uses.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pytest_optbench.report.units import percent

from .ledger import Attempt
from .read import TOGETHER, Campaign, Candidate, StopRule, Variant

NOT_SHOWN: Final = frozenset({"futile", "not-demonstrated", "tail-risk"})
"""Reasons of an INCONCLUSIVE that the measured pairs themselves give."""


NOISE: Final = frozenset({"noisy-control"})
"""Reasons of an INCONCLUSIVE that say nothing of the candidate, only of the machine at that time."""


class State(StrEnum):
    """What became of a variant or a candidate so far."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    INCONCLUSIVE = "inconclusive"
    FAILED = "failed"
    BLOCKED = "blocked"
    WAITING = "waiting"
    OPEN = "not tried"
    NOT_NEEDED = "not needed"


LEFT: Final = frozenset({State.OPEN, State.WAITING, State.FAILED})
"""States of a candidate that is still to be decided."""


@dataclass(frozen=True)
class Standing:
    """A variant, what became of it, and the attempt that says so."""

    variant: Variant
    state: State
    attempt: Attempt | None


@dataclass(frozen=True)
class CandidateStanding:
    """A candidate, what became of it, and the standing of each of its variants."""

    candidate: Candidate
    state: State
    variants: tuple[Standing, ...]

    @property
    def accepted(self) -> Standing | None:
        """The variant that was accepted."""
        return next((each for each in self.variants if each.state is State.ACCEPTED), None)

    @property
    def next(self) -> Standing | None:
        """The variant that is to be measured next, when the candidate is still to be decided."""
        return next((each for each in self.variants if each.state in LEFT), None)


@dataclass(frozen=True)
class Measure:
    """Measure this test; ``accepted`` are the ids accepted so far when they are measured together."""

    id: str
    title: str
    test: str
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Done:
    """Nothing is left to be measured; ``message`` says why, ``stopped`` whether a rule of the file did it."""

    message: str
    stopped: bool


def standings(campaign: Campaign, attempts: Sequence[Attempt]) -> tuple[CandidateStanding, ...]:
    """Return the standing of every candidate, by rank."""
    settled: dict[str, State] = {}
    found = []
    for candidate in campaign.candidates:
        variants: list[Standing] = []
        for variant in candidate.variants:
            state = _after(variants[-1]) if variants else None
            standing = (
                Standing(variant, state, None) if state else _standing(campaign, variant, attempts, settled)
            )
            variants.append(standing)
        settled.update({each.variant.id: each.state for each in variants})
        state = _candidate_state([each.state for each in variants])
        found.append(CandidateStanding(candidate, state, tuple(variants)))
    return tuple(found)


def next_step(
    campaign: Campaign,
    attempts: Sequence[Attempt],
    tried: Collection[str] = (),
) -> Measure | Done:
    """Return what to measure next, or why nothing is.

    ``tried`` are the ids whose measuring failed in this run: they are left to the next one.
    """
    found = standings(campaign, attempts)
    left = [each for each in found if each.state in LEFT and not _failed_now(each, tried)]
    message = stopped(campaign.stop, found, left, sum(each.seconds for each in attempts)) if left else None
    for each in left if message is None else ():
        ready = each.next
        if ready is not None and ready.state is not State.WAITING:
            return Measure(ready.variant.id, ready.variant.title, ready.variant.test)
    accepted = accepted_ids(found)
    if campaign.together and accepted and TOGETHER not in tried:
        own = _of_set(campaign, attempts, accepted)
        whole = _latest(own)
        if whole is None or whole.outcome != "decided" or _to_repeat(campaign, own):
            return Measure(TOGETHER, "The accepted set together", campaign.together, accepted)
    if message is not None:
        return Done(f"stopped: {message}", True)
    undecided = [each.candidate.id for each in found if each.state in LEFT]
    if undecided:
        return Done(f"could not be measured: {', '.join(undecided)}; the next run tries again", False)
    return Done("every candidate is decided", False)


def accepted_ids(found: Sequence[CandidateStanding]) -> tuple[str, ...]:
    """Return the ids of the accepted variants, by rank."""
    return tuple(each.accepted.variant.id for each in found if each.accepted)


def together(campaign: Campaign, attempts: Sequence[Attempt], accepted: Sequence[str]) -> Attempt | None:
    """Return the last attempt at measuring exactly this accepted set with the test of the file."""
    return _latest(_of_set(campaign, attempts, accepted))


def stopped(
    rule: StopRule, found: Sequence[CandidateStanding], left: Sequence[CandidateStanding], spent_s: float
) -> str | None:
    """Return which rule says to stop, in words, or None; ``left`` are the candidates still to be decided."""
    if rule.time_budget_s is not None and spent_s >= rule.time_budget_s:
        return f"the attempts took {spent_s:.0f} s, the time budget is {rule.time_budget_s:g} s"
    row = 0
    for each in found:
        row = row + 1 if each.state is State.REJECTED else 0 if each.state is State.ACCEPTED else row
    if rule.rejections_in_a_row is not None and row >= rule.rejections_in_a_row:
        return f"{row} candidates were rejected in a row, the rule allows {rule.rejections_in_a_row}"
    forecasts = [s.variant.expected for each in left for s in each.variants if s.state in LEFT]
    if rule.expected_below is not None and None not in forecasts:
        best = max((value for value in forecasts if value is not None), default=0.0)
        if best < rule.expected_below:
            return (
                f"the best gain expected of those left is {percent(best)}, "
                f"below {percent(rule.expected_below)} (diminishing returns)"
            )
    return None


def rules(rule: StopRule) -> list[str]:
    """Return the stopping rules of the file in words."""
    said = []
    if rule.expected_below is not None:
        below = percent(rule.expected_below)
        said.append(f"stop when the best gain expected of the candidates left is below {below} of the time")
    if rule.rejections_in_a_row is not None:
        said.append(f"stop after {rule.rejections_in_a_row} rejected candidates in a row")
    if rule.time_budget_s is not None:
        said.append(f"start no further measurement after {rule.time_budget_s:g} s of measuring in all")
    return said


def _standing(
    campaign: Campaign, variant: Variant, attempts: Sequence[Attempt], settled: Mapping[str, State]
) -> Standing:
    own = [each for each in attempts if each.id == variant.id and each.test == variant.test]
    last = _latest(own)
    if variant.builds_on is not None and settled[variant.builds_on] is not State.ACCEPTED:
        waiting = settled[variant.builds_on] in LEFT
        return Standing(variant, State.WAITING if waiting else State.BLOCKED, last)
    if last is None or last.outcome == "interrupted" or _to_repeat(campaign, own):
        return Standing(variant, State.OPEN, last)
    if last.outcome == "failed" or last.decision is None:
        return Standing(variant, State.FAILED, last)
    states = {"ACCEPT": State.ACCEPTED, "REJECT": State.REJECTED}
    return Standing(variant, states.get(last.decision["verdict"], State.INCONCLUSIVE), last)


def _of_set(campaign: Campaign, attempts: Sequence[Attempt], accepted: Sequence[str]) -> list[Attempt]:
    return [
        each
        for each in attempts
        if each.id == TOGETHER and each.test == campaign.together and each.accepted == tuple(accepted)
    ]


def _to_repeat(campaign: Campaign, own: Sequence[Attempt]) -> bool:
    """Return whether the last of these attempts was left open by noise alone, and may be repeated."""
    reasons = [each.decision["reasons"] for each in own if each.counts and each.decision]
    noisy = [bool(each) and NOISE.issuperset(each) for each in reasons]
    return bool(noisy) and noisy[-1] and sum(noisy) <= campaign.retries


def _latest(attempts: Sequence[Attempt]) -> Attempt | None:
    """Return the last attempt that counts; one that was interrupted does not undo a decision before it."""
    counting = [each for each in attempts if each.counts]
    ended = [each for each in counting if each.outcome != "interrupted"]
    return ended[-1] if ended else counting[-1] if counting else None


def _candidate_state(states: Sequence[State]) -> State:
    order = (State.ACCEPTED, State.OPEN, State.FAILED, State.WAITING, State.INCONCLUSIVE, State.REJECTED)
    return next((state for state in order if state in states), State.BLOCKED)


def _after(before: Standing) -> State | None:
    """Return the state of an alternative that what came before it settles; None when it has its own turn."""
    if before.state in LEFT:
        return State.WAITING
    if before.state in (State.ACCEPTED, State.NOT_NEEDED):
        return State.NOT_NEEDED
    if before.state is State.INCONCLUSIVE and not _not_shown(before):
        return State.NOT_NEEDED
    return None


def _not_shown(standing: Standing) -> bool:
    decision = standing.attempt.decision if standing.attempt else None
    reasons = decision["reasons"] if decision else []
    return bool(reasons) and NOT_SHOWN.issuperset(reasons)


def _failed_now(standing: CandidateStanding, tried: Collection[str]) -> bool:
    return standing.next is not None and standing.next.variant.id in tried
