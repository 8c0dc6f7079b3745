"""The run itself: checkout, build, tests laid over, then pair after pair until every benchmark is settled.

    list base's own benchmarks -> overlay -> collect on both sides -> pair 0 proves the code -> looks -> decisions

A benchmark of the working tree that cannot run at the base is *new* when the base had no test of that id, and
*incomparable* (a failure) when it had. One the base had and the working tree lacks is *removed*. Nothing is
left out silently.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from ..core.sequential import planned_looks
from ..measure.lanes import Collected, Failure, Lane, Module, PairResult, Sampled
from ..measure.load import LoadSample, load_between, sample_load
from ..measure.lock import measuring_lock
from ..measure.process import ProcessPairs
from ..measure.terminated import terminable
from ..progress import Progress
from . import overlay as overlays
from .benchmark import Region, open_region, regions_of
from .building import build
from .errors import IdentityError, RevisionError
from .git import Repository
from .identity import identity, project_names
from .outcome import Ended, Lists, Task
from .sameness import Code, check_changed, check_different, code_of
from .sides import BASELINE, OPTIMIZED, Side, listing
from .sources import without_generated, written
from .worktree import worktree

SECONDS_PER_BENCHMARK = 0.25
"""About what one short benchmark takes in one pair: samples, warm-up and the comparison of results."""
MUCH_LONGER = 1.5
WORTH_SAYING_S = 10.0
"""A first pair that takes as many times what was stated, and as many seconds in all, is worth a second statement."""


class SuiteRun:
    """Compares the working tree with a base revision; `run` does everything, ``lists`` fills on the way.

    ``working_tree`` is its commit and the digest of what is not committed (None: nothing), when the run began.
    """

    def __init__(
        self, task: Task, progress: Progress, say: Callable[[str], None], report: Callable[[Ended], None]
    ) -> None:
        """Start nothing yet. ``say`` prints a line, ``report`` receives every test as soon as it is settled."""
        self.lists = Lists()
        self._task = task
        self._progress = progress
        self._say = say
        self._report = report
        self._open = {wanted.node_id: wanted for wanted in task.wanted}
        self._regions: dict[str, list[Region]] = {}
        self._own: frozenset[str] | None = frozenset()
        self._code: dict[str, Code] = {}
        self._overlay = overlays.Overlay((), (), ())
        self._names: set[str] = set()
        # Read once: reports written into the working tree are no part of what was measured.
        self._written = written(task)
        self.working_tree = task.repository.head(), task.repository.dirt(self._written)
        self._changed: list[str] = []
        self._sides: dict[str, Side] = {}
        self._start_s = 0.0
        self._load: LoadSample = sample_load()

    def run(self) -> None:
        """Compare; raises `RevisionError` for what makes the whole comparison meaningless."""
        task = self._task
        self._overlay = overlays.plan(
            task.repository,
            task.invocation.rootdir,
            [task.invocation.rootdir / wanted.file for wanted in task.wanted],
            task.invocation.configuration,
            task.invocation.testpaths,
        )
        self.lists.overlay = (*(f"{folder}/" for folder in self._overlay.directories), *self._overlay.present)
        self._changed = task.repository.changed(task.base, self._written)
        check_changed(self._overlay, self._changed)
        with terminable(), measuring_lock(self._progress.waiting), ExitStack() as stack:
            self._progress.phase(f"checking out {task.base.revision}")
            tree = stack.enter_context(worktree(task.repository, task.base))
            top = task.repository.root
            self._sides = {
                BASELINE: Side(BASELINE, tree, top),
                OPTIMIZED: Side(OPTIMIZED, top, tree),
            }
            self._prepare()
            looks = planned_looks(task.settings.trials, task.settings.max_trials)
            driver = ProcessPairs(
                [self._lane(side) for side in self._sides.values()],
                looks=looks,
                seed=task.seed,
                cpus=task.settings.cpus,
                max_time_s=task.settings.max_time,
            )
            with driver as pairs:
                self._collect(pairs, looks)
                self._load = sample_load()
                self._measure(pairs, looks)
        if not self.lists.compared:
            raise RevisionError(self._nothing_compared())

    def _prepare(self) -> None:
        """Build both sides, list what the base has of its own, and give it the tests of the working tree."""
        task, base = self._task, self._sides[BASELINE]
        if task.settings.build is not None:
            for side in self._sides.values():
                self._progress.phase(f"building the {side.name} side")
                build(task.settings.build, side.tree, side.environment(task.invocation), side.name)
            self._changed = without_generated(self._changed, task.repository, Repository(base.tree))
            check_changed(self._overlay, self._changed)
        rootdirs = {
            side: side.place(task.invocation.rootdir, task.invocation) for side in self._sides.values()
        }
        self._names = set().union(*(project_names(side.tree, folder) for side, folder in rootdirs.items()))
        self._progress.phase("listing the benchmarks of the base")
        self._own = self._listed(base)
        overlays.apply(self._overlay, task.repository.root, base.tree)

    def _listed(self, base: Side) -> frozenset[str] | None:
        """Return the ids of the base's own benchmarks; None when they cannot be known."""
        asked = listing(self._task.invocation, base)
        if asked.arguments is None:
            return frozenset()
        lane = base.lane(self._task.invocation, self._names, asked.arguments)
        with ProcessPairs([lane], looks=(4,), seed=self._task.seed) as pairs:
            found = pairs.collect()[base.name]
        if found.errors:
            self.lists.notes.append(
                "the base's own benchmarks could not be listed completely, so removed ones may be missing here: "
                + _first_line(found.errors[0])
            )
            return None if not found.benchmarks else frozenset(filter(asked.keeps, found.benchmarks))
        return frozenset(filter(asked.keeps, found.benchmarks))

    def _lane(self, side: Side) -> Lane:
        return side.lane(self._task.invocation, self._names, self._task.invocation.arguments)

    def _collect(self, pairs: ProcessPairs, looks: Sequence[int]) -> None:
        """Collect on both sides, judge what was imported so far, and say what measuring will cost."""
        self._progress.phase("collecting on both sides")
        began = time.perf_counter()
        found = pairs.collect()
        start_s = time.perf_counter() - began
        for name, collected in found.items():
            self._prove(name, collected.modules)
        # Not what is asked for: options such as --lf choose among the tests there are, and only in this process.
        here = {*found[OPTIMIZED].benchmarks, *self._open}
        self.lists.removed = sorted((self._own or frozenset()) - here)
        for node_id in list(self._open):
            failures = [
                Failure(name, "failed", _why_missing(node_id, collected, self._task))
                for name, collected in found.items()
                if node_id not in collected.benchmarks
            ]
            if failures:
                self._not_measured(node_id, failures)
        if self._open:
            self._start_s = start_s
            self._say(cost(len(self._open), looks, start_s))

    def _measure(self, pairs: ProcessPairs, looks: Sequence[int]) -> None:
        """Measure pair after pair; the largest plan of all benchmarks says when to stop."""
        index, last = 0, looks[-1]
        while self._open and index < last:
            self._progress.pairs(index, last, f"{len(self._open)} of {len(self._task.wanted)} open")
            compare = index == 0 or any(index + 1 in r.run.plan.looks for r in self._all())
            began = time.perf_counter()
            result = pairs.pair(index, list(self._open), compare_results=compare)
            if index == 0 and (
                more := corrected(len(self._open), looks, self._start_s, time.perf_counter() - began)
            ):
                self._say(more)
            for name, modules in result.modules.items():
                self._prove(name, modules)
            if index == 0 and result.measured:
                self._check_different()
            for node_id in list(self._open):
                self._take(node_id, result)
                self._settle(node_id, pairs)
            index += 1
            last = max((region.last for region in self._all()), default=last)

    def _all(self) -> Iterable[Region]:
        return (region for node_id in self._open for region in self._regions.get(node_id, ()))

    def _prove(self, name: str, modules: Mapping[str, Module]) -> None:
        """Judge what a child imported; raises `IdentityError` for code of another tree or code that changed."""
        side = self._sides[name]
        seen = code_of(identity(modules, side.tree, side.other, self._names), self._overlay, name)
        known = self._code.get(name)
        self._code[name] = seen if known is None else known.merged(seen)

    def _check_different(self) -> None:
        if self._code.keys() != self._sides.keys():
            raise IdentityError("both sides must report which code they ran, but one did not; run it again")
        trees = {name: side.tree for name, side in self._sides.items()}
        remark = check_different(
            self._code[BASELINE], self._code[OPTIMIZED], trees, self._overlay, self._changed
        )
        if remark is not None:
            self.lists.notes.append(remark)

    def _take(self, node_id: str, result: PairResult) -> None:
        """Add one pair to a test's regions, or note why it cannot be measured."""
        failures = result.failures.get(node_id, ())
        measured = regions_of(node_id, result)
        known = self._regions.get(node_id)
        if known is None and not failures:
            self._start(node_id, result, measured)
        elif known is None:
            self._not_measured(node_id, failures)
        elif failures or measured.keys() != {region.key for region in known}:
            for region in known:
                if not region.settled:
                    region.fail(failures or [Failure(OPTIMIZED, "mismatch", f"measured {sorted(measured)}")])
        else:
            for region in known:
                if not region.settled:
                    region.take(result, measured[region.key], declared=self._open[node_id].declared)

    def _start(self, node_id: str, pair: PairResult, measured: Mapping[str, Sampled]) -> None:
        """Settle what is asked of a test that was measured for the first time, and take its first pair."""
        wanted, task = self._open[node_id], self._task
        try:
            self._regions[node_id] = [
                open_region(
                    key,
                    wanted,
                    task.ask(wanted, sampled.info.get(OPTIMIZED, {})),
                    self._described(),
                    task.invocation.rootdir,
                    task.invocation.arguments,
                    task.held,
                )
                for key, sampled in measured.items()
            ]
        except ValueError as error:  # a setting the test chose itself, known only now that it ran
            self._end(node_id, "failed", f"optbench: {error}", self.lists.failed)
            return
        self.lists.compared.append(node_id)
        if self._own is not None and node_id not in self._own:
            self.lists.new[node_id] = "compared: it runs at the base as well"
        for region in self._regions[node_id]:
            region.take(pair, measured[region.key], declared=wanted.declared)

    def _settle(self, node_id: str, pairs: ProcessPairs) -> None:
        """Conclude a test whose regions are all settled."""
        regions = self._regions.get(node_id)
        if node_id not in self._open or not regions or not all(region.settled for region in regions):
            return
        load = load_between(self._load, sample_load())
        results = [each for region in regions for each in region.conclude(pairs, load).results]
        gate = regions[0].prepared.settings.gate
        missed = [result.line for result in results if not result.decision.accepted]
        failing = [line for line in missed if gate == "strict" or not line.startswith("INCONCLUSIVE")]
        self._report(
            Ended(
                self._open.pop(node_id),
                "failed" if failing and gate != "off" else "passed",
                "\n".join(failing),
                tuple(result.document for result in results),
                tuple(pair for result in results for pair in result.properties),
                () if gate == "off" else tuple(line for line in missed if line not in failing),
                sum(region.spent_s for region in regions),
            )
        )

    def _described(self) -> dict[str, dict[str, Any]]:
        """Return what the documents say of both sides' code."""
        head, dirt = self.working_tree
        facts = {
            BASELINE: (self._task.base.revision, self._task.base, None),
            OPTIMIZED: ("working tree", head, dirt),
        }
        return {
            name: {
                "revision": revision,
                "commit": commit.commit,
                "tree": commit.tree,
                "dirty": dirt is not None,
                "dirt_sha256": dirt,
                "sha256": self._code[name].digest,
                "files": len(self._code[name].files),
            }
            for name, (revision, commit, dirt) in facts.items()
        }

    def _not_measured(self, node_id: str, failures: Sequence[Failure]) -> None:
        """Report a test that gave nothing to compare, by what that means."""
        lanes = {failure.lane: failure for failure in failures}
        now, base = lanes.get(OPTIMIZED), lanes.get(BASELINE)
        if now is not None and now.kind == "skipped":
            self._end(node_id, "skipped", now.message.removeprefix("Skipped: "), self.lists.skipped)
        elif now is not None and now.kind != "mismatch":
            self._end(node_id, "failed", f"fails in the working tree: {now}", self.lists.failed)
        elif (
            base is not None
            and base.kind != "mismatch"
            and self._own is not None
            and node_id not in self._own
        ):
            self._end(
                node_id,
                "skipped",
                f"new, cannot run at {self._task.base.revision}: {base.message}",
                self.lists.new,
            )
        else:
            said = "; ".join(map(str, failures))
            self._end(
                node_id,
                "failed",
                f"incomparable with {self._task.base.revision}: {said}",
                self.lists.incomparable,
            )

    def _end(
        self, node_id: str, outcome: Literal["failed", "skipped"], message: str, book: dict[str, str]
    ) -> None:
        book[node_id] = _first_line(message)
        self._report(Ended(self._open.pop(node_id), outcome, message))

    def _nothing_compared(self) -> str:
        lists = self.lists
        books = {
            "new": lists.new,
            "incomparable": lists.incomparable,
            "failing": lists.failed,
            "skipped": lists.skipped,
        }
        counted = [f"{len(found)} {what}" for what, found in books.items() if found]
        return (
            f"at least one benchmark must be measured at {self._task.base.revision} and in the working tree, but "
            f"none could be ({', '.join(counted) or 'none was collected'}); name an older or newer revision, or "
            "check the messages above"
        )


def cost(benchmarks: int, looks: Sequence[int], start_s: float) -> str:
    """Return what a run will cost, in one line; ``start_s`` is what starting one pair takes."""
    noun = "benchmark" if benchmarks == 1 else "benchmarks"
    about = _duration(looks[0] * (start_s + benchmarks * SECONDS_PER_BENCHMARK))
    return (
        f"{benchmarks} {noun}, {looks[0]} to {looks[-1]} pairs of processes: about {about} to the first look"
    )


def corrected(benchmarks: int, looks: Sequence[int], start_s: float, first_s: float) -> str | None:
    """Return what a run will cost after all, when its first pair took ``first_s`` and `cost` said much less."""
    said = start_s + benchmarks * SECONDS_PER_BENCHMARK
    found = start_s + first_s
    if found < MUCH_LONGER * said or looks[0] * (found - said) < WORTH_SAYING_S:
        return None
    return f"the first pair took {first_s:.0f} s: about {_duration(looks[0] * found)} to the first look"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _why_missing(node_id: str, collected: Collected, task: Task) -> str:
    """Return why a side did not collect a test, with a hint at files that git does not know."""
    file = node_id.partition("::")[0]
    errors = [error for error in collected.errors if error.startswith(file)] or list(collected.errors)
    text = errors[0] if errors else "it was not collected"
    if collected.lane == BASELINE and ("ModuleNotFoundError" in text or "ImportError" in text):
        generated = [name for name in task.repository.ignored() if _is_generated(name)][:3]
        if generated:
            text += (
                f"\nThe working tree holds files that git ignores ({', '.join(generated)}); if they are generated "
                "or compiled, make them in both trees with --optbench-build=CMD"
            )
    return text


def _is_generated(name: str) -> bool:
    path = Path(name)
    environment = {".venv", "venv", ".tox", ".nox", "site-packages", "build", "dist"} & set(path.parts)
    return path.suffix in (".py", ".so", ".pyd") and not environment


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if not lines:
        return ""
    causes = [line for line in lines[1:] if line.startswith(("E  ", "ERROR: "))]
    # How pytest ended says little, what it said before says why.
    if "the process ended" in lines[0] and causes:
        return f"{lines[0]}: {causes[-1].removeprefix('E  ').strip()}"[:300]
    return lines[0][:300]
