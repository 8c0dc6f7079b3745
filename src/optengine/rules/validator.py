"""``ProcessPoolValidator``: what to validate, with which rules, how; checked, and handed to one run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optengine.rules import tree
from optengine.rules.errors import RulesUsageError
from optengine.rules.model import RuleResult
from optengine.rules.report import Report
from optengine.rules.ruleset import RuleSet, is_above_zero, is_at_least_one
from optengine.rules.run import Run

if TYPE_CHECKING:
    from optengine import PersistentWorkerPool

MODES = ("auto", "sequential", "threads", "processes")
OnResult = Callable[[RuleResult], None]


class ProcessPoolValidator:
    """Validates a folder with a rule set.

    Args:
        root: the folder.
        rules: what to check.
        mode: ``sequential``, ``threads``, ``processes``, or ``auto`` (in one forked child until a pool would
            pay; in a pool from the start where this process must not be forked, and says so). A rule that ends
            its process is contained in ``processes`` and ``auto``.
        max_workers: threads or processes; None chooses from CPUs, cgroup quota, load and work.
        timeout: limit in seconds of rules that have none; None for no limit.
        cache_dir: folder of the store; None runs every rule.
        progress: show a progress bar when the error stream is a terminal.
        config: JSON data that rules read as ``ctx.config``.
        grouping: False runs every rule as a unit of its own that shares nothing, as a comparison.
        changed_since: git revision that narrows what is hashed again; needs *cache_dir*.
        ignored: patterns of names that are not part of the tree, in the place of ``tree.IGNORED_NAMES``.
        start_method: how workers are started.
        pool: an open pool to use instead of starting one; it is left open.
        on_result: called with each result as it arrives, in no particular order.

    Raises:
        RulesUsageError: an argument cannot be used.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        rules: RuleSet,
        mode: str = "auto",
        max_workers: int | None = None,
        timeout: float | None = 60,
        cache_dir: str | os.PathLike[str] | None = None,
        progress: bool = False,
        *,
        config: Mapping[str, Any] | None = None,
        grouping: bool = True,
        changed_since: str | None = None,
        ignored: Iterable[str] = tree.IGNORED_NAMES,
        start_method: str | None = None,
        pool: PersistentWorkerPool | None = None,
        on_result: OnResult | None = None,
    ) -> None:
        if not isinstance(rules, RuleSet):
            raise RulesUsageError(
                f"rules must be a RuleSet; received {rules!r}. Register them with one, or load() it."
            )
        if mode not in MODES:
            raise RulesUsageError(f"mode must be one of {', '.join(MODES)}; received {mode!r}.")
        if max_workers is not None and not is_at_least_one(max_workers):
            raise RulesUsageError(
                f"max_workers must be a whole number of at least 1 or None; received {max_workers!r}."
            )
        if timeout is not None and not is_above_zero(timeout):
            raise RulesUsageError(f"timeout must be above 0 seconds or None; received {timeout!r}.")
        if changed_since is not None and cache_dir is None:
            raise RulesUsageError("changed_since narrows what a cached run hashes again; pass cache_dir too.")
        if isinstance(ignored, str):
            raise RulesUsageError(f"ignored must be a sequence of names; received the string {ignored!r}.")
        self.root = Path(root).resolve()
        self.rules = rules
        self.mode = mode
        self.max_workers = max_workers
        self.timeout = timeout
        self.cache_dir = Path(cache_dir) if cache_dir is not None else None
        self.progress = progress
        self.config = dict(config or {})
        self.grouping = grouping
        self.changed_since = changed_since
        self.ignored = (*ignored,)
        self.start_method = start_method
        self.pool = pool
        self.on_result = on_result

    def validate(self) -> Report:
        """Run everything and return the report; its results are one per rule, in the order of the rule set.

        Raises:
            UnknownDependency, DependencyCycle: the rule set's graph is broken.
            RulesUsageError: the root is not a folder or the cache folder cannot be written.
        """
        return Run(self).execute()
