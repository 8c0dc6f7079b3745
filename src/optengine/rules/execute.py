"""One rule, run once, in this thread: whatever it does short of ending the process becomes one raw result."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optengine.rules import alarm
from optengine.rules.context import Context
from optengine.rules.copies import end_a_copy
from optengine.rules.evidence import clean_text, error_text, sanitise, stable_repr
from optengine.rules.model import Outcome, Rule, RuleResult, SharedBuilder, Status
from optengine.rules.shared import SharedInputs
from optengine.rules.snapshot import Snapshot
from optengine.rules.trace import Recorder, Scene, Trace

MESSAGE_CHARS = 4000


@dataclass
class RawResult:
    """What one attempt gave, as plain data.

    ``unrecorded`` lists looks behind the context's back; ``vacuous`` is True when nothing that exists was
    looked at. ``building_s`` is the part of ``seconds`` that went into building shared inputs.
    """

    status: Status
    message: str = ""
    evidence: Any = None
    reason: str | None = None
    seconds: float = 0.0
    building_s: float = 0.0
    trace: Trace | None = None
    unrecorded: list[str] = field(default_factory=list)
    vacuous: bool = False
    worker: str | None = None
    attempts: int = 1


class Workspace:
    """Everything a process needs to run rules: the tree, the configuration and the shared inputs."""

    def __init__(
        self,
        root: Path,
        snapshot: Snapshot,
        builders: Mapping[str, SharedBuilder],
        config: Mapping[str, Any],
        *,
        track: bool,
        builder_digests: Mapping[str, str] | None = None,
        attached: Mapping[str, Any] | None = None,
    ) -> None:
        self.root = root
        self.config = config
        self.track = track
        self.scene = Scene(snapshot, {}, builder_digests or {})
        self.shared = SharedInputs(
            builders, self.scene, self._builder_context, keep_traces=track, attached=attached
        )
        if track:
            alarm.install(root)

    def _builder_context(self, owner: str, recorder: Recorder) -> Context:
        return Context(owner, recorder, self.shared, root=self.root, config=self.config)

    def run(self, rule: Rule, results: Mapping[str, RuleResult]) -> RawResult:
        """Run *rule* once. Never raises: whatever the rule raises becomes an ERROR."""
        scene = Scene(
            self.scene.snapshot, {k: list(v.verdict) for k, v in results.items()}, self.scene.builder_digests
        )
        recorder = Recorder(scene, keep=self.track)
        context = Context(rule.id, recorder, self.shared, root=self.root, config=self.config, results=results)
        began = time.perf_counter()
        process, thread = os.getpid(), threading.get_ident()
        self.shared.building_s.pop(thread, None)
        try:
            if self.track:
                with alarm.watching(recorder.unrecorded):
                    answer = rule.check(context)
            else:
                answer = rule.check(context)
            raw = interpret(rule, answer)
        except BaseException as error:  # noqa: BLE001 - a rule may raise anything, SystemExit included
            raw = _error(rule, error)
        end_a_copy(process)
        raw.seconds = time.perf_counter() - began
        raw.building_s = self.shared.building_s.pop(thread, 0.0)
        raw.trace = recorder.trace()
        raw.unrecorded = recorder.unrecorded
        raw.vacuous = not recorder.saw_anything
        return raw


def interpret(rule: Rule, answer: object) -> RawResult:
    """The raw result for what a rule returned.

    Besides the context's answers: True passes, False fails, None means "does not apply" (SKIP), an empty
    string passes and any other string fails with that message. Anything else is an ERROR, never a pass.
    """
    if isinstance(answer, Outcome):
        if answer.status not in (Status.PASS, Status.FAIL, Status.SKIP):
            return _wrong(rule, answer)
        status = Status(answer.status)  # an outcome made by hand may name it as text
        reason = "the rule says it does not apply" if status is Status.SKIP else None
        said: object = answer.message
        text = said if isinstance(said, str) else stable_repr(said)
        return RawResult(status, clean_text(text, MESSAGE_CHARS), sanitise(answer.evidence), reason)
    if answer is None:
        reason = "the rule returned None: it does not apply"
        return RawResult(Status.SKIP, reason, reason=reason)
    if isinstance(answer, bool):
        return (
            RawResult(Status.PASS)
            if answer
            else RawResult(Status.FAIL, rule.title or f"{rule.id} returned False")
        )
    if isinstance(answer, str):
        return RawResult(Status.FAIL, clean_text(answer, MESSAGE_CHARS)) if answer else RawResult(Status.PASS)
    return _wrong(rule, answer)


def _wrong(rule: Rule, answer: object) -> RawResult:
    message = (
        "A rule must return ctx.passed(...), ctx.failed(...), ctx.skipped(...), True, False, None or a "
        "string; "
        f"{rule.id} returned {stable_repr(answer)}."
    )
    return RawResult(Status.ERROR, message, reason="unusable answer")


def _error(rule: Rule, error: BaseException) -> RawResult:
    """ERROR with the rule's own part of the traceback, which reads the same in every mode."""
    tail = error.__traceback__.tb_next if error.__traceback__ is not None else None
    try:
        text = "".join(traceback.format_exception(type(error), error, tail))
    except BaseException as broken:  # noqa: BLE001 - showing an error may run code of its own
        text = f"its traceback cannot be shown: {type(broken).__name__}"
    return RawResult(
        Status.ERROR, f"{rule.id} raised {error_text(error, MESSAGE_CHARS)}", reason=clean_text(text)
    )
