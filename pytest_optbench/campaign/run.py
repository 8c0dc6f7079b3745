"""The loop of a campaign: read the ledger, measure the next test, write what came of it, until done."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pytest_optbench.store.files import folder_lock

from .errors import CampaignError
from .ledger import Ledger
from .measure import check_tests, measure
from .plan import LEFT, Done, Measure, State, next_step, rules
from .product import Account, account
from .read import TOGETHER, Campaign

LOCK_WAIT_S = 1.0


def run_campaign(
    campaign: Campaign, again: Sequence[str], say: Callable[[str], None]
) -> tuple[Account, Done]:
    """Measure what is left and return what it all amounts to, with why measuring ended.

    ``again`` are ids to be measured once more although they are decided. ``say`` receives lines of progress.
    One run at a time works on a campaign. Ctrl-C and SIGTERM end the test that runs, are written down as an
    interrupted attempt and raised as KeyboardInterrupt; the next run goes on. Raises CampaignError, before
    anything is measured, and StoreError.
    """
    known = {variant.id for variant in campaign.variants()} | ({TOGETHER} if campaign.together else set())
    unknown = [identity for identity in again if identity not in known]
    if unknown:
        raise CampaignError(
            f"--again must name ids of the campaign ({', '.join(sorted(known))}), "
            f"received {', '.join(map(repr, unknown))}"
        )
    with folder_lock(campaign.folder, LOCK_WAIT_S), _terminable():
        ledger = Ledger(campaign.folder)
        tests = [variant.test for variant in campaign.variants()]
        if again or not isinstance(next_step(campaign, ledger.attempts()), Done):
            check_tests(campaign, tests + ([campaign.together] if campaign.together else []))
        _write_plan(campaign, ledger)
        for identity in again:
            ledger.append("again", id=identity)
        tried: set[str] = set()
        while isinstance(step := next_step(campaign, ledger.attempts(), tried), Measure):
            say(f"measuring {step.id}: {step.test}")
            if not _attempt(campaign, ledger, step, say):
                tried.add(step.id)
        last = ledger.last("stopped")
        if last is None or last["message"] != step.message:
            ledger.append("stopped", message=step.message)
        return account(campaign, ledger.attempts()), step


def claims_hold(campaign: Campaign, result: Account, done: Done) -> list[str]:
    """Return what keeps the campaign from being done with all its claims standing, in words; empty when it is."""
    problems = []
    open_states = {State.FAILED} if done.stopped else LEFT  # a rule may leave candidates, not failures
    undecided = [each.candidate.id for each in result.standings if each.state in open_states]
    if undecided:
        problems.append(f"not decided: {', '.join(undecided)}")
    elif not any(s.attempt and s.attempt.decision for each in result.standings for s in each.variants):
        problems.append("nothing was measured")
    problems += [f"{identity} does not stand over the whole campaign (Holm)" for identity in result.fallen]
    if campaign.together and any(each.accepted for each in result.standings):
        whole = result.together
        if whole is None:
            problems.append("the accepted set was not measured together")
        elif whole.attempt.decision is None or whole.attempt.decision["verdict"] != "ACCEPT":
            problems.append("the accepted set, measured together, was not accepted")
        elif whole.disagrees:
            problems.append("the product of the ratios and the direct measurement disagree")
    return problems


def status(campaign: Campaign, ledger: Ledger) -> tuple[Account, Done]:
    """Return what the ledger amounts to now, without measuring; a step still to do is a `Done` that says so."""
    attempts = ledger.attempts()
    step = next_step(campaign, attempts)
    done = step if isinstance(step, Done) else Done(f"next: {step.id} ({step.test})", False)
    return account(campaign, attempts), done


def _attempt(campaign: Campaign, ledger: Ledger, step: Measure, say: Callable[[str], None]) -> bool:
    """Measure one test between two events of the ledger; return whether it was decided."""
    number = 1 + max((each.number for each in ledger.attempts()), default=0)
    ledger.append("started", attempt=number, id=step.id, test=step.test, accepted=list(step.accepted))
    began = time.monotonic()
    try:
        found = measure(campaign, step, say)
    except KeyboardInterrupt:
        seconds = round(time.monotonic() - began, 3)
        ledger.append("finished", attempt=number, outcome="interrupted", seconds=seconds)
        raise
    ledger.append(
        "finished",
        attempt=number,
        outcome=found.outcome,
        seconds=round(found.seconds, 3),
        exit_status=found.exit_status,
        message=found.message,
        decision=found.decision,
    )
    say(found.decision["summary"] if found.decision else f"not measured: {found.message}")
    return found.outcome == "decided"


def _write_plan(campaign: Campaign, ledger: Ledger) -> None:
    """Write the plan into the ledger, unless it holds this very one."""
    last = ledger.last("planned")
    if last is not None and last["digest"] == campaign.digest:
        return
    candidates: list[dict[str, Any]] = [
        {
            "rank": candidate.rank,
            "variants": [
                {
                    "id": each.id, "title": each.title, "test": each.test, "expected": each.expected,
                    "builds_on": each.builds_on,
                }
                for each in candidate.variants
            ],
        }
        for candidate in campaign.candidates
    ]  # fmt: skip
    ledger.append(
        "planned",
        digest=campaign.digest,
        title=campaign.title,
        candidates=candidates,
        together=campaign.together,
        stop=rules(campaign.stop),
        alpha=campaign.alpha,
    )


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
