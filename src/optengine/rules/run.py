"""One validation from start to end: batches, skips, stored results, and where the rest runs.

Rules that are ready are looked at first: those whose requirements did not pass are skipped, results that still
hold are taken from the store, and the rest is cut into units and run in this process, in threads or in worker
processes. This process and threads finish one batch before the next; worker processes get a rule as soon as
its own requirements are done. Mode auto begins in a forked child, which costs little and contains crashes. What
runs where never changes a verdict; it is decided here and nowhere else, which is why this file is long.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optengine import cpus
from optengine.progress import Progress
from optengine.rules import adaptive, forked, graph, grouping, incremental, segment, tree
from optengine.rules.batches import BatchLog
from optengine.rules.child import CannotFork
from optengine.rules.execute import RawResult, Workspace
from optengine.rules.grouping import Unit
from optengine.rules.lanes import Lanes
from optengine.rules.memory import available_bytes, own_peak_bytes
from optengine.rules.model import Rule, RuleResult, Status
from optengine.rules.processes import PoolUnavailable, ProcessRunner
from optengine.rules.report import Report, Stats
from optengine.rules.shared import encode, thaw
from optengine.rules.snapshot import DiskSnapshot
from optengine.rules.store import Store
from optengine.rules.work import RunSettings

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
        self.followers = graph.followers(options.rules.requires)
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
        self.closing = contextlib.ExitStack()
        self.runner: ProcessRunner | None = None
        self.no_pool = False
        self.child: forked.ForkedLane | None = None
        self.not_forked: str | None = None
        self.seen_s: list[float] = []
        self.known = self.cache.timings if self.cache is not None else {}

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
        with self.closing, Progress(total, self.options.progress) as self.bar:
            while rules := self.ready():
                self._run_rules(rules)
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

    def deliver(self, rule: Rule, raw: RawResult) -> None:
        """Take the result of a rule that ran."""
        with self.lock:
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
                ),
                ran=True,
            )

    # ---- where rules run

    def _run_rules(self, rules: list[Rule]) -> None:
        mode = self.options.mode
        if mode == "auto":
            self._run_auto(rules)
        elif mode == "processes":
            self._run_processes(rules)
        else:
            self._run_here(rules, 1 if mode == "sequential" else self._workers(rules))
            self.stats.mode = mode

    def _run_here(
        self,
        rules: Sequence[Rule],
        lanes: int,
        stop: Callable[[], bool] | None = None,
        mode: str | None = None,
    ) -> list[Rule]:
        units = grouping.plan(rules, lanes, costs=self.known, grouping=self.options.grouping)
        for unit in units:
            self.started(unit.rules, mode or ("sequential" if lanes == 1 else "threads"))
        self.stats.workers = max(self.stats.workers, lanes)
        runner = Lanes(self.workspace, lanes, self.options.timeout, share=self.options.grouping)
        return runner.run(units, self.results, self.deliver, stop)

    def plan(self, rules: Sequence[Rule], running: Sequence[Rule]) -> list[Unit]:
        """Units of *rules* for worker processes, while *running* are under way."""
        return grouping.plan(
            rules,
            self._workers(rules),
            costs=self.known,
            followers=self.followers,
            running=running,
            grouping=self.options.grouping,
        )

    def _run_processes(self, rules: list[Rule]) -> None:
        """Run *rules*, and all others as soon as their requirements are done."""
        workers = self._workers(rules)
        try:
            refused = self._open_runner(workers).run(rules, self)
        except PoolUnavailable as error:
            self.no_pool = True
            self._fall_back(list(self.pending.values()), str(error), workers)
            return
        self.stats.mode = "processes"
        for rule, why in refused:
            self._fall_back([rule], why, 1)

    def _open_runner(self, workers: int) -> ProcessRunner:
        if self.no_pool:
            raise PoolUnavailable("the pool was lost in an earlier batch")
        if self.runner is None:
            settings = RunSettings(
                root=str(self.options.root),
                ignored=self.options.ignored,
                without=self.without,
                config=self.options.config,
                builders=dict(self.options.rules.builders),
                builder_digests=self.cache.builders if self.cache is not None else {},
                track=self.cache is not None,
            )
            self.stats.workers = max(self.stats.workers, workers)
            self.runner = self.closing.enter_context(
                ProcessRunner(
                    workers,
                    settings,
                    self._fill_segment,
                    self.options.timeout,
                    self.stats,
                    pool=self.options.pool,
                    start_method=self.options.start_method,
                    share=self.options.grouping,
                )
            )
        return self.runner

    def _fill_segment(self) -> segment.Segment:
        began = time.perf_counter()
        inputs: dict[str, Any] = {}
        for name, builder in self.options.rules.builders.items():
            if builder.scope == "run":
                built = self.workspace.shared.built(name, self.options.timeout)
                if built.error is None:
                    inputs[name] = (encode(thaw(built.value), name), built.recorder, built.trace)
        declared = {pattern for rule in self.options.rules for pattern in rule.inputs}
        if declared and all(rule.inputs for rule in self.options.rules):
            wanted = [
                path for path in self.index.files() if any(tree.compile_glob(p).match(path) for p in declared)
            ]
        else:
            wanted = list(self.index.files())
        try:
            filled = segment.create(self.snapshot, wanted, inputs)
        except OSError as error:
            raise PoolUnavailable(f"the shared segment could not be made: {error}") from error
        self.closing.callback(filled.close)
        self.snapshot.forget_contents()
        self.stats.segment_bytes = filled.bytes
        self.stats.index_s += time.perf_counter() - began
        return filled

    def _fall_back(self, rules: Sequence[Rule], why: str, lanes: int) -> None:
        """Run *rules* in threads, counted; one that already took a worker down never runs in this process."""
        self.stats.fallbacks += 1
        self.stats.fallback_reasons.append(why)
        safe: list[Rule] = []
        for rule in rules:
            attempts = self.runner.attempts(rule.id) if self.runner is not None else 0
            if attempts:
                message = f"{rule.id} was running in a worker when the pool was lost"
                self.deliver(rule, RawResult(Status.CRASH, message, reason=why, attempts=attempts))
            else:
                safe.append(rule)
        if safe:
            self._run_here(safe, lanes, mode="threads")
            self.stats.mode = "threads"

    def _run_auto(self, rules: list[Rule]) -> None:
        if self.runner is not None or self.no_pool:
            self._run_processes(rules)
            return
        later = [rule.id for rule in self.options.rules if rule.id not in self.results]
        decision = self._decision(rules, later)
        went_over = False
        ask_again_at = 0.0

        def stop() -> bool:
            nonlocal went_over, ask_again_at
            # Asked before each rule, and an answer looks at all of them: asked again only after 1 % more time.
            spent = self.stats.rule_s
            if went_over or spent < ask_again_at:
                return went_over
            ask_again_at = spent + max(spent, decision.startup_s) / 100
            waiting = [name for name in later if name not in self.results]
            remaining = adaptive.predict_remaining(waiting, self.known, self.seen_s)
            went_over = decision.worth_it(spent, remaining)
            if went_over or not self.stats.reason:
                self.stats.reason = decision.explain(remaining)
            return went_over

        before = bool(self.seen_s)
        left = self._run_in_child(rules, stop)
        if left:
            self._run_processes(left)
            self.stats.mode = (
                f"sequential+{self.stats.mode}" if before or len(left) < len(rules) else self.stats.mode
            )

    def _run_in_child(self, rules: Sequence[Rule], stop: Callable[[], bool]) -> list[Rule]:
        """Run *rules* one after another where a rule that ends its process ends no more than that; in this process
        where no child can be forked, which is said."""
        if self.not_forked is None:
            if self.child is None:
                by_id = {rule.id: rule for rule in self.options.rules}
                self.child = forked.ForkedLane(
                    by_id,
                    self.workspace,
                    self.snapshot,
                    self.options.timeout,
                    self.stats,
                    share=self.options.grouping,
                )
                self.closing.callback(self.child.close)
            units = grouping.plan(rules, 1, costs=self.known, grouping=self.options.grouping)
            for unit in units:
                self.started(unit.rules, "sequential")
            try:
                return self.child.run(
                    [rule for unit in units for rule in unit.rules], self.results, self.deliver, stop
                )
            except CannotFork as error:
                self.not_forked = str(error)
        left = self._run_here([rule for rule in rules if rule.id not in self.results], 1, stop)
        self.stats.reason += f"; rules could end this process, which was not forked: {self.not_forked}"
        return left

    def _decision(self, rules: Sequence[Rule], waiting: Sequence[str]) -> adaptive.PoolDecision:
        startup = self.known.get(incremental.STARTUP_KEY, _measured_startup or adaptive.ASSUMED_STARTUP_S)
        known = bool(waiting) and all(name in self.known for name in waiting)
        return adaptive.PoolDecision(self._workers(rules), startup, known)

    def _workers(self, rules: Sequence[Rule]) -> int:
        if self.runner is not None:
            return self.runner.workers
        largest = max((len(batch) for batch in self.batches), default=1)
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        choice = adaptive.choose_workers(
            self.options.max_workers,
            usable=cpus.usable_cpus(),
            load=load,
            units=max(largest, len(rules)),
            memory_slots=available_bytes() // adaptive.WORKER_BYTES,
        )
        self.stats.worker_reason = choice.reason
        return choice.workers

    # ---- the end

    def _finish(self) -> None:
        global _measured_startup
        stats = self.stats
        if stats.startup_s:
            _measured_startup = stats.startup_s
            if self.cache is not None:
                self.cache.keep_startup(stats.startup_s)
                self.cache.write()
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
            if self.child is not None and self.child.peak_bytes:
                stats.peak_memory += self.child.peak_bytes
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


_measured_startup: float | None = None


def _below(root: Path, folder: Path) -> tuple[str, ...]:
    """The path of a cache folder in the tree, so that the cache never changes what it caches; none
    elsewhere."""
    try:
        relative = folder.resolve().relative_to(root).as_posix()
    except ValueError:
        return ()
    return () if relative == "." else (relative,)
