"""What each reason code means, in one sentence: for reports, terminal, annotations and documentation."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        # ACCEPT
        "demonstrated": "The whole interval and the total time lie on the right side of the margin.",
        # REJECT
        "not-equivalent": "The optimized arm does not give the baseline's result; a wrong answer is no gain.",
        "below-threshold": "The whole interval lies on the wrong side of the margin: the gain is too small.",
        "slower": "The optimized arm is slower than the baseline: the whole interval lies below 1x.",
        "total-time": "A typical run is faster, but the time of all trials is proved to miss the margin.",
        # INCONCLUSIVE: the figures leave the question open
        "not-demonstrated": "All planned trials were run and the interval still straddles the margin.",
        "futile": "More trials would hardly help: the chance to show the margin fell below 5 %.",
        "tail-risk": "A typical run meets the margin, the time of all trials does not: a few runs are slow.",
        "multiplicity": "Shown alone, but not once the number of decisions of the run is taken into account.",
        # INCONCLUSIVE: the measurement cannot carry a verdict
        "quick": "A quick run has too few trials for a verdict; run it without --optbench-quick.",
        "too-few-pairs": "Fewer pairs of trials were measured than a decision needs.",
        "time-limit": "The time limit came before enough trials were run; raise --optbench-max-time.",
        "noisy-control": "The baseline differs from itself, so the machine cannot be trusted now.",
        "invalid-measurement": "The times are not usable: missing, not positive, or without any spread.",
        "clock-resolution": "The clock is too coarse for what was timed; let each call do more work.",
        "arm-raised": "An arm raised an exception, so there is nothing to compare.",
        "equivalence-error": "Comparing the results failed, so equivalence is not known.",
        "continue": "More trials are needed.",
    }
)


def explain(code: str) -> str:
    """Return what reason ``code`` means; a code without a sentence says so."""
    return REASONS.get(code, "No description of this code is known to this version.")
