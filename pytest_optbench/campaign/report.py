"""The ledger as a page of markdown and as lines for the terminal: same file and ledger, same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_optbench.report.escape import console, markdown, markdown_block
from pytest_optbench.report.templating import table
from pytest_optbench.report.units import both, both_interval, p_value, percent, ratio, seconds, time_saved
from pytest_optbench.store import slug
from pytest_optbench.store.files import replace

from .ledger import Attempt, Ledger
from .measure import DECISIONS
from .plan import CandidateStanding, Done, Standing, State, rules
from .product import Account, Chain, Together
from .read import TOGETHER, Campaign
from .run import claims_hold, status
from .waterfall import waterfall_svg

PAGE = "campaign.md"
PLOT = "waterfall.svg"

Row = Sequence[str]


def write_report(campaign: Campaign, ledger: Ledger) -> Path:
    """Write the page and its plot into the campaign's folder; return the page. Raises StoreError."""
    result, done = status(campaign, ledger)
    campaign.folder.mkdir(parents=True, exist_ok=True)
    replace(campaign.folder, PLOT, waterfall_svg(campaign.title, result).encode())
    return replace(campaign.folder, PAGE, page(campaign, ledger, result, done).encode())


def page(campaign: Campaign, ledger: Ledger, result: Account, done: Done) -> str:
    """Return the campaign as markdown; every foreign text is escaped."""
    parts = [
        f"# {markdown(campaign.title)}",
        _outcome(campaign, result, done),
        f"![Waterfall of the accepted optimizations]({PLOT})",
        "## Candidates",
        "Expected is the forecast in the campaign's file; measured is time saved = ratio with its interval.",
        table(
            ("Rank", "Candidate", "Outcome", "Expected", "Measured", "Interval", "Against forecast", "Why"),
            [_candidate_row(each, result) for each in result.standings],
        ),
        *_alternatives(result),
        "## Taken together",
        *_products(campaign, result),
        "## Claims over the campaign",
        "Every measured gain is one claim, whatever came of it; p is corrected for all of them (Holm). A claim "
        f"stands when its adjusted p is at most {result.limit:g}.",
        table(("Claim", "Accepted alone", "p", "Adjusted p", "Stands"), _claim_rows(result)),
        *_decisions(result),
        "## When to stop",
        "\n".join(f"- {markdown(rule)}" for rule in rules(campaign.stop)),
        f"Now: {markdown(done.message)}.",
        "## Every attempt",
        "Attempts are never taken out. One that was interrupted, failed or superseded settles nothing.",
        table(("No.", "Started", "Id", "Outcome", "Time", "Note"), _attempt_rows(ledger.attempts())),
        *_failures(ledger.attempts()),
        *_notes(campaign),
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts if part) + "\n"


def lines(campaign: Campaign, result: Account, done: Done) -> Iterator[str]:
    """Yield the state of the campaign for a terminal."""
    yield console(campaign.title)
    for each in result.standings:
        shown = each.accepted or _telling(each)
        figures = _measured(shown)
        via = (
            f" by {shown.variant.id}"
            if each.accepted and shown and shown.variant.id != each.candidate.id
            else ""
        )
        state = _state(each, result)
        forecast = percent((shown.variant if shown else each.candidate.variants[0]).expected)
        yield f"  {each.candidate.rank:>3} {each.candidate.id:<24} {state + via:<22} expected {forecast}, {figures}"
    for chain in result.chains:
        total = chain.total
        interval = both_interval(total.ratio_low, total.ratio_high)
        yield f"  product of {' * '.join(chain.ids)}: {both(total.ratio)} ({interval})"
    if result.together is not None:
        yield f"  measured together: {console(_together_words(result.together))}"
    yield f"  {console(done.message)}"
    for problem in claims_hold(campaign, result, done):
        yield f"  does not hold: {console(problem)}"


def _outcome(campaign: Campaign, result: Account, done: Done) -> str:
    counts = [
        f"{count} {state.value}"
        for state in State
        if (count := sum(each.state is state for each in result.standings))
    ]
    problems = claims_hold(campaign, result, done)
    verdict = "All claims hold." if not problems else "Not everything holds: " + "; ".join(problems) + "."
    return f"{len(result.standings)} candidates: {', '.join(counts)}. {markdown(verdict)}"


def _candidate_row(each: CandidateStanding, result: Account) -> Row:
    shown = each.accepted or _telling(each)
    via = (
        f" (by {shown.variant.title})"
        if each.accepted and shown and shown.variant.id != each.candidate.id
        else ""
    )
    expected = shown.variant.expected if shown else each.candidate.variants[0].expected
    return (
        str(each.candidate.rank),
        each.candidate.title,
        _state(each, result) + via,
        percent(expected),
        _measured(shown),
        _interval(shown),
        _against_forecast(shown),
        _why(shown),
    )


def _alternatives(result: Account) -> Iterator[str]:
    rows = [
        (each.candidate.title, s.variant.title, s.state.value, _measured(s), _interval(s), _why(s))
        for each in result.standings
        if len(each.variants) > 1
        for s in each.variants
    ]
    if rows:
        yield "### Alternatives"
        yield "Tried in this order until one is accepted."
        yield table(("Candidate", "Tried", "Outcome", "Measured", "Interval", "Why"), rows)


def _products(campaign: Campaign, result: Account) -> Iterator[str]:
    yield (
        "Ratios multiply where each stage's baseline is the optimized version of the stage before (builds_on); "
        "percentages are never added. Intervals are 95 %."
    )
    if not result.chains:
        yield "No candidate is accepted, so there is nothing to multiply."
    for chain in result.chains:
        yield table(("Stage", "This stage", "Product so far", "Interval of the product"), _chain_rows(chain))
        if chain.expected is not None:
            yield f"Forecast of the whole chain: {markdown(both(chain.expected.ratio))}."
    if len(result.chains) > 1:
        yield (
            "These chains do not build on each other, so their ratios are not multiplied: what they give "
            "together only measuring them together can tell."
        )
    if result.together is not None:
        yield from _direct(result.together)
    elif campaign.together:
        yield "The accepted set has not been measured together yet."
    elif result.chains:
        yield (
            "The accepted set was not measured together: a product rests on the claim that nothing else "
            "changed between stages."
        )


def _direct(whole: Together) -> Iterator[str]:
    rows = []
    if whole.chain is not None:
        total = whole.chain.total
        rows.append(
            ("Product of the stages", both(total.ratio), both_interval(total.ratio_low, total.ratio_high))
        )
    if whole.direct is not None:
        direct = whole.direct
        rows.append(
            ("Measured directly", both(direct.ratio), both_interval(direct.ratio_low, direct.ratio_high))
        )
    if whole.difference is not None:
        d = whole.difference
        interval = f"{ratio(d.ratio_low)} to {ratio(d.ratio_high)}"
        rows.append(("Direct / product", ratio(d.ratio), interval))
    yield "### Product and direct measurement"
    yield table(("What", "Time saved = ratio", "Interval"), rows)
    yield markdown(_together_words(whole))


def _together_words(whole: Together) -> str:
    verdict = (whole.attempt.decision or {}).get("verdict", "no decision")
    figures = both(whole.direct.ratio) if whole.direct else "no estimate"
    if whole.difference is None:
        return f"{verdict}, {figures}; not comparable with a product: the accepted set is not one chain."
    allowed = percent(whole.tolerance)
    if whole.disagrees:
        return (
            f"{verdict}, {figures}; it DISAGREES with the product: direct / product is "
            f"{ratio(whole.difference.ratio)}, shown to differ by more than {allowed}. Trust the direct "
            "measurement: stages influence each other, or a baseline was not the stage before."
        )
    if whole.differs:
        return (
            f"{verdict}, {figures}; it differs from the product, direct / product is "
            f"{ratio(whole.difference.ratio)}, but not shown to by more than {allowed}."
        )
    return f"{verdict}, {figures}; it agrees with the product within their intervals."


def _chain_rows(chain: Chain) -> list[Row]:
    rows: list[Row] = []
    for standing, product in zip(chain.standings, chain.products, strict=True):
        interval = both_interval(product.ratio_low, product.ratio_high)
        rows.append((standing.variant.title, _measured(standing), both(product.ratio), interval))
    return rows


def _claim_rows(result: Account) -> list[Row]:
    words = {True: "yes", False: "no"}
    return [
        (
            claim.id,
            words[claim.accepted],
            p_value(claim.p),
            "no gain claimed, no correction" if claim.p_adjusted is None else p_value(claim.p_adjusted),
            words[claim.stands] if claim.accepted else "not claimed",
        )
        for claim in result.claims.values()
    ]


def _attempt_rows(attempts: Sequence[Attempt]) -> list[Row]:
    rows: list[Row] = []
    for each in attempts:
        outcome = str(each.decision["verdict"]) if each.decision else each.outcome
        note = ", ".join(each.decision["reasons"]) if each.decision else (each.message or "").split("\n")[0]
        note += "" if each.counts else " (measured again since)"
        of = f" of {', '.join(each.accepted)}" if each.id == TOGETHER else ""
        rows.append((str(each.number), each.at, each.id + of, outcome, seconds(each.seconds), note.strip()))
    return rows


def _decisions(result: Account) -> Iterator[str]:
    """Link what was measured to its acceptance report."""
    found = [
        (s.variant.title, s.attempt.decision)
        for each in result.standings
        for s in each.variants
        if s.attempt and s.attempt.decision
    ]
    if result.together is not None and result.together.attempt.decision:
        found.append(("The accepted set together", result.together.attempt.decision))
    if found:
        yield "## Decisions"
        yield "\n".join(f"- {_linked(title, d)}: {markdown(d.get('summary', ''))}" for title, d in found)


def _linked(title: str, decision: Mapping[str, Any]) -> str:
    """Return the title as a link to the decision's page, or bare when the ledger names no such page."""
    folder, _, stem = decision["document"].rpartition("/")
    name = markdown(title)
    return f"[{name}]({DECISIONS}/{stem}.md)" if folder == DECISIONS and slug.is_valid(stem) else name


def _failures(attempts: Sequence[Attempt]) -> Iterator[str]:
    last = [each for each in attempts if each.outcome == "failed" and each.counts and each.message]
    for each in last[-3:]:
        yield f"Attempt {each.number} failed:"
        yield markdown_block(each.message)


def _notes(campaign: Campaign) -> Iterator[str]:
    noted = [variant for variant in campaign.variants() if variant.notes]
    if noted:
        yield "## Notes"
        yield "\n".join(f"- {markdown(each.title)}: {markdown(each.notes)}" for each in noted)


def _telling(each: CandidateStanding) -> Standing | None:
    """Return the variant that tells most of an outcome other than accepted: the last measured, or held up."""
    decided = [s for s in each.variants if s.attempt and s.attempt.decision]
    held_up = [s for s in each.variants if s.state in (State.FAILED, State.BLOCKED)]
    telling = decided or held_up
    return telling[-1] if telling else None


def _state(each: CandidateStanding, result: Account) -> str:
    accepted = each.accepted
    if accepted is not None and accepted.variant.id in result.fallen:
        return "accepted alone, falls to Holm"
    return each.state.value


def _figures(standing: Standing | None) -> Any:
    decision = standing.attempt.decision if standing and standing.attempt else None
    return (decision or {}).get("ratio") or {}


def _measured(standing: Standing | None) -> str:
    value = _figures(standing).get("estimate")
    return "not measured" if value is None else both(value)


def _interval(standing: Standing | None) -> str:
    found = _figures(standing)
    return both_interval(found.get("ci_low"), found.get("ci_high"))


def _against_forecast(standing: Standing | None) -> str:
    """Return where the forecast lies against the interval of the time saved."""
    found = _figures(standing)
    low, high = time_saved(found.get("ci_low")), time_saved(found.get("ci_high"))
    if standing is None or standing.variant.expected is None or low is None or high is None:
        return "n/a"
    if high < standing.variant.expected:
        return "less than expected"
    return "more than expected" if low > standing.variant.expected else "as expected"


def _why(standing: Standing | None) -> str:
    attempt = standing.attempt if standing else None
    if standing is not None and standing.state is State.BLOCKED:
        return f"builds on {standing.variant.builds_on}, which was not accepted"
    if attempt is None:
        return ""
    if attempt.decision is None:
        return (attempt.message or attempt.outcome).split("\n")[0]
    return ", ".join(attempt.decision["reasons"])
