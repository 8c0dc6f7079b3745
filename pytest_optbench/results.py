"""Before and after measuring: what is settled before the first run, and decisions turned into documents."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from .comparison import Comparison, Record
from .core.decision import Decision
from .core.sequential import Schedule, schedule
from .document import Context, document
from .history.schema import text_key
from .history.trail import merge
from .options import Settings
from .private import clean
from .report import junit, write_decision
from .report.escape import console, console_lines
from .report.templating import check_templates
from .store import ledger
from .store.errors import StoreError
from .store.files import check_writable
from .store.ledger import Entry
from .subject import Subject, goal_of


@dataclass(frozen=True)
class Result:
    """One decision, as an object for the test and as a document for everybody else."""

    candidate: str
    decision: Decision
    document: str
    line: str
    properties: list[tuple[str, str]]
    traceback: str | None


@dataclass(frozen=True)
class Outcome:
    """The results of one benchmark, one per candidate."""

    results: tuple[Result, ...]

    @property
    def lines(self) -> dict[str, str]:
        """The line of every verdict that is not ACCEPT, by candidate."""
        return {r.candidate: r.line for r in self.results if not r.decision.accepted}


@dataclass(frozen=True)
class Preparation:
    """What is settled before the first run; subjects, earlier decisions and records are by candidate."""

    subjects: Mapping[str, Subject]
    settings: Settings
    folder: Path
    templates: Path | None
    seed: int
    earlier: Mapping[str, list[Entry]]
    attempt: int
    plan: Schedule

    def comparison(self) -> Comparison:
        """Return an empty comparison of the subjects."""
        run = Comparison(self.plan, goal_of(self.settings), {name: Record() for name in self.subjects})
        if self.settings.quick:
            run.reasons.append("quick")
        return run


def prepare(
    subjects: Mapping[str, Subject],
    settings: Settings,
    root: Path,
    held: Mapping[str, Sequence[Entry]] | None = None,
) -> Preparation:
    """Return the plan of looks, the seed and the earlier decisions on ``subjects``, candidates by name.

    All subjects share one baseline. ``held`` are the entries of the history by id; earlier decisions are
    those of the report folder and of the history. Raises `StoreError` when the report folder cannot be
    written, or a history was asked for and not read: attempts would go uncounted.
    """
    if settings.history is not None and held is None:
        raise StoreError(
            f"earlier decisions must be read from the history before measuring, received none of them for "
            f"{', '.join(subject.identity for subject in subjects.values())}; run without --optbench-history"
        )
    folder = Path(root, settings.report_dir)
    templates = Path(root, settings.templates) if settings.templates else None
    check_writable(folder)
    check_templates(templates)
    earlier = {
        name: merge(
            ledger.earlier(folder, subject.identity), (held or {}).get(text_key(subject.identity), ())
        )
        for name, subject in subjects.items()
    }
    attempt = max(ledger.attempt_number(entries) for entries in earlier.values())
    plan = schedule(
        settings.trials,
        settings.max_trials,
        goal_of(settings).one_sided(settings.alpha),
        attempt=attempt,
        candidates=len(subjects),
    )
    seed = settings.seed if settings.seed is not None else secrets.randbelow(2**31)
    return Preparation(subjects, settings, folder, templates, seed, earlier, attempt, plan)


def conclude(prepared: Preparation, run: Comparison, started: datetime, began: float) -> Outcome:
    """Decide every candidate, write the documents and return them.

    ``started`` is when measuring began, ``began`` the reading of `time.perf_counter` then. Raises `StoreError`.
    """
    with run.timed("analysis_s"):
        decisions = {name: run.decide(name) for name in run.records}
    results = []
    for name, decision in decisions.items():
        context = Context(
            subject=prepared.subjects[name],
            seed=prepared.seed,
            started=started,
            seconds=time.perf_counter() - began,
            attempt=prepared.attempt,
            earlier=prepared.earlier[name],
            findings=(*run.findings, *run.records[name].findings),
            baseline_memory=run.memory.get("baseline"),
            optimized_memory=run.memory.get(name),
            overhead=run.overhead,
            protocol=run.measured.protocol.get(name, {}),
            clock_resolution_s=run.measured.clock_resolution_s,
        )
        written = write_decision(
            prepared.folder, document(decision, context), prepared.templates, context.subject.root
        )
        # It goes to terminals and JUnit files, which CI publishes like the reports.
        trace = clean(run.traceback, context.subject.root)
        results.append(_result(name, decision, written.json, trace))
    return Outcome(tuple(results))


def _result(candidate: str, decision: Decision, path: Path, trace: str | None) -> Result:
    text = path.read_text(encoding="utf-8")
    written = json.loads(text)
    return Result(
        candidate=candidate,
        decision=decision,
        document=text,
        line=console(written["summary"]),  # a title may hold line breaks, and a log takes lines for commands
        properties=junit.properties(written),
        traceback=None if trace is None else console_lines(trace),
    )
