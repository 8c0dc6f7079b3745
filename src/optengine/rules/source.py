"""What worker processes ask of a run: rules that are ready, and a place for their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from optengine.rules.execute import RawResult
from optengine.rules.model import Rule, RuleResult


class Source(Protocol):
    """Where rules come from and where their results go. One thread calls."""

    @property
    def results(self) -> Mapping[str, RuleResult]:
        """Results so far; those that a ready rule requires are in it."""

    def ready(self) -> list[Rule]:
        """Rules to run that became ready since the last call; each is given once."""

    def started(self, rules: Sequence[Rule]) -> None:
        """Take note that *rules* were handed to a worker as one unit."""

    def deliver(self, rule: Rule, raw: RawResult, mode: str = "processes") -> None:
        """Take the result of *rule*, which ran in *mode*; called once per rule."""

    def settle(self) -> bool:
        """Write down what is finished; called while workers are busy. True when a batch came to its end."""
