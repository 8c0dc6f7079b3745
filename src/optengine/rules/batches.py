"""What became of each batch, kept while its rules run; batches may overlap. Pure but for the clock handed in.

A batch ends when its last rule has a result and all batches before it have ended. Its seconds are counted from
the end of the batch before it, so the seconds of all batches add up to the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from optengine.rules.model import Rule, RuleResult, Status
from optengine.rules.report import Batch


class BatchLog:
    """Reports of all batches of one run.

    Args:
        batches: rules in batches.
        now: seconds on the clock that :meth:`close` is asked with.
    """

    def __init__(self, batches: Iterable[Sequence[Rule]], now: float) -> None:
        self.reports = [Batch(number, [rule.id for rule in rules]) for number, rules in enumerate(batches)]
        self._of = {name: report for report in self.reports for name in report.rules}
        self._left = [len(report.rules) for report in self.reports]
        self._closed = 0
        self._since = now
        self._rule_s = 0.0

    def started(self, rules: Sequence[Rule], mode: str) -> None:
        """Take note that *rules* run as one unit in *mode*; it counts in each batch it has rules of."""
        for number in {self._of[rule.id].index for rule in rules}:
            self.reports[number].units += 1
            self.reports[number].mode = mode

    def took(self, result: RuleResult, *, ran: bool) -> None:
        """Take note of the result of a rule that ran, was skipped or came from the store."""
        report = self._of[result.rule_id]
        self._left[report.index] -= 1
        if ran:
            report.ran += 1
            report.rule_s += result.seconds
            self._rule_s += result.seconds
        elif result.cached:
            report.cached += 1
        elif result.status is Status.SKIP:
            report.skipped += 1

    def close(self, now: float, workers: int) -> bool:
        """Close every batch that has ended, and say whether there was one; *workers* ran its rules."""
        first = self._closed
        while self._closed < len(self.reports) and not self._left[self._closed]:
            report = self.reports[self._closed]
            report.seconds, self._since = now - self._since, now
            lanes = workers if report.mode != "sequential" else 1
            report.overhead_s = max(0.0, report.seconds - self._rule_s / lanes)
            self._rule_s = 0.0
            self._closed += 1
        return self._closed > first
