"""The process-pool validator: rules about a folder, run in dependency order, each with exactly one result.

    RuleSet --batches--> what must run --units--> lanes here, threads, or worker processes
                             |                         |  shared segment: index, contents, run-wide inputs
                       store of results                |  ledger per unit: what was started and finished
                             |                         v
                             +-----------------> Report: one result per rule, in order

The parent owns segment and ledgers; workers map the one read-only and append to the other. A rule learns
about the tree through its context only, which records reads, listings, matches and absences; the record
decides whether a stored result still holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optengine.rules.context import Context
from optengine.rules.errors import (
    DependencyCycle,
    DuplicateRule,
    RuleSetError,
    RulesUsageError,
    UnknownDependency,
    UnknownSelection,
)
from optengine.rules.model import Outcome, Rule, RuleResult, Severity, Status
from optengine.rules.report import Batch, Report, Stats, WorkerReport
from optengine.rules.ruleset import RuleSet, load, rule

if TYPE_CHECKING:
    from optengine.rules.validator import ProcessPoolValidator

__all__ = [
    "Batch",
    "Context",
    "DependencyCycle",
    "DuplicateRule",
    "Outcome",
    "ProcessPoolValidator",
    "Report",
    "Rule",
    "RuleResult",
    "RuleSet",
    "RuleSetError",
    "RulesUsageError",
    "Severity",
    "Stats",
    "Status",
    "UnknownDependency",
    "UnknownSelection",
    "WorkerReport",
    "load",
    "rule",
]


def __getattr__(name: str) -> Any:
    """The validator, loaded on first use: worker processes run rules without it."""
    if name != "ProcessPoolValidator":
        raise AttributeError(f"module 'optengine.rules' has no attribute {name!r}")
    from optengine.rules.validator import ProcessPoolValidator

    globals()[name] = ProcessPoolValidator
    return ProcessPoolValidator
