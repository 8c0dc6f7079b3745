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
    MEMORY = "memory"
    METRIC = "metric"
    TAIL_RISK = "tail-risk"
    FUTILE = "futile"
    NOT_DEMONSTRATED = "not-demonstrated"
    MEMORY_OPEN = "memory-open"
    METRIC_OPEN = "metric-open"
    NOISY_CONTROL = "noisy-control"
    NO_CONTROL = "no-control"
    EQUIVALENCE_ERROR = "equivalence-error"
    TIME_LIMIT = "time-limit"
    QUICK = "quick"
    TOO_FEW_PAIRS = "too-few-pairs"
    INVALID_MEASUREMENT = "invalid-measurement"
    CLOCK_RESOLUTION = "clock-resolution"
    ARM_RAISED = "arm-raised"
    MULTIPLICITY = "multiplicity"
    UNPAIRED = "unpaired"
    ONE_PROCESS = "one-process"
    SUMMARY_ONLY = "summary-only"
    TOO_FEW_VALUES = "too-few-values"
    DIFFERENT_MACHINES = "different-machines"
    UNDECIDED = "continue"


VERDICT_OF: dict[Reason, Verdict] = {
    Reason.DEMONSTRATED: Verdict.ACCEPT,
    Reason.BELOW_THRESHOLD: Verdict.REJECT,
    Reason.SLOWER: Verdict.REJECT,
    Reason.TOTAL_TIME: Verdict.REJECT,
    Reason.NOT_EQUIVALENT: Verdict.REJECT,
    Reason.MEMORY: Verdict.REJECT,
    Reason.METRIC: Verdict.REJECT,
    Reason.UNDECIDED: Verdict.CONTINUE,
}
"""The verdict each reason leads to; every reason not listed leads to INCONCLUSIVE."""

EXPLANATION: dict[Reason, str] = {
    # ACCEPT
    Reason.DEMONSTRATED: "the whole interval clears the threshold, and so does the total time",
    # REJECT
    Reason.NOT_EQUIVALENT: "the arms return different results; a wrong answer is no gain",
    Reason.BELOW_THRESHOLD: "the whole interval is below the threshold",
    Reason.SLOWER: "the optimized arm is slower",
    Reason.TOTAL_TIME: "a typical run is faster, but the total time is proved to miss the threshold",
    Reason.MEMORY: "the optimized arm is shown to need more memory than its margin allows",
    Reason.METRIC: "a metric is shown to be worse than its margin allows",
    # INCONCLUSIVE: the figures leave the question open
    Reason.NOT_DEMONSTRATED: "all planned pairs were run and the interval still straddles the threshold",
    Reason.FUTILE: "more pairs would hardly help: the chance to settle it fell below 5 %",
    Reason.TAIL_RISK: "a typical run is faster, but slow runs push the total time past the threshold",
    Reason.MEMORY_OPEN: "it is not settled whether the memory keeps its margin",
    Reason.METRIC_OPEN: "it is not settled whether a metric keeps its margin",
    Reason.MULTIPLICITY: "shown alone, but not once the number of decisions of the run is taken into account",
    # INCONCLUSIVE: the measurement cannot carry a verdict
    Reason.QUICK: "a quick run has too few pairs and never accepts",
    Reason.TOO_FEW_PAIRS: "fewer than 10 pairs were measured",
    Reason.TIME_LIMIT: "the time limit (max-time) came before enough pairs; raise it, or let each call do less work",
    Reason.NOISY_CONTROL: "the baseline differs from itself, so the machine cannot be trusted now",
    Reason.NO_CONTROL: "the baseline was hardly compared with itself, so the noise floor is unknown",
    Reason.INVALID_MEASUREMENT: "the times are not usable (missing, not positive, or without any spread)",
    Reason.CLOCK_RESOLUTION: "the clock is too coarse for these times; let each call do more work",
    Reason.ARM_RAISED: "an arm raised an exception or its command failed, so there is nothing to compare",
    Reason.EQUIVALENCE_ERROR: "comparing the results failed, so equivalence is not known",
    # INCONCLUSIVE: the two sides come from files
    Reason.UNPAIRED: "the two sides were measured at different times, so the machine may have made the difference",
    Reason.ONE_PROCESS: "the values of a side come from one process and say nothing of another one",
    Reason.SUMMARY_ONLY: "a file holds a summary and no values",
    Reason.TOO_FEW_VALUES: "a side has fewer than 10 values, or does not say how many",
    Reason.DIFFERENT_MACHINES: "the two sides were measured on different machines",
    Reason.UNDECIDED: "more pairs are needed",
}
"""What each reason means, as a clause; every output takes its words from here."""


def verdict_of(reason: Reason) -> Verdict:
    """Return the verdict a reason leads to."""
    return VERDICT_OF.get(reason, Verdict.INCONCLUSIVE)
