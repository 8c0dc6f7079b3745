"""What each reason code means, in one sentence: for reports, terminal, annotations and documentation."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        # REJECT
        "not-equivalent": "The optimized arm does not give the baseline's result; a wrong answer is no gain.",
        "below-threshold": "The whole interval lies below the minimum: the gain is too small.",
        "slower": "The optimized arm is slower than the baseline: the whole interval lies below 1x.",
        "total-time": "Summed over all trials the minimum is missed, and the interval of the sum proves it.",
        # INCONCLUSIVE: the figures leave the question open
        "not-demonstrated": "All planned trials were run and the interval still holds the minimum.",
        "futile": "More trials would hardly help: the chance to show the minimum fell below 5 %.",
        "tail-risk": "The typical run meets the minimum, the sum of all does not: a few runs are slow.",
        "family-wise": "The gain does not hold once corrected for all the decisions of this run (Holm).",
        "test-disagreement": "The tests disagree on whether the minimum was met.",
        # INCONCLUSIVE: the measurement cannot carry a verdict
        "quick": "A quick run has too few trials for a verdict; run it without --optbench-quick.",
        "too-few-pairs": "Fewer pairs of trials were measured than a decision needs.",
        "time-limit": "The time limit was reached before enough trials were run; raise --optbench-max-time.",
        "noisy-control": "The baseline differs from itself in this run, so the figures cannot be trusted.",
        "zero-variance": "The trials do not vary at all, so nothing can be said about their uncertainty.",
        "clock-resolution": "The clock is too coarse for what was timed.",
        "clock-ties": "Too many trials took exactly the same time: the clock is too coarse.",
        "non-finite": "A duration or a statistic is not a finite number.",
        "interrupted": "The measurement was interrupted.",
        "analysis-error": "The analysis of the trials failed; the trials are kept.",
        "baseline-error": "The baseline raised an exception.",
        "optimized-error": "The optimized arm raised an exception.",
        "arm-error": "An arm raised an exception.",
        "setup-error": "The set-up raised an exception.",
        "same-code": "Both arms ran the same code, so there is nothing to compare.",
        "tracer": "A tracer, debugger or coverage hook was active during timing.",
        # ACCEPT
        "demonstrated": "The whole interval lies on the right side of the margin and every criterion is met.",
    }
)


def explain(code: str) -> str:
    """Return what reason ``code`` means; a code without a sentence says so."""
    return REASONS.get(code, "No description of this code is known to this version.")
