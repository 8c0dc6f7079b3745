"""The words of a decision: three verdicts, and the reason codes that say why.

ACCEPT: shown to be better than the threshold. REJECT: shown not to be. INCONCLUSIVE: the data cannot tell,
or cannot be trusted. Only ACCEPT passes a strict gate, and everything odd ends INCONCLUSIVE, so no failure
of the measurement can open the gate.
"""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """What was decided; CONTINUE only appears at a look before the last."""

    ACCEPT = "ACCEPT"
    REJECT = "REJECT"
    INCONCLUSIVE = "INCONCLUSIVE"
    CONTINUE = "CONTINUE"


class Reason(StrEnum):
    """Why; the first reason of a decision is the one that settled it."""

    DEMONSTRATED = "demonstrated"
    BELOW_THRESHOLD = "below-threshold"
    SLOWER = "slower"
    TOTAL_TIME = "total-time"
    NOT_EQUIVALENT = "not-equivalent"
    TAIL_RISK = "tail-risk"
    FUTILE = "futile"
    NOT_DEMONSTRATED = "not-demonstrated"
    NOISY_CONTROL = "noisy-control"
    EQUIVALENCE_ERROR = "equivalence-error"
    TIME_LIMIT = "time-limit"
    QUICK = "quick"
    TOO_FEW_PAIRS = "too-few-pairs"
    INVALID_MEASUREMENT = "invalid-measurement"
    CLOCK_RESOLUTION = "clock-resolution"
    ARM_RAISED = "arm-raised"
    MULTIPLICITY = "multiplicity"
    UNDECIDED = "continue"


VERDICT_OF: dict[Reason, Verdict] = {
    Reason.DEMONSTRATED: Verdict.ACCEPT,
    Reason.BELOW_THRESHOLD: Verdict.REJECT,
    Reason.SLOWER: Verdict.REJECT,
    Reason.TOTAL_TIME: Verdict.REJECT,
    Reason.NOT_EQUIVALENT: Verdict.REJECT,
    Reason.UNDECIDED: Verdict.CONTINUE,
}
"""The verdict each reason leads to; every reason not listed leads to INCONCLUSIVE."""

EXPLANATION: dict[Reason, str] = {
    Reason.DEMONSTRATED: "the whole interval clears the threshold",
    Reason.BELOW_THRESHOLD: "the whole interval is below the threshold",
    Reason.SLOWER: "the optimized arm is slower",
    Reason.TOTAL_TIME: "a typical run is faster, but the total time is proved to miss the threshold",
    Reason.NOT_EQUIVALENT: "the arms return different results",
    Reason.TAIL_RISK: "a typical run is faster, but slow runs push the total time past the threshold",
    Reason.FUTILE: "more pairs are unlikely to settle it",
    Reason.NOT_DEMONSTRATED: "the interval still straddles the threshold",
    Reason.NOISY_CONTROL: "the baseline differs from itself, so the machine cannot be trusted now",
    Reason.EQUIVALENCE_ERROR: "comparing the results failed",
    Reason.TIME_LIMIT: "the time limit came before enough pairs",
    Reason.QUICK: "a quick run never accepts",
    Reason.TOO_FEW_PAIRS: "fewer than 10 pairs were measured",
    Reason.INVALID_MEASUREMENT: "the times are not usable (missing, not positive, or without any spread)",
    Reason.CLOCK_RESOLUTION: "the clock is too coarse for these times",
    Reason.ARM_RAISED: "an arm raised an exception",
    Reason.MULTIPLICITY: "not shown once the number of benchmarks is taken into account",
    Reason.UNDECIDED: "more pairs are needed",
}


def verdict_of(reason: Reason) -> Verdict:
    """Return the verdict a reason leads to."""
    return VERDICT_OF.get(reason, Verdict.INCONCLUSIVE)
