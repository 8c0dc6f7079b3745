"""Where the rules of one run are run: in this process, in threads, in a forked child, in worker processes.

Rules that can run come in, and each leaves by :meth:`Run.deliver`. Mode auto begins in a forked child, which costs
little and contains crashes, and changes over to worker processes when these pay. What runs where never changes a
verdict; it is decided here and nowhere else.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from optengine import cpus
from optengine.rules import adaptive, forked, graph, grouping, incremental, segment, tree
from optengine.rules.child import CannotFork
from optengine.rules.execute import RawResult
from optengine.rules.grouping import Unit
from optengine.rules.lanes import Lanes
from optengine.rules.memory import available_bytes
from optengine.rules.model import Rule, Status
from optengine.rules.processes import PoolUnavailable, ProcessRunner, StartBuild
from optengine.rules.work import RunSettings

if TYPE_CHECKING:
    from optengine.rules.run import Run


class Placement:
    """Runs the rules of one run where its mode says; a context manager that ends all it started."""

    def __init__(self, run: Run) -> None:
        self.source = run
        self.options = run.options
        self.stats = run.stats
        self.known = run.known
        self.followers = graph.followers(run.options.rules.requires)
        self.closing = contextlib.ExitStack()
        self.runner: ProcessRunner | None = None
        self.no_pool = False
        self.child: forked.ForkedLane | None = None
        self.not_forked: str | None = None
        self.modes: list[str] = []

    def __enter__(self) -> Self:
        """The placement itself."""
        return self

    def __exit__(self, *error: Any) -> None:
        """End the pool and the child, at once after an exception, and free what they shared."""
        self.closing.__exit__(*error)

    @property
    def child_peak_bytes(self) -> int:
        """Peak memory of forked children; 0 when there was none."""
        return self.child.peak_bytes if self.child is not None else 0

    def run(self, rules: list[Rule]) -> None:
        """Run *rules* and deliver the result of each; others that become ready may run with them."""
        mode = self.options.mode
        if mode == "auto":
            self._run_auto(rules)
        elif mode == "processes":
            self._run_processes(rules)
        else:
            self._run_here(rules, 1 if mode == "sequential" else self._workers(rules), mode)
            self._used(mode)

    def _used(self, mode: str) -> None:
        """Take note that what was placed in *mode* has run; one that gave no result does not count."""
        if mode in self.stats.ran and mode not in self.modes:
            self.modes.append(mode)
        self.stats.mode = "+".join(self.modes) or self.stats.mode

    def _run_here(self, rules: Sequence[Rule], lanes: int, mode: str) -> None:
        units = grouping.plan(rules, lanes, costs=self.known, grouping=self.options.grouping)
        for unit in units:
            self.source.started(unit.rules, mode)
        self.stats.workers = max(self.stats.workers, lanes)
        runner = Lanes(self.source.workspace, lanes, self.options.timeout, share=self.options.grouping)
        runner.run(units, self.source.results, partial(self.source.deliver, mode=mode))

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
            refused = self._open_runner(workers).run(rules, self.source, self.plan)
        except PoolUnavailable as error:
            self.no_pool = True
            self._used("processes")
            self._fall_back(list(self.source.pending.values()), str(error), workers)
            self._used("threads")
            return
        self._used("processes")
        for rule, why in refused:
            self._fall_back([rule], why, 1)
        if not self.modes:
            self._used("threads")

    def _open_runner(self, workers: int) -> ProcessRunner:
        if self.no_pool:
            raise PoolUnavailable("the pool was lost in an earlier batch")
        if self.runner is None:
            settings = RunSettings(
                root=str(self.options.root),
                ignored=self.options.ignored,
                without=self.source.without,
                config=self.options.config,
                builders=dict(self.options.rules.builders),
                builder_digests=self.source.cache.builders if self.source.cache is not None else {},
                track=self.source.cache is not None,
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

    def _fill_segment(self, start_build: StartBuild) -> segment.Segment:
        """The index, the files and the run-wide inputs; what no forked child has built workers build meanwhile."""
        began = time.perf_counter()
        handed_over = self.source.workspace.shared.handed_over
        names = [one.name for one in self.options.rules.builders.values() if one.scope == "run"]
        build = start_build([name for name in names if name not in handed_over], self.source.snapshot)
        self.closing.callback(build.close)
        declared = {pattern for rule in self.options.rules for pattern in rule.inputs}
        if declared and all(rule.inputs for rule in self.options.rules):
            wanted = [
                path
                for path in self.source.index.files()
                if any(tree.compile_glob(p).match(path) for p in declared)
            ]
        else:
            wanted = list(self.source.index.files())
        try:
            filled = segment.create(self.source.snapshot, wanted, lambda: {**handed_over, **build.collect()})
        except OSError as error:
            raise PoolUnavailable(f"the shared segment could not be made: {error}") from error
        self.closing.callback(filled.close)
        self.source.snapshot.forget_contents()
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
                self.source.deliver(rule, RawResult(Status.CRASH, message, reason=why, attempts=attempts))
            else:
                safe.append(rule)
        if safe:
            self._run_here(safe, lanes, "threads")

    def _run_auto(self, rules: list[Rule]) -> None:
        if self.runner is not None or self.no_pool:
            self._run_processes(rules)
            return
        later = [rule.id for rule in self.options.rules if rule.id not in self.source.results]
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
            waiting = [name for name in later if name not in self.source.results]
            remaining = adaptive.predict_remaining(waiting, self.known, self.source.seen_s)
            went_over = decision.worth_it(spent, remaining)
            if went_over or not self.stats.reason:
                self.stats.reason = decision.explain(remaining)
            return went_over

        left = self._run_in_child(rules, stop)
        self._used("sequential")
        if left:
            self._run_processes(left)
        if left and self.not_forked is not None:
            contained = "in threads" if "threads" in self.modes else "in worker processes to contain crashes"
            self.stats.reason = f"rules ran {contained}, as {self.not_forked}"

    def _run_in_child(self, rules: Sequence[Rule], stop: Callable[[], bool]) -> list[Rule]:
        """Run *rules* one after another where a rule that ends its process ends no more than that; in this process
        where none can be forked, or goes on as it should, all are left for worker processes, which is said."""
        if self.not_forked is None:
            if self.child is None:
                by_id = {rule.id: rule for rule in self.options.rules}
                self.child = forked.ForkedLane(
                    by_id,
                    self.source.workspace,
                    self.source.snapshot,
                    self.options.timeout,
                    self.stats,
                    share=self.options.grouping,
                )
                self.closing.callback(self.child.close)
            units = grouping.plan(rules, 1, costs=self.known, grouping=self.options.grouping)
            try:
                return self.child.run(
                    [rule for unit in units for rule in unit.rules],
                    self.source.results,
                    partial(self.source.deliver, mode="sequential"),
                    stop,
                )
            except CannotFork as error:
                self.not_forked = str(error)
            finally:
                for unit in units:
                    if any(rule.id in self.source.results for rule in unit.rules):
                        self.source.started(unit.rules, "sequential")
        return [rule for rule in rules if rule.id not in self.source.results]

    def _decision(self, rules: Sequence[Rule], waiting: Sequence[str]) -> adaptive.PoolDecision:
        startup = self.known.get(incremental.STARTUP_KEY, measured_startup or adaptive.ASSUMED_STARTUP_S)
        known = bool(waiting) and all(name in self.known for name in waiting)
        return adaptive.PoolDecision(self._workers(rules), startup, known)

    def _workers(self, rules: Sequence[Rule]) -> int:
        if self.runner is not None:
            return self.runner.workers
        largest = max((len(batch) for batch in self.source.batches), default=1)
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

    def keep_startup(self) -> None:
        """Remember what the start of a pool took, for later decisions of this process and of the store's users.

        A pool that was open already tells nothing of what starting one would take.
        """
        global measured_startup
        if self.stats.startup_s and self.options.pool is None:
            measured_startup = self.stats.startup_s
            if self.source.cache is not None:
                self.source.cache.keep_startup(self.stats.startup_s)
                self.source.cache.write()


measured_startup: float | None = None
