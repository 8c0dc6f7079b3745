"""One validation from start to end: batches, skips, stored results, and one result for every rule.

Rules that are ready are looked at first: those whose requirements did not pass are skipped, results that still
hold are taken from the store, and the rest runs where :mod:`~optengine.rules.placement` decides. This process and
threads finish one batch before the next; worker processes get a rule as soon as its own requirements are done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from optengine.progress import Progress
from optengine.rules import graph, incremental, tree
from optengine.rules.batches import BatchLog
from optengine.rules.execute import RawResult, Workspace
from optengine.rules.memory import own_peak_bytes
from optengine.rules.model import Rule, RuleResult, Status
from optengine.rules.placement import Placement
from optengine.rules.report import Report, Stats
from optengine.rules.snapshot import DiskSnapshot
from optengine.rules.store import FILE_NAMES, Store

if TYPE_CHECKING:
    from optengine.rules.validator import ProcessPoolValidator


class Run:
    """The state of one validation."""

    def __init__(self, options: ProcessPoolValidator) -> None:
        self.options = options
        self.began = time.perf_counter()
        self.stats = Stats(requested_mode=options.mode)
        self.batches = options.rules.batches()
        self.frontier = graph.Frontier(options.rules.requires)
        self.results: dict[str, RuleResult] = {}
        self.pending: dict[str, Rule] = {}
        self.findings = 0
        self.lock = threading.Lock()
        self.cache: incremental.ResultCache | None = None
        self.store: Store | None = None
        self.without: tuple[str, ...] = ()
        if options.cache_dir is not None:
            self.store = Store(options.cache_dir)
            self.without = _below(options.root, options.cache_dir)
            seen = (*options.ignored, *self.without)
            self.cache = incremental.ResultCache(self.store, options.rules, options.config, seen)
        self.index = tree.scan(options.root, options.ignored, self.without)
        self.snapshot = self._snapshot()
        self.workspace = Workspace(
            options.root,
            self.snapshot,
            options.rules.builders,
            options.config,
            track=self.cache is not None,
            builder_digests=self.cache.builders if self.cache is not None else {},
        )
        self.stats.index_s = time.perf_counter() - self.began
        self.seen_s: list[float] = []
        self.known = self.cache.timings if self.cache is not None else {}
        self.placement = Placement(self)

    def _snapshot(self) -> DiskSnapshot:
        options = self.options
        if self.store is None:
            return DiskSnapshot(options.root, self.index)
        trusted: dict[str, str] = {}
        if options.changed_since is not None:
            trusted, said = incremental.trusted_digests(
                self.store, options.root, options.changed_since, self.index
            )
            self.stats.changed_since = said
        return DiskSnapshot(options.root, self.index, self.store.known_files(str(options.root)), trusted)

    # ---- the run

    def execute(self) -> Report:
        """Run all rules and return the report."""
        total = sum(len(batch) for batch in self.batches)
        self.log = BatchLog(self.batches, time.perf_counter())
        with self.placement, Progress(total, self.options.progress) as self.bar:
            while rules := self.ready():
                self.placement.run(rules)
                self.settle()
            self.settle()
        self._finish()
        order = [self.results[rule.id] for rule in self.options.rules]
        return Report(self.options.root.name, order, self.log.reports, self.stats)

    def ready(self) -> list[Rule]:
        """Rules to run whose requirements are all done; what is skipped or in the store has its result here."""
        todo: list[Rule] = []
        while not todo and (names := self.frontier.take()):
            for rule in (self.options.rules[name] for name in names):
                blocked = next(
                    (name for name in rule.requires if self.results[name].status is not Status.PASS), None
                )
                if blocked is not None:
                    self._skip(rule, blocked)
                elif (hit := self._cached(rule)) is not None:
                    self._take(hit)
                else:
                    todo.append(rule)
        self.pending.update((rule.id, rule) for rule in todo)
        return todo

    def started(self, rules: Sequence[Rule], mode: str = "processes") -> None:
        """Take note that *rules* run as one unit."""
        self.log.started(rules, mode)

    def settle(self) -> bool:
        """Close batches that have ended and store their results; True when there was one."""
        ended = self.log.close(time.perf_counter(), max(self.stats.workers, 1))
        if ended and self.cache is not None:
            self.cache.write()
        return ended

    def _skip(self, rule: Rule, blocked: str) -> None:
        status = self.results[blocked].status
        word = {"FAIL": "failed", "SKIP": "was skipped", "ERROR": "had an error"}.get(
            status, f"ended as {status}"
        )
        text = f"skipped: {blocked} {word}"
        self._take(RuleResult(rule.id, Status.SKIP, rule.severity, text, reason=text, title=rule.title))

    def _cached(self, rule: Rule) -> RuleResult | None:
        if self.cache is None:
            return None
        scene = self.workspace.scene
        scene.results = {name: list(self.results[name].verdict) for name in rule.requires}
        return self.cache.find(rule, scene)

    def _take(self, result: RuleResult, *, ran: bool = False) -> None:
        """The one place where a rule gets its result."""
        if result.rule_id in self.results:
            raise AssertionError(f"two results for {result.rule_id}")
        self.results[result.rule_id] = result
        self.pending.pop(result.rule_id, None)
        self.log.took(result, ran=ran)
        self.frontier.finish(result.rule_id)
        self.findings += result.status.is_finding
        self.bar.update(len(self.results) - self.findings, self.findings)
        if self.options.on_result is not None:
            self.options.on_result(result)

    def deliver(self, rule: Rule, raw: RawResult, mode: str = "processes") -> None:
        """Take the result of a rule that ran in *mode*."""
        with self.lock:
            self.stats.ran[mode] = self.stats.ran.get(mode, 0) + 1
            if self.cache is not None:
                self.cache.keep(rule, raw)
            if raw.vacuous and raw.status is Status.PASS:
                self.stats.vacuous.append(rule.id)
            self.stats.rule_s += raw.seconds
            self.seen_s.append(raw.seconds)
            self._take(
                RuleResult(
                    rule_id=rule.id,
                    status=raw.status,
                    severity=rule.severity,
                    message=raw.message,
                    evidence=raw.evidence,
                    seconds=raw.seconds,
                    worker=raw.worker,
                    reason=raw.reason,
                    attempts=raw.attempts,
                    title=rule.title,
                    mode=mode,
                ),
                ran=True,
            )

    # ---- the end

    def _finish(self) -> None:
        stats = self.stats
        self.placement.keep_startup()
        statuses = [result.status for result in self.results.values()]
        stats.crashes = statuses.count(Status.CRASH)
        stats.timeouts = statuses.count(Status.TIMEOUT)
        stats.cache_hits = sum(result.cached for result in self.results.values())
        stats.hashed_files = self.snapshot.hashed
        if self.cache is not None and self.store is not None:
            stats.uncached = dict(self.cache.uncached)
            self._remember_files(self.store)
        if not stats.peak_memory:
            stats.peak_memory, stats.memory_how = own_peak_bytes(), "peak RSS of this process"
            if self.placement.child_peak_bytes:
                stats.peak_memory += self.placement.child_peak_bytes
                stats.memory_how += " and of its child, shared pages counted in both"
        stats.wall_s = time.perf_counter() - self.began

    def _remember_files(self, store: Store) -> None:
        known, learned = self.snapshot.known, self.snapshot.learned
        fresh = {path: one for path, one in learned.items() if known.get(path) != one}
        gone = [path for path in known if self.index.kind(path) != "file"]
        if fresh or gone:
            store.save_files(str(self.options.root), fresh, gone)
        if fresh or self.options.changed_since is not None:
            incremental.save_manifest(store, self.options.root, self.snapshot)


def _below(root: Path, folder: Path) -> tuple[str, ...]:
    """What of the store is in the tree, so that the cache never changes what it caches: its folder, or its files
    where that is the root; nothing elsewhere."""
    try:
        relative = folder.resolve().relative_to(root).as_posix()
    except ValueError:
        return ()
    return FILE_NAMES if relative == "." else (relative,)
